"""Laws q(z|x): from the encoder's output to a distribution over codes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import constraints
from zuko.lazy import LazyComposedTransform, LazyTransform

from models.flow_posteriors import FlowedNormal, Planar, gated
from priors.base import Index, IndexedDistribution, Unsupported
from priors.parts.flows import autoregressive_layers, univariate
from priors.parts.normal import DiagonalNormal, SampleShape
from priors.registry import Registry, subclass_of

Range = tuple[float, float]
RANGE = (-12.0, 4.0)


class Posterior(nn.Module, ABC):
    """Turns `outputs` numbers an image into q(z|x).

    log_variance_range: the log variance is clipped to it, a guard against a variance of zero or infinity in float32;
    a well-trained posterior stays inside.

    A third party's registers as `@POSTERIORS.register("name")`. A model builds each as kind(latent_dim,
    log_variance_range), so a constructor's further arguments have defaults.
    """

    stochastic: ClassVar[bool] = True

    def __init__(self, latent_dim: int, log_variance_range: Range = RANGE):
        super().__init__()
        self.latent_dim, self.log_variance_range = latent_dim, log_variance_range

    @property
    def outputs(self) -> int:
        """Numbers that the encoder must give."""
        return 2 * self.latent_dim

    @abstractmethod
    def forward(self, h: Tensor) -> IndexedDistribution:
        """h (B, outputs) -> q, batch (B,), event (D,)."""

    def normal(self, h: Tensor) -> DiagonalNormal:
        """N(mean, diag(exp(log_variance))) from the two halves of h (B, 2D)."""
        mean, log_variance = h.chunk(2, dim=-1)
        return DiagonalNormal(mean, log_variance.clamp(*self.log_variance_range))


POSTERIORS: Registry[type[Posterior]] = Registry(
    "posterior",
    ("models.masked", "models.posteriors", "models.quantised", "models.two_level"),
    subclass_of(Posterior),
    "a subclass of models.posteriors.Posterior",
    '@POSTERIORS.register("name")',
)


@POSTERIORS.register("normal")
class NormalPosterior(Posterior):
    """q(z|x) = N(mean, diag(exp(log_variance)))."""

    def forward(self, h: Tensor) -> DiagonalNormal:
        return self.normal(h)


@POSTERIORS.register("truncated-normal")
class TruncatedNormalPosterior(Posterior):
    """A normal cut off at two standard deviations in every dimension (VAEPP, section 5.1, for the sake of its Z-hat).

    Importance sampling from it misses what p(x, z) has outside: its ln p(x) is a lower bound however many the draws.
    """

    def forward(self, h: Tensor) -> TruncatedNormal:
        return TruncatedNormal(self.normal(h))


class FlowPosterior(Posterior):
    """A diagonal normal, moved by a flow of `flows` steps that is learned with the encoder.

    The encoder gives mean, log variance and `context` further numbers a dimension, which the flow reads.
    """

    context: ClassVar[int] = 0

    def __init__(self, latent_dim: int, log_variance_range: Range, steps: Sequence[LazyTransform]):
        super().__init__(latent_dim, log_variance_range)
        if not steps:
            raise ValueError("a flow posterior needs flows >= 1: use the posterior normal for none")
        self.flow = LazyComposedTransform(*steps)

    @property
    def outputs(self) -> int:
        return (2 + self.context) * self.latent_dim

    def forward(self, h: Tensor) -> FlowedNormal:
        return FlowedNormal(self.normal(h[..., : 2 * self.latent_dim]), self.flow, h[..., 2 * self.latent_dim :])


@POSTERIORS.register("planar")
class PlanarPosterior(FlowPosterior):
    """Planar flows on a diagonal normal, the same for all images (Rezende and Mohamed 2015; VAEPP's 20)."""

    def __init__(self, latent_dim: int, log_variance_range: Range = RANGE, flows: int = 20):
        super().__init__(latent_dim, log_variance_range, [Planar(latent_dim) for _ in range(flows)])


@POSTERIORS.register("iaf")
class IAFPosterior(FlowPosterior):
    """Inverse autoregressive flows with gates on a diagonal normal (Kingma et al. 2016, algorithm 1).

        z_t = g_t z_{t-1} + (1 - g_t) m_t,  z_0 = e,

    g_t and m_t of a dimension read off those before it and D numbers of the encoder, the order of dimensions reversed
    between steps. A draw takes one pass a step, the density of a z that was not just drawn D passes.
    """

    context = 1

    def __init__(self, latent_dim: int, log_variance_range: Range = RANGE, flows: int = 4):
        kind = univariate(gated)
        widths = 2 * (max(64, 2 * latent_dim),)
        steps = autoregressive_layers(latent_dim, flows, widths, kind, context=latent_dim, activation=nn.ELU)
        super().__init__(latent_dim, log_variance_range, steps)


@POSTERIORS.register("deterministic")
class DeterministicPosterior(Posterior):
    """One code an image: q(z|x) has no density, so no KL and no likelihood."""

    stochastic = False

    @property
    def outputs(self) -> int:
        return self.latent_dim

    def forward(self, h: Tensor) -> Point:
        return Point(h)


CUT = 2.0
"""Standard deviations on either side that the truncated normal keeps."""

KEPT = math.erf(CUT / math.sqrt(2))
"""The probability that a dimension lies inside the cut, 0.9545."""

SHRINK = 1 - 2 * CUT * math.exp(-0.5 * CUT**2) / math.sqrt(2 * math.pi) / KEPT
"""The variance of a standard normal that is cut off at CUT."""


ROUNDING = 1e-6
"""A draw at the very edge may land outside by float32's rounding, relative to z and to the cut: it counts as inside."""


class TruncatedNormal(IndexedDistribution):
    """A diagonal normal given that every dimension lies within two standard deviations of its mean.

    ln q(z) = ln N(z) - D ln 0.9545 inside, -inf outside. Draws go through the inverse of the distribution function and
    carry the gradient of mean and log variance.
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, law: DiagonalNormal):
        self.law = law
        super().__init__(law.batch_shape, law.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.law.mean

    @property
    def variance(self) -> Tensor:
        return SHRINK * self.law.variance

    def untruncated(self) -> DiagonalNormal:
        """The normal that it was cut from."""
        return self.law

    def __getitem__(self, index: Index) -> TruncatedNormal:
        return TruncatedNormal(self.law[index])

    def rsample(self, sample_shape: SampleShape = ()) -> Tensor:
        mean = self.law.mean
        u = torch.rand((*sample_shape, *mean.shape), dtype=mean.dtype, device=mean.device)
        noise = math.sqrt(2) * torch.erfinv(KEPT * (2 * u - 1))
        return mean + (0.5 * self.law.log_variance).exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        scaled = (z - self.law.mean).abs() * (-0.5 * self.law.log_variance).exp()
        slack = ROUNDING * (1 + z.abs() * (-0.5 * self.law.log_variance).exp())
        inside = (scaled <= CUT + slack).all(-1)
        log_q = self.law.log_prob(z) - z.shape[-1] * math.log(KEPT)
        return torch.where(inside, log_q, -torch.inf)


class Point(IndexedDistribution):
    """A code without spread, batch (B,), event (D,)."""

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, z: Tensor):
        self.z = z
        super().__init__(z.shape[:-1], z.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.z

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.z)

    def __getitem__(self, index: Index) -> Point:
        return Point(self.z[index])

    def rsample(self, sample_shape: SampleShape = ()) -> Tensor:
        return self.z.expand(*sample_shape, *self.z.shape)

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        return self.rsample(sample_shape).detach()  # a view keeps its gradient even under no_grad

    def log_prob(self, z: Tensor) -> Tensor:
        raise Unsupported(
            "the encoder is deterministic: q(z|x) has no density, so no NLL or KL; use figures of samples, or a "
            "stochastic posterior"
        )
