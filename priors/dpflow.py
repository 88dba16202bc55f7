"""The decoupled prior: an invertible network between the codes and a standard normal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from zuko.lazy import LazyTransform
from zuko.nn import MLP
from zuko.transforms import DependentTransform
from zuko.utils import unpack

from priors.base import Host
from priors.parts.flows import Flow, TransformKind, bounded, univariate
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
        transform: TransformKind = "affine",
        bins: int = 8,
    ):
        if host.latent_dim < 2:
            raise ValueError("dpflow needs latent_dim >= 2, halves to couple, not 1: use the prior autoregressive")
        if couplings < 2:
            raise ValueError(f"dpflow needs couplings >= 2, so that every dimension is moved, not {couplings}")
        if not all(width >= 1 for width in widths):
            raise ValueError(f"dpflow needs widths >= 1, not {widths}")
        kind = univariate(bounded, transform, bins)
        steps = [Coupling(host.latent_dim, k % 2 == 0, widths, **kind) for k in range(couplings)]
        super().__init__(host.latent_dim, steps)


class Coupling(LazyTransform):
    """One half of D dimensions moved by what a network reads off the other, which stays.

    What zuko's `GeneralCouplingTransform` computes, with its parameters, under their names, and its start. Its halves
    are indices that it finds in the mask at every call, for which the host waits for the device; here they are slices.

    first: keep the first half, of D // 2 dimensions. univariate, shapes: of a dimension's transformation (`univariate`
    of `flows`). mask: the dimensions that stay; it is there for the state.
    """

    def __init__(
        self,
        latent_dim: int,
        first: bool,
        widths: Sequence[int],
        univariate: Callable[..., Transform],
        shapes: Sequence[tuple[int, ...]],
    ):
        super().__init__()
        half = latent_dim // 2
        self.middle, self.first, self.univariate = half, first, univariate
        self.shapes = [torch.Size(shape) for shape in shapes]
        self.total = sum(map(prod, shapes))
        self.register_buffer("mask", (torch.arange(latent_dim) < half) == first)
        kept = half if first else latent_dim - half
        self.hyper = MLP(kept, (latent_dim - kept) * self.total, hidden_features=widths, activation=nn.LeakyReLU)

    def mover(self, kept: Tensor) -> DependentTransform:
        """What the other half is moved by."""
        numbers = self.hyper(kept).unflatten(-1, (-1, self.total))
        return DependentTransform(self.univariate(*unpack(numbers, self.shapes)), 1)

    def forward(self, c: Tensor | None = None) -> Transform:
        return CouplingTransform(self.mover, self.middle, self.first)


class CouplingTransform(Transform):
    """(a, b) -> (a, f_a(b)) where the `first` half stays, else (f_b(a), b); (..., D) -> (..., D)."""

    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self, mover: Callable[[Tensor], DependentTransform], middle: int, first: bool):
        super().__init__()
        self.mover, self.middle, self.first = mover, middle, first

    def split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(the half that stays, the half that moves)."""
        a, b = z[..., : self.middle], z[..., self.middle :]
        kept, moved = (a, b) if self.first else (b, a)
        return kept.contiguous(), moved  # products of a view may round otherwise than those of a whole array

    def merged(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat((kept, moved) if self.first else (moved, kept), -1)

    def call_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = self.split(z)
        moved, log_det = self.mover(kept).call_and_ladj(moved)
        return self.merged(kept, moved), log_det

    def _call(self, z: Tensor) -> Tensor:
        kept, moved = self.split(z)
        return self.merged(kept, self.mover(kept)(moved))

    def _inverse(self, z: Tensor) -> Tensor:
        kept, moved = self.split(z)
        return self.merged(kept, self.mover(kept).inv(moved))

    def log_abs_det_jacobian(self, z: Tensor, moved: Tensor) -> Tensor:
        return self.call_and_ladj(z)[1]
