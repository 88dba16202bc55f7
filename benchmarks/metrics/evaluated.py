"""What metrics look at: a trained model with its prior on its data, or the data alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.common.seeds import seed_for, stream
from benchmarks.datasets import Dataset, Split
from benchmarks.estimators import latent
from benchmarks.estimators.estimator import Certainty
from benchmarks.estimators.importance import Importance, importance_sampling
from benchmarks.features import Features, Network, pictures
from benchmarks.metrics.protocol import ProtocolSettings
from models.base import Autoencoder
from priors import sizes
from priors.base import IndexedDistribution, Prior, density
from priors.parts.normal import NormalMixture, mixture_of

CHUNK = 1000
"""Codes or images at a time on a CPU."""

CODES = 5_000
"""Codes and draws of the prior that the latent fit is estimated on."""

NUMBERS = 2**28
"""Elements of training images that generated ones are compared with at a time (1 GiB): 21,845 of CelebA at 64 x 64."""

POOL = 10
"""Draws of the prior for each of those with the lowest q(z) that are kept (dpVAE, section 5.1: 100,000 for 10,000)."""

MANY = 10
"""Generated images for each test image, at most, where more of them make an estimate surer: some priors draw slowly."""


Tell = Callable[[str, int, int], None]
"""Told what is being computed, how much of it is done, and of how much."""


def silent(what: str, done: int, of: int) -> None:
    """Tells nobody."""


def in_chunks(z: Tensor) -> tuple[Tensor, ...]:
    """Codes, or indices of images, in parts that are decoded or read at a time."""
    return z.split(sizes.rows(z.device, sizes.IMAGE, CHUNK))


@dataclass
class Material(ABC):
    """What every metric may look at: the data, the protocol, and what a run's metrics share.

    cache: folder for what runs share, feature networks and the features of real images. inception: file of the
    Inception network's weights, where there is one.
    """

    data: Dataset
    protocol: ProtocolSettings
    seed: int
    progress: Tell = silent
    cache: Path = Path("results") / "cache"
    inception: Path | None = None
    networks: dict[str, Network] = field(default_factory=dict)
    features: dict[tuple[str, str, bool], Features] = field(default_factory=dict)

    @abstractmethod
    def sets(self) -> Mapping[str, Callable[[], Tensor]]:
        """Sets of images by name, each made when it is first asked for."""

    def images(self, which: str) -> Tensor:
        """A set of images by name, (n, *shape), kept."""
        return self.sets()[which]()

    @property
    def count(self) -> int:
        """Images in each set."""
        return min(self.protocol.generated, len(self.data.test))

    def kept(self, x: Tensor) -> Tensor:
        """Points as metrics of samples see them: pictures in 256 grey levels, as files have them, others unchanged."""
        return pictures(x) if self.data.of_pictures else x

    def real(self, split: Split, index: Tensor) -> Tensor:
        """Images of a split before any binarisation, kept, (n, *shape)."""
        index = index.to(split.stored.device)
        return torch.cat([self.kept(split.original.batch(part)) for part in in_chunks(index)])

    def real_sets(self) -> dict[str, Callable[[], Tensor]]:
        """The sets of real images; "held-out" are training images that are not among "training"."""
        return {
            "test": lambda: self.test,
            "training": lambda: self.training[0],
            "held-out": lambda: self.training[1],
            "all-training": lambda: self.all_training,
        }

    @cached_property
    def test(self) -> Tensor:
        """The first test images."""
        return self.real(self.data.test, torch.arange(self.count))

    @property
    def validation(self) -> Tensor:
        """The first validation images, as many as test images at most."""
        return self.real(self.data.validation, torch.arange(min(self.count, len(self.data.validation))))

    @cached_property
    def training(self) -> tuple[Tensor, Tensor]:
        """Two disjoint sets of training images, drawn at random; smaller ones where there are too few."""
        with stream(self.seed, "training"):
            chosen = torch.randperm(len(self.data.train))
        size = min(self.count, len(chosen) // 2)
        first, second = (self.real(self.data.train, part) for part in chosen[: 2 * size].split(size))
        return first, second

    @cached_property
    def all_training(self) -> Tensor:
        """Every training image, or the first of them where they have more than NUMBERS elements together."""
        most = NUMBERS // math.prod(self.data.shape)
        return self.real(self.data.train, torch.arange(min(len(self.data.train), most)))


@dataclass
class DataOnly(Material):
    """The data in a model's place: the row `data` of a table."""

    def sets(self) -> Mapping[str, Callable[[], Tensor]]:
        return self.real_sets()


@dataclass(kw_only=True)
class Evaluated(Material):
    """A trained model with its prior. What several metrics need is computed once, from a stream of its own."""

    model: Autoencoder
    prior: Prior

    def sets(self) -> Mapping[str, Callable[[], Tensor]]:
        own: dict[str, Callable[[], Tensor]] = {
            "generated": lambda: self.generated,
            "reconstruction": lambda: self.reconstructed,
            "low-posterior": lambda: self.low_posterior,
            "high-posterior": lambda: self.high_posterior,
        }
        return own | self.real_sets()

    # The posterior and the likelihood

    @cached_property
    def q(self) -> IndexedDistribution:
        """q(z|x) of every test image, encoded once."""
        return self.model.encode_all(self.data.test.seen)

    @cached_property
    def importance(self) -> Importance:
        """The likelihood's estimates for the protocol's images: all, or the first of them."""
        count = min(self.protocol.images or len(self.data.test), len(self.data.test))
        with stream(self.seed, "likelihood"):
            return importance_sampling(
                self.data.test,
                self.q[:count],
                self.model.score,
                density(self.prior).frozen(),
                self.protocol.samples,
                seed=lambda i: seed_for(self.seed, "likelihood", i),
                progress=lambda done: self.progress("likelihood", done, count),
            )

    def log_p(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, (n, D) -> (n,), float64."""
        log_prior, dtype = density(self.prior).frozen(), self.q.mean.dtype
        return torch.cat([log_prior(part.to(dtype)).double() for part in in_chunks(z)])

    @property
    def certainty(self) -> Certainty:
        """How far the prior's own density is to be trusted, which is so of all that it takes part in."""
        law = density(self.prior)
        return law.certainty if law.reliable else "unreliable"

    # Codes

    @cached_property
    def encoded(self) -> IndexedDistribution:
        """q(z|x) of every training image, batch (N,)."""
        with stream(self.seed, "encoded"):
            return self.model.encode_all(self.data.train)

    @cached_property
    def aggregate(self) -> NormalMixture:
        """q(z) = 1/N sum_n q(z|x_n) over the training images, in float64; Unsupported for other posteriors."""
        return mixture_of(self.encoded, "the aggregate posterior's density").double()

    @cached_property
    def codes(self) -> tuple[Tensor, Tensor]:
        """z ~ q(z), (CODES, D), and the training image that each is of."""
        with stream(self.seed, "codes"):
            return latent.draw_codes(self.aggregate, CODES)

    @cached_property
    def at_codes(self) -> latent.AtCodes:
        """The aggregate posterior's log-densities at the codes."""
        return latent.densities_at_codes(self.aggregate, *self.codes)

    @cached_property
    def log_p_at_codes(self) -> Tensor:
        """ln p(z) at the codes, (CODES,), float64."""
        return self.log_p(self.codes[0])

    @cached_property
    def draws(self) -> Tensor:
        """z ~ p(z), (CODES, D)."""
        with stream(self.seed, "draws"):
            return self.prior.sample(CODES)

    @cached_property
    def log_p_at_draws(self) -> Tensor:
        """ln p(z) at the prior's draws, (CODES,), float64."""
        return self.log_p(self.draws)

    # Sets of images

    def decoded(self, z: Tensor, what: str) -> Tensor:
        """E[x|z], (n, D) -> (n, *shape), kept."""
        parts = []
        for part in in_chunks(z):
            parts.append(self.kept(self.model.decode(part)))
            self.progress(what, sum(map(len, parts)), len(z))
        return torch.cat(parts)

    @cached_property
    def generated(self) -> Tensor:
        """E[x|z] at z ~ p."""
        with stream(self.seed, "generated"):
            return self.decoded(self.prior.sample(self.count), "generated")

    @cached_property
    def reconstructed(self) -> Tensor:
        """E[x|z] at one z ~ q(z|x) for each of the first test images."""
        with stream(self.seed, "reconstructed"):
            return self.decoded(self.q[: self.count].sample(), "reconstructed")

    @cached_property
    def many_generated(self) -> Tensor:
        """E[x|z] at z ~ p: `generated`, or where the test set is small as many as the protocol has, MANY times it at
        most."""
        n = min(self.protocol.generated, MANY * self.count)
        if n == self.count:
            return self.generated
        with stream(self.seed, "many generated"):
            return self.decoded(self.prior.sample(n), "many generated")

    def least_covered(self, pool: int, count: int) -> Tensor:
        """Of `pool` draws of the prior those with the lowest ln q(z), (count, D): latent pockets, if there are any."""
        z = self.prior.sample(pool)
        return z[self.aggregate.log_prob_in_chunks(z).argsort()[:count]]

    def least_likely(self, pool: int, count: int) -> Tensor:
        """Of `pool` codes z ~ q(z) those with the lowest ln p(z), (count, D): latent leaks, if there are any."""
        z, _ = latent.draw_codes(self.aggregate, pool)
        return z[self.log_p(z).argsort()[:count]].to(self.q.mean.dtype)

    @cached_property
    def low_posterior(self) -> Tensor:
        """E[x|z] at the prior's draws with the lowest ln q(z), one in POOL (dpVAE, sections 4.1 and 5.1)."""
        with stream(self.seed, "low posterior"):
            return self.decoded(self.least_covered(POOL * self.count, self.count), "low posterior")

    @cached_property
    def high_posterior(self) -> Tensor:
        """E[x|z] at the codes with the lowest ln p(z), one in POOL (dpVAE, section 4.1)."""
        with stream(self.seed, "high posterior"):
            return self.decoded(self.least_likely(POOL * self.count, self.count), "high posterior")
