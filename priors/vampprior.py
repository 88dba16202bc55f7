"""The variational mixture of posteriors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from priors.base import Host, Unsupported
from priors.parts.checks import at_least
from priors.parts.normal import NormalMixture, NormalMixtureDensity, mixture_of
from priors.registry import register
from priors.space import Choice, Int


@register("vampprior")
class VampPrior(NormalMixtureDensity):
    """VampPrior: p(z) = 1/K sum_k q(z | u_k), u_1..u_K learned pseudo-inputs (Tomczak and Welling 2018, eq. 9).

    The components are the encoder's posteriors, so the prior's gradient also reaches the encoder. Pseudo-inputs are
    clipped to [0, 1] where the data lie there, as in the authors' experiments and IOP's.

    start: "data" begins at K training images plus noise of standard deviation `noise`; "normal" at
        N(level, noise^2) in every pixel, as the authors' code does.
    Raises Unsupported on an encoder whose posterior is not a diagonal normal: the mixture has no such form then.
    """

    space = {"components": Int(10, 2000, log=True), "start": Choice(("data", "normal"))}

    def __init__(
        self,
        host: Host,
        *,
        components: int = 500,
        start: Literal["data", "normal"] = "data",
        level: float = 0.5,
        noise: float = 0.01,
    ):
        super().__init__()
        at_least("vampprior", 1, components=components)
        if not host.stochastic:
            raise Unsupported("vampprior mixes posteriors q(z|u), and this model's encoder is deterministic: use a VAE")
        shape = (components, *host.data_shape)
        centre = host.examples(components) if start == "data" else torch.full(shape, level)
        self.pseudo_inputs = nn.Parameter(centre + noise * torch.randn(shape, device=centre.device))
        self.encode, self.bounded = host.encode, host.bounded

    def law(self) -> NormalMixture:
        u = self.pseudo_inputs.clamp(0, 1) if self.bounded else self.pseudo_inputs
        return mixture_of(self.encode(u), "vampprior")
