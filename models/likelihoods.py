"""Laws p(x|z): from the decoder's output to a log-density and a mean.

A likelihood reads `outputs` numbers for every element of x, laid out as (..., P, *data_shape). A model builds each in
the same way, by `of`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bits import log_prob_of_bits
from priors.parts.normal import LOG_2PI
from priors.registry import Registry, subclass_of


@dataclass(frozen=True)
class Observed:
    """What a likelihood may know of the data and of a model's settings.

    shape: of one x. bounded: x lies in [0, 1]. step: between the levels of x, where it has any. levels: how many those
    are, from 0 on; None for real numbers. variance: the suite's `model.variance`, which only a law with a given
    variance reads.
    """

    shape: tuple[int, ...]
    bounded: bool = True
    step: float = 1 / 255
    variance: float = 0.5
    levels: int | None = None


class Likelihood(nn.Module, ABC):
    """p(x|z) with independent elements.

    A third party's registers as `@LIKELIHOODS.register("name")`. Its constructor may take anything if it overrides
    `of`; its parameters, if any, are trained with the decoder.
    """

    outputs: int
    """Numbers that it reads for every element of x."""

    discrete: ClassVar[bool]
    """Is ln p(x|z) a probability of grey levels, and no density on [0, 1]? In bits a dimension the two are 8 apart."""

    needs_bounded: ClassVar[bool] = False
    """It describes x in [0, 1] alone: for other data it is refused before it is built."""

    def __init__(self, data_shape: tuple[int, ...]):
        super().__init__()
        self.data_shape = data_shape

    @classmethod
    def of(cls, observed: Observed) -> Self:
        """The law for these data; ValueError where it cannot describe them."""
        return cls(observed.shape)

    @abstractmethod
    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        """ln p(x|z) in nats, x (B, *data_shape), out (..., B, P, *data_shape) -> (..., B)."""

    def score(self, x: Tensor, out: Tensor) -> Tensor:
        """`log_prob` where nobody asks for its gradient: the same up to rounding, and faster where a law knows how."""
        return self.log_prob(x, out)

    def seen(self, x: Tensor) -> Tensor:
        """x as the encoder is given it: itself, where a law's numbers are of the size that networks like."""
        return x

    @abstractmethod
    def mean(self, out: Tensor) -> Tensor:
        """E[x|z], (..., P, *data_shape) -> (..., *data_shape)."""

    @abstractmethod
    def sample(self, out: Tensor) -> Tensor:
        """x ~ p(x|z), (..., P, *data_shape) -> (..., *data_shape)."""

    def split(self, out: Tensor) -> tuple[Tensor, ...]:
        """The P numbers of every element, each (..., *data_shape)."""
        return out.unbind(dim=-1 - len(self.data_shape))

    def total(self, elements: Tensor) -> Tensor:
        """Sum over the elements of x, (..., *data_shape) -> (...)."""
        return elements.flatten(-len(self.data_shape)).sum(-1)


LIKELIHOODS: Registry[type[Likelihood]] = Registry(
    "likelihood",
    ("models.likelihoods", "models.counts"),
    subclass_of(Likelihood),
    "a subclass of models.likelihoods.Likelihood",
    '@LIKELIHOODS.register("name")',
)


@LIKELIHOODS.register("bernoulli")
class Bernoulli(Likelihood):
    """ln p(x|z) = sum x l - softplus(l) with logits l. For grey x in [0, 1] this is the expectation over x's draw."""

    outputs = 1
    discrete = True
    needs_bounded = True

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        (logits,) = self.split(out)
        return self.total(torch.addcmul(-F.softplus(logits), x, logits))

    def score(self, x: Tensor, out: Tensor) -> Tensor:
        (logits,) = self.split(out)
        value = log_prob_of_bits(x.flatten(-len(self.data_shape)), logits.flatten(-len(self.data_shape)))
        return self.log_prob(x, out) if value is None else value

    def mean(self, out: Tensor) -> Tensor:
        return self.split(out)[0].sigmoid()

    def sample(self, out: Tensor) -> Tensor:
        return torch.bernoulli(self.mean(out))


class Gaussian(Likelihood):
    """N(x | mean(z), variance), a density: the mean through a sigmoid where x lies in [0, 1].

    ln p(x|z) = -1/2 sum [ (x - mean)^2 / v + ln v + ln 2 pi ].
    """

    discrete = False

    def __init__(self, data_shape: tuple[int, ...], squash: Callable[[Tensor], Tensor] = torch.sigmoid):
        super().__init__(data_shape)
        self.squash = squash

    @classmethod
    def of(cls, observed: Observed) -> Self:
        return cls(observed.shape, cls.squash_for(observed))

    @staticmethod
    def squash_for(observed: Observed) -> Callable[[Tensor], Tensor]:
        """What the decoder's mean goes through."""
        return torch.sigmoid if observed.bounded else nn.Identity()

    @abstractmethod
    def log_variance(self, out: Tensor) -> Tensor:
        """ln v, broadcastable to (..., B, *data_shape)."""

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        log_variance = self.log_variance(out)
        elements = (x - self.mean(out)).square() * (-log_variance).exp() + log_variance + LOG_2PI
        return -0.5 * self.total(elements)

    def mean(self, out: Tensor) -> Tensor:
        return self.squash(self.split(out)[0])

    def sample(self, out: Tensor) -> Tensor:
        mean = self.mean(out)
        return mean + (0.5 * self.log_variance(out)).exp() * torch.randn_like(mean)


@LIKELIHOODS.register("gaussian")
class GaussianPixel(Gaussian):
    """A variance for every element of x, given by the decoder (IOP's released code)."""

    outputs = 2

    def log_variance(self, out: Tensor) -> Tensor:
        return self.split(out)[1]


@LIKELIHOODS.register("gaussian-scalar")
class GaussianScalar(Gaussian):
    """One learned variance for all elements and images (sigma-VAE; 2-Stage VAE's gamma)."""

    outputs = 1

    def __init__(self, data_shape: tuple[int, ...], squash: Callable[[Tensor], Tensor] = torch.sigmoid):
        super().__init__(data_shape, squash)
        self.scalar = nn.Parameter(torch.zeros(()))

    def log_variance(self, out: Tensor) -> Tensor:
        return self.scalar


@LIKELIHOODS.register("gaussian-fixed")
class GaussianFixed(Gaussian):
    """A variance that is given, 1/2 by default: then ln p(x|z) = -SSE + const."""

    outputs = 1
    fixed: Tensor

    def __init__(
        self,
        data_shape: tuple[int, ...],
        squash: Callable[[Tensor], Tensor] = torch.sigmoid,
        variance: float = 0.5,
    ):
        super().__init__(data_shape, squash)
        self.register_buffer("fixed", torch.tensor(math.log(variance)))

    @classmethod
    def of(cls, observed: Observed) -> Self:
        return cls(observed.shape, cls.squash_for(observed), observed.variance)

    def log_variance(self, out: Tensor) -> Tensor:
        return self.fixed


@LIKELIHOODS.register("logistic")
class Logistic(Likelihood):
    """Logistic law of mean m in (0, 1) and scale s, integrated over 256 bins around the grey levels k/255.

    p(k|z) = F((k + 1/2) step) - F((k - 1/2) step), F(t) = sigmoid((t - m)/s), the outer bins open (Kingma et al. 2016,
    appendix C). step: between the grey levels of x, which is moved to the nearest one: 1/255, or as the data have it.
    Written with log-sigmoids, so that far tails keep their gradient. `mean` is m itself, the law's mean as long as
    little of it lies beyond the outer levels.
    """

    outputs = 2
    discrete = True
    needs_bounded = True
    levels = 256

    def __init__(self, data_shape: tuple[int, ...], step: float = 1 / 255):
        super().__init__(data_shape)
        self.step = step

    @classmethod
    def of(cls, observed: Observed) -> Self:
        return cls(observed.shape, observed.step)

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        mean, log_scale = self.split(out)
        level = (x / self.step).round()
        inverse_scale = (-log_scale.clamp(-7.0, 3.0)).exp()
        upper = ((level + 0.5) * self.step - mean.sigmoid()) * inverse_scale
        lower = upper - self.step * inverse_scale
        # ln(F(u) - F(l)) = ln sigmoid(u) + ln sigmoid(-l) + ln(1 - exp(l - u)): exact, and finite in both tails
        inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
        first = F.logsigmoid(upper)
        last = F.logsigmoid(-lower)
        elements = torch.where(level <= 0, first, torch.where(level >= self.levels - 1, last, inside))
        return self.total(elements)

    def mean(self, out: Tensor) -> Tensor:
        return self.split(out)[0].sigmoid()

    def sample(self, out: Tensor) -> Tensor:
        mean, log_scale = self.split(out)
        u = torch.rand_like(mean).clamp(1e-6, 1 - 1e-6)
        x = mean.sigmoid() + log_scale.clamp(-7.0, 3.0).exp() * u.logit()
        return (x / self.step).round().clamp(0, self.levels - 1) * self.step
