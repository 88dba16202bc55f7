"""The diagonal normal and mixtures of it: the mathematics that priors, posteriors and metrics share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from priors import sizes
from priors.base import Density, Index, IndexedDistribution, Unsupported

LOG_2 = math.log(2)
LOG_2PI = math.log(2 * math.pi)

SampleShape = torch.Size | list[int] | tuple[int, ...]
"""The shape of draws, as torch's distributions take it."""

SIDE = 512
"""Codes, and components, whose pairs are computed at a time on a CPU where they are many: 2 MiB, what a cache holds."""

EVALUATED = 1e-3
"""Nats that rounding in float32 may take from or add to a mixture's log-density where an evaluation asks for it: a
hundred-thousandth of the hundred nats that an image's likelihood has."""

WORST = 3
"""The largest error of products in float32 that was met, in units of `NormalMixture.rounding`."""


def log_standard_normal(z: Tensor) -> Tensor:
    """ln N(z | 0, I) in nats, (..., D) -> (...)."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * LOG_2PI)


def normal_like(like: Tensor, n: int) -> Tensor:
    """n draws from N(0, I), (n, D), of the type and on the device of `like` (..., D)."""
    return torch.randn(n, like.shape[-1], dtype=like.dtype, device=like.device)


def log_mean_exp(log_weight: Tensor, dim: int = 0) -> Tensor:
    """ln of the mean weight over a dimension, from log weights, with its gradient."""
    return log_weight.logsumexp(dim) - math.log(log_weight.shape[dim])


class DiagonalNormal(IndexedDistribution):
    """N(mean, diag(exp(log_variance))), batch (...), event (D,).

    Torch's `Independent(Normal)` is the same law; this one keeps the log
    variance, which the mixture below needs, and costs a third of the time in a small network's step.
    """

    arg_constraints = {"mean": constraints.real_vector, "log_variance": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor, log_variance: Tensor):
        self._mean, self.log_variance = mean, log_variance
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def variance(self) -> Tensor:
        return self.log_variance.exp()

    def __getitem__(self, index: Index) -> DiagonalNormal:
        return DiagonalNormal(self.mean[index], self.log_variance[index])

    def rsample(self, sample_shape: SampleShape = ()) -> Tensor:
        shape = (*sample_shape, *self.mean.shape)
        noise = torch.randn(shape, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        scaled = (z - self.mean) * (-0.5 * self.log_variance).exp()
        return -0.5 * (scaled.square() + self.log_variance).sum(-1) - 0.5 * z.shape[-1] * LOG_2PI


class NormalMixture:
    """sum_k w_k N(z | m_k, diag(v_k)), with all that does not depend on z computed once.

    With a = 1/v the exponent is -(z - m)' diag(a) (z - m) / 2 = -(z^2 a')/2 + z (a m)' + constant_k, so the density of
    B codes under K components is two products of (B, D) by (D, K): no (B, K, D) tensor exists. The expansion subtracts
    numbers of the size m' diag(a) m from each other, which in float32 costs whole nats where components are narrow and
    far apart: a training would then descend its own rounding, below any bound. Codes are therefore centred at the
    means' average, and `log_prob` is in float64, whatever the mixture's own type: whether float32 would do is a number
    that a step would have to wait for, and the two products are few beside a network's.

    mean, log_variance: (K, D). log_weight: (K,), normalised. centre: (D,), the means' average if it is not given.
    """

    def __init__(self, mean: Tensor, log_variance: Tensor, log_weight: Tensor, centre: Tensor | None = None):
        self.mean, self.log_variance, self.log_weight = mean, log_variance, log_weight
        self.centre = mean.detach().mean(0) if centre is None else centre
        centred = mean - self.centre
        precision = (-log_variance).exp()
        self.linear = (precision * centred).T  # (D, K)
        self.quadratic = -0.5 * precision.T  # (D, K)
        self.size = precision * centred.square()  # (K, D)
        exponent = (self.size + log_variance).sum(-1) + mean.shape[-1] * LOG_2PI
        self.constant = log_weight - 0.5 * exponent  # (K,)

    @property
    def rounding(self) -> Tensor:
        """What rounding in the mixture's own type may change in `joint`, nats, at codes near their component, a
        scalar."""
        return torch.finfo(self.mean.dtype).eps * self.size.detach().sum(-1).max()

    def joint(self, z: Tensor, some: slice = slice(None)) -> Tensor:
        """ln w_k N(z | m_k, diag(v_k)) in nats, of some components, (B, D) -> (B, K)."""
        z = z - self.centre
        with torch.autocast(z.device.type, enabled=False):  # the difference of large numbers: never in half precision
            linear = torch.addmm(self.constant[some], z, self.linear[:, some])
            return linear.addmm(z.square(), self.quadratic[:, some])

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, (..., D) -> (...)."""
        value = self.double().joint(z.reshape(-1, z.shape[-1])).logsumexp(-1).reshape(z.shape[:-1])
        return value.to(torch.promote_types(z.dtype, self.mean.dtype))

    def log_prob_in_chunks(self, z: Tensor) -> Tensor:
        """`log_prob` in the mixture's type, some codes under some components at a time, (..., D) -> (...)."""
        law = self.double()
        side = math.isqrt(sizes.rows(z.device, 1, SIDE**2))
        parts = z.reshape(-1, z.shape[-1]).to(law.mean.dtype).split(side)
        total = [part.new_full((len(part),), -math.inf) for part in parts]
        for k in range(0, len(law.mean), side):
            terms = [law.joint(part, slice(k, k + side)).logsumexp(-1) for part in parts]
            total = [torch.logaddexp(*pair) for pair in zip(total, terms, strict=True)]
        return torch.cat(total).reshape(z.shape[:-1]).to(self.mean.dtype)

    def sample(self, n: int) -> Tensor:
        """n draws, (n, D): a component is drawn by its weight, then a code from it."""
        k = torch.multinomial(self.log_weight.exp(), n, replacement=True)
        return DiagonalNormal(self.mean[k], self.log_variance[k]).sample()

    def double(self) -> NormalMixture:
        """The same law in float64; itself where it is in float64 already."""
        if self.mean.dtype == torch.float64:
            return self
        return NormalMixture(self.mean.double(), self.log_variance.double(), self.log_weight.double())


AT_ONCE = 2048
"""Components of a frozen mixture that are computed at a time: all of a learned one, and what a cache holds of one that
has a component a training image."""


class Frozen:
    """A mixture's ln p(z) as an evaluation asks for it, many times: float64, (..., D) -> (...).

    Where a gradient in z is recorded, and off the CPU, it is the law's own in float64. Else one product gives all
    exponents to base 2, whose powers a processor has in a third of the time. A mixture in float32 has them in float32
    where rounding then changes ln p(z) by EVALUATED nats at most at codes near their component, and by a few float32
    steps of ln p(z) elsewhere; the sum of the K powers, all positive, is then in float32 too: below 1e-6 nats.
    """

    def __init__(self, law: NormalMixture):
        self.law = law.double()
        exact = law.mean.dtype == torch.float64 or WORST * law.rounding > EVALUATED
        self.dtype = torch.float64 if exact else torch.float32
        centre = law.centre.to(self.dtype)
        centred = NormalMixture(self.law.mean, self.law.log_variance, self.law.log_weight, centre.double())
        parts = centre, torch.cat([centred.linear, centred.quadratic]) / LOG_2, centred.constant / LOG_2
        self.centre, self.coefficients, self.constant = (part.detach().to(self.dtype) for part in parts)

    def __call__(self, z: Tensor) -> Tensor:
        recorded = torch.is_grad_enabled() and z.requires_grad
        if recorded or z.device.type != "cpu":
            return self.law.log_prob(z.double())
        return self.summed(z.reshape(-1, z.shape[-1])).reshape(z.shape[:-1])

    @torch.no_grad()
    def summed(self, z: Tensor) -> Tensor:
        """ln p(z), (B, D) -> (B,)."""
        z = z.to(self.dtype) - self.centre
        both = torch.cat([z, z.square()], -1)
        parts = zip(self.constant.split(AT_ONCE), self.coefficients.split(AT_ONCE, 1), strict=True)
        return torch.stack([self.some(both, *part) for part in parts]).logsumexp(0)

    def some(self, both: Tensor, constant: Tensor, coefficients: Tensor) -> Tensor:
        """ln of some components' sum, (B,). both: z and its square, (B, 2D)."""
        exponent = torch.addmm(constant, both, coefficients)  # (B, K)
        most = exponent.amax(-1, keepdim=True).clamp(min=torch.finfo(self.dtype).min)
        powers = exponent.sub_(most).exp2_().sum(-1)
        return (powers.double().log2() + most[:, 0].double()) * LOG_2


def mixture_of(q: Distribution, user: str) -> NormalMixture:
    """The laws q, batch (K,), event (D,), with equal weights; Unsupported in the user's name unless they are normal."""
    if not isinstance(q, DiagonalNormal):
        raise Unsupported(f"{user} needs diagonal normal posteriors, not {type(q).__name__}")
    count = len(q.mean)
    return NormalMixture(q.mean, q.log_variance, q.mean.new_full((count,), -math.log(count)))


class NormalMixtureDensity(Density):
    """A prior whose law is a mixture of diagonal normals: a subclass says which, at its present weights."""

    @abstractmethod
    def law(self) -> NormalMixture:
        """The mixture at the present weights, with their gradient."""

    def sample(self, n: int) -> Tensor:
        with torch.no_grad():
            return self.law().sample(n)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.law().log_prob(z)

    def frozen(self) -> Callable[[Tensor], Tensor]:
        """The same function in float64, or as near: an evaluation meets narrower components than training does."""
        return Frozen(self.law())
