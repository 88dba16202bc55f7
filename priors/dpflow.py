"""The decoupled prior: an invertible network between the codes and a standard normal."""

from __future__ import annotations

import torch
from torch import nn
from zuko.flows.coupling import GeneralCouplingTransform

from priors.base import Host
from priors.flows import Flow, Shape, bounded, univariate
from priors.registry import register
from priors.space import Choice, Int


@register("dpflow")
class DecoupledFlow(Flow):
    """Decoupled prior: p(z) = N(g(z) | 0, I) |det dg/dz|, g a flow of K couplings (dpVAE, eq. 2 to 4).

    g maps the representation z, on which regularisers act, to the generation space z0 ~ N(0, I), where draws start.
    Coupling k keeps the half b_k of the dimensions and moves the other by what a network reads off the kept one,

        z_{k-1} = b_k z_k + (1 - b_k) [z_k exp(s_k(b_k z_k)) + t_k(b_k z_k)],  z = z_K.

    As in the authors' code: six couplings, the halves in turn, leaky ReLU networks of two layers of 64, and tanh on
    both s and t; there these are two networks, here two outputs of one. The KL of a VAE is the one-sample estimate, as
    for every prior; of the closed form in the paper (eq. 5) the printed version is wrong.

    transform: "affine", or "spline" for rational-quadratic splines of `bins` bins on [-5, 5] (Durkan et al. 2019).
    ValueError for one latent dimension, which has no halves.
    """

    space = {"couplings": Int(2, 12), "transform": Choice(("affine", "spline"))}

    def __init__(
        self,
        host: Host,
        *,
        couplings: int = 6,
        widths: tuple[int, ...] = (64, 64),
        transform: Shape = "affine",
        bins: int = 8,
    ):
        if host.latent_dim < 2:
            raise ValueError("dpflow needs latent_dim >= 2, halves to couple, not 1: use the prior autoregressive")
        if couplings < 2:
            raise ValueError(f"dpflow needs couplings >= 2, so that every dimension is moved, not {couplings}")
        if not all(width >= 1 for width in widths):
            raise ValueError(f"dpflow needs widths >= 1, not {widths}")
        half = torch.arange(host.latent_dim) < host.latent_dim // 2
        kind = univariate(bounded, transform, bins)
        steps = [
            GeneralCouplingTransform(
                host.latent_dim,
                mask=half if k % 2 == 0 else ~half,
                hidden_features=widths,
                activation=nn.LeakyReLU,
                **kind,
            )
            for k in range(couplings)
        ]
        super().__init__(host.latent_dim, steps)
