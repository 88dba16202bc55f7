"""Laws of whole numbers: counts, and categories."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.distributions import Gamma
from torch.nn import functional as F

from models.likelihoods import LIKELIHOODS, Likelihood, Observed

EXTREME = 15.0
"""What logarithms of means and dispersions are clipped to: counts of a few millions at most."""

MOST = 1024
"""Categories of an element: the decoder gives a number for each."""


@LIKELIHOODS.register("negative-binomial")
class NegativeBinomial(Likelihood):
    """Counts with more spread than Poisson's, of mean m and dispersion r, both read off z for every element:

        p(x|z) = Gamma(x + r) / (Gamma(r) x!) (r / (r + m))^r (m / (r + m))^x,   variance m + m^2 / r,

    a Poisson law whose rate is Gamma distributed (as for single cells; Lopez et al. 2018, scVI, without its library
    size). The encoder sees ln(1 + x). ValueError for data that are no counts 0, 1, 2, ...

    Near Poisson's law r is large, and ln Gamma(x + r) - ln Gamma(r) the small difference of numbers of the size r ln r:
    in float32 it is off by nats a count, and its slope by more than there is. `log_prob` is computed in float64.
    """

    outputs = 2
    discrete = True

    @classmethod
    def of(cls, observed: Observed) -> Self:
        if observed.levels is None or observed.step != 1:
            raise ValueError("the negative-binomial likelihood needs counts 0, 1, 2, ...: use gaussian for other data")
        return cls(observed.shape)

    def logarithms(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """ln m and ln r of every element."""
        log_mean, log_dispersion = self.split(out)
        return log_mean.clamp(-EXTREME, EXTREME), log_dispersion.clamp(-EXTREME, EXTREME)

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        log_mean, log_r = (part.double() for part in self.logarithms(out))
        r, ratio, count = log_r.exp(), log_mean - log_r, x.double()
        ways = torch.lgamma(count + r) - torch.lgamma(r) - torch.lgamma(count + 1)
        return self.total(ways - r * F.softplus(ratio) - count * F.softplus(-ratio)).to(out.dtype)

    def seen(self, x: Tensor) -> Tensor:
        return x.clamp(min=0).log1p()

    def mean(self, out: Tensor) -> Tensor:
        return self.logarithms(out)[0].exp()

    def sample(self, out: Tensor) -> Tensor:
        log_mean, log_r = self.logarithms(out)
        rate = Gamma(log_r.exp(), (log_r - log_mean).exp(), validate_args=False).sample()
        return torch.poisson(rate)


@LIKELIHOODS.register("categorical")
class Categorical(Likelihood):
    """One of L categories, or levels, for every element: p(k|z) = softmax_k of L numbers, x = k step.

    Of the columns of a table, or of pictures with few levels. `mean` is the mean level, which says little of categories
    without an order. The encoder sees k / (L - 1). ValueError for real numbers, and for more than MOST categories.
    """

    discrete = True

    def __init__(self, data_shape: tuple[int, ...], levels: int = 2, step: float = 1.0):
        super().__init__(data_shape)
        self.outputs, self.step = levels, step

    @classmethod
    def of(cls, observed: Observed) -> Self:
        if observed.levels is None:
            raise ValueError("the categorical likelihood needs whole numbers 0, ..., L - 1: use gaussian for others")
        if observed.levels > MOST:
            raise ValueError(
                f"the categorical likelihood is of {MOST} categories at most, not {observed.levels}: use "
                "negative-binomial for counts"
            )
        return cls(observed.shape, observed.levels, observed.step)

    @property
    def axis(self) -> int:
        """That of the L numbers."""
        return -1 - len(self.data_shape)

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        k = (x / self.step).round().long().clamp(0, self.outputs - 1).unsqueeze(self.axis)
        k = k.expand(*out.shape[: self.axis], 1, *self.data_shape)
        return self.total(out.log_softmax(self.axis).gather(self.axis, k).squeeze(self.axis))

    def seen(self, x: Tensor) -> Tensor:
        return x / (self.step * (self.outputs - 1)) if self.outputs > 1 else x

    def mean(self, out: Tensor) -> Tensor:
        k = torch.arange(self.outputs, dtype=out.dtype, device=out.device)
        return self.step * (out.softmax(self.axis).movedim(self.axis, -1) @ k)

    def sample(self, out: Tensor) -> Tensor:
        p = out.softmax(self.axis).movedim(self.axis, -1)
        k = torch.multinomial(p.reshape(-1, self.outputs), 1).view(p.shape[:-1])
        return self.step * k.to(out.dtype)
