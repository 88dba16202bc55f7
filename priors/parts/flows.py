"""What flow priors and flow posteriors share: zuko's transformations, and a density by the change of variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Transform
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.lazy import LazyComposedTransform, LazyTransform
from zuko.transforms import MonotonicRQSTransform

from priors.base import Density
from priors.parts.normal import log_standard_normal, normal_like

TransformKind = Literal["affine", "spline"]
"""How a flow moves one dimension."""


def in_full(z: Tensor) -> torch.autocast:
    """Without autocast: half precision would be off by nats in a log-density, and its inverse no inverse."""
    return torch.autocast(z.device.type, enabled=False)


class Flow(Density):
    """z0 = g(z) ~ N(0, I), so p(z) = N(g(z) | 0, I) |det dg/dz|: exact, and its draws carry the gradient."""

    reparameterised = True
    origin: Tensor

    def __init__(self, latent_dim: int, steps: Sequence[LazyTransform]):
        super().__init__()
        self.transform = LazyComposedTransform(*steps)
        self.register_buffer("origin", torch.zeros(latent_dim))

    def log_prob(self, z: Tensor) -> Tensor:
        with in_full(z):
            z0, log_det = self.transform().call_and_ladj(z)
            return log_standard_normal(z0) + log_det

    def rsample(self, n: int) -> Tensor:
        return self.from_base(normal_like(self.origin, n))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        return self.rsample(n)

    def to_base(self, z: Tensor) -> Tensor:
        """g(z), (..., D) -> (..., D)."""
        with in_full(z):
            return self.transform()(z)

    def from_base(self, z0: Tensor) -> Tensor:
        """The z with g(z) = z0, (..., D) -> (..., D)."""
        with in_full(z0):
            return self.transform().inv(z0)

    def traverse(self, a: Tensor, b: Tensor, steps: int) -> Tensor:
        """The way from a to b, (D,) each, that is straight from g(a) to g(b), (steps, D): as dpVAE's (Figure 5)."""
        share = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None]
        return self.from_base(torch.lerp(self.to_base(a)[None], self.to_base(b)[None], share))


def univariate(
    affine: Callable[[Tensor, Tensor], Transform], shape: TransformKind = "affine", bins: int = 8
) -> dict[str, Any]:
    """What zuko must know of one dimension's transformation: `affine`, or a rational-quadratic spline.

    The spline acts on [-5, 5] and leaves what lies outside as it is (Durkan et al. 2019).
    """
    kinds = {"affine": (affine, ((), ())), "spline": (MonotonicRQSTransform, ((bins,), (bins,), (bins - 1,)))}
    if shape not in kinds:
        raise ValueError(f"a flow's transform is affine or spline, not {shape!r}")
    if bins < 2:
        raise ValueError(f"a flow needs bins >= 2, not {bins}")
    return dict(zip(("univariate", "shapes"), kinds[shape], strict=True))


def bounded(t: Tensor, s: Tensor) -> AffineTransform:
    """z -> z exp(tanh s) + tanh t."""
    return AffineTransform(t.tanh(), s.tanh().exp())


def autoregressive_layers(
    latent_dim: int,
    layers: int,
    widths: Sequence[int],
    kind: dict[str, Any],
    context: int = 0,
    activation: type[nn.Module] = nn.ReLU,
) -> list[LazyTransform]:
    """Masked autoregressive layers, the order of dimensions reversed from one to the next.

    A hidden unit sees the first few dimensions only, so layers narrower than D are widened to D: otherwise some
    dimensions would depend on no unit that sees all before them.
    """
    order = torch.arange(latent_dim)
    return [
        MaskedAutoregressiveTransform(
            latent_dim,
            context,
            order=order if k % 2 == 0 else order.flip(0),  # type: ignore[arg-type]  # zuko names the class of old
            hidden_features=[max(width, latent_dim) for width in widths],
            activation=activation,
            **kind,
        )
        for k in range(layers)
    ]
