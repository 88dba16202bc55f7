"""Laws that an invertible flow makes of a diagonal normal, and the flows that posteriors use."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Transform, constraints
from torch.nn import functional as F
from zuko.lazy import LazyTransform

from priors import sizes
from priors.base import Index, IndexedDistribution
from priors.parts.flows import in_full
from priors.parts.normal import DiagonalNormal, SampleShape

MIRRORED = 128
"""Pairs of noises e and -e that a flow's mean and variance are taken over."""

ELEMENTS = 2**18
"""Numbers that go through the flow at a time on a CPU, where the mean and the variance are computed."""

LAYERS = 32
"""About how many numbers a flow's networks and steps hold at once for each number that goes through."""

KEPT = 2.0
"""What the gate's argument is raised by: a flow starts by keeping most of its input (Kingma et al. 2016, section 3)."""


class Draw(NamedTuple):
    """A draw z (..., D), with ln q(z) from drawing it (...)."""

    z: Tensor
    log_prob: Tensor


class FlowedNormal(IndexedDistribution):
    """z = f(e | c), e ~ N(mean, diag(variance)): ln q(z) = ln N(e) - ln |det df/de|. Batch (...), event (D,).

    The log-density of the last draw is kept from drawing it, with its gradient if it was an `rsample`, so `log_prob` of
    that very tensor inverts nothing; any other z, a slice of the draw too, is inverted. `mean` and `variance` have no
    closed form: they are averages over 256 noises, the same for every image and at every call, without a gradient.

    flow: context (..., C) -> f, with f's log determinant and its inverse.
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: DiagonalNormal, flow: LazyTransform, context: Tensor):
        self.base, self.flow, self.context = base, flow, context
        self._last: Draw | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def __getitem__(self, index: Index) -> FlowedNormal:
        return FlowedNormal(self.base[index], self.flow, self.context[index])

    def rsample(self, sample_shape: SampleShape = ()) -> Tensor:
        e = self.base.rsample(sample_shape)
        with in_full(e):
            z, log_det = self.flow(self.context).call_and_ladj(e)
            self._last = Draw(z, self.base.log_prob(e) - log_det)
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        if self._last is not None and z is self._last.z:
            return self._last.log_prob
        with in_full(z):
            e, log_det = self.flow(self.context).inv.call_and_ladj(z)
            return self.base.log_prob(e) + log_det

    @property
    def mean(self) -> Tensor:
        return self.moments[0]

    @property
    def variance(self) -> Tensor:
        return self.moments[1]

    @cached_property
    @torch.no_grad()
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance over the fixed noises, relative to f(mean): no difference of large squares."""
        with in_full(self.context):
            f, mean, sd = self.flow(self.context), self.base.mean, self.base.stddev
            centre = f(mean)
            first, second = torch.zeros_like(centre), torch.zeros_like(centre)
            noise = mirrored_noise(mean.shape[-1]).to(mean)
            for part in noise.split(max(1, sizes.rows(mean.device, LAYERS, ELEMENTS) // mean.numel())):
                e = mean + sd * part.reshape(-1, *[1] * len(self.batch_shape), mean.shape[-1])
                moved = f(e) - centre
                first += moved.sum(0) / len(noise)
                second += moved.square().sum(0) / len(noise)
        return centre + first, second - first.square()


def mirrored_noise(features: int) -> Tensor:
    """Standard normal noises, each with its mirror image and of unit variance in every dimension, (2 MIRRORED, D).

    So the moments are exact where the flow is affine in each dimension.
    """
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(MIRRORED, features, generator=generator, dtype=torch.float64)
    half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])


class Planar(LazyTransform):
    """A planar flow f(e) = e + v tanh(w e + b) with learned w, b and v (Rezende and Mohamed 2015, eq. 10).

    v = u + (softplus(w u) - 1 - w u) w / |w|^2, so that w v > -1 and f is invertible (their appendix A.1). It has no
    context: all images share it. It starts near the identity.
    """

    def __init__(self, features: int):
        super().__init__()
        w = F.normalize(torch.randn(features), dim=0)
        self.w = nn.Parameter(w)
        self.u = nn.Parameter(math.log(math.e - 1) * w + 0.01 * torch.randn(features))  # softplus(w u) is near 1
        self.b = nn.Parameter(torch.zeros(()))

    def forward(self, c: Tensor | None = None) -> Transform:
        product = (self.w * self.u).sum()
        slope = F.softplus(product)
        v = self.u + (slope - 1 - product) * self.w / self.w.square().sum()
        return PlanarTransform(self.w, v, self.b, slope)


class PlanarTransform(Transform):
    """f(e) = e + v tanh(w e + b), (..., D) -> (..., D). slope: 1 + w v > 0, kept apart: 1 - 0.9999... would lose it."""

    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self, w: Tensor, v: Tensor, b: Tensor, slope: Tensor):
        super().__init__()
        self.w, self.v, self.b, self.slope = w, v, b, slope

    def call_and_ladj(self, e: Tensor) -> tuple[Tensor, Tensor]:
        h = (e @ self.w + self.b).tanh()
        return e + self.v * h[..., None], self.derivative(h).log()

    def derivative(self, h: Tensor) -> Tensor:
        """det df/de = 1 + w v tanh'(a) at h = tanh(a), > 0."""
        return h.square() + self.slope * (1 - h.square())

    def _call(self, e: Tensor) -> Tensor:
        return self.call_and_ladj(e)[0]

    def log_abs_det_jacobian(self, e: Tensor, z: Tensor) -> Tensor:
        return self.call_and_ladj(e)[1]

    def _inverse(self, z: Tensor) -> Tensor:
        """e = z - v tanh(a), where a = w e + b solves a + w v tanh(a) = w z + b, whose left side increases."""
        target = z @ self.w + self.b
        a = self.bisected(target)
        misfit = a + (self.slope - 1) * a.tanh() - target
        a = a - (misfit - misfit.detach()) / self.derivative(a.tanh())  # the same a, now an implicit function
        return z - self.v * a.tanh()[..., None]

    @torch.no_grad()
    def bisected(self, target: Tensor) -> Tensor:
        """The root to the number type's precision; tanh is in [-1, 1], so it lies within |w v| of the target."""
        wv = self.slope - 1
        low, high = target - wv.abs(), target + wv.abs()
        for _ in range(4 - round(math.log2(torch.finfo(target.dtype).eps))):
            a = (low + high) / 2
            below = a + wv * a.tanh() < target
            low, high = torch.where(below, a, low), torch.where(below, high, a)
        return (low + high) / 2


def gated(m: Tensor, s: Tensor) -> AffineTransform:
    """e -> g e + (1 - g) m with a gate g = sigmoid(s + 2) (Kingma et al. 2016, eq. 13 and 14)."""
    gate = (s + KEPT).sigmoid()
    return AffineTransform((1 - gate) * m, gate)
