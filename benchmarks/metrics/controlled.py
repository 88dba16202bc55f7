"""What metrics look at where a control stands in a model's place: its images for generated ones, an exact law for the
prior, and a fixed linear encoder for what a training would have given.

Every set of images is disjoint from every other. The metrics of memorisation need a training set, a reference that has
not been trained on, and generated images that are in neither; those of samples need a reference that no generated image
is in, and a classifier that has seen neither. Five sets are therefore drawn anew from all images of the data set by the
run's seed: so seeds differ as draws of data do, and the controls of one seed share their training set, reference and
classifier, which makes their differences pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from benchmarks.common.seeds import seed_for, stream
from benchmarks.datasets import Dataset, Split
from benchmarks.features import pictures
from benchmarks.metrics.controls import Control, Real
from benchmarks.metrics.evaluated import Evaluated
from benchmarks.metrics.protocol import ProtocolSettings
from models.base import Autoencoder, Indexed
from priors.base import Unsupported
from priors.parts.normal import DiagonalNormal, NormalMixture, NormalMixtureDensity, mixture_of

SPARE = 4 / 3
"""Unseen images for each one that a control gives: it may leave out a class of up to a quarter of them."""

NO_DECODER = "a control stands in the place of the model: its images are given, and nothing decodes a code"


class Drawn(NamedTuple):
    """A data set whose splits were drawn anew, and unseen images beside them with their classes."""

    data: Dataset
    unseen: Tensor
    labels: Tensor | None


class Linear(Autoencoder):
    """The posterior of probabilistic principal components, x ~ N(W z + b, s^2 I) with z ~ N(0, I), W = U (L - s^2)^1/2:

        q(z_d|x) = N( (l_d - s^2)^1/2 / l_d u_d.(x - b), s^2 / l_d )

    with the D largest eigenvalues l_d of the training images' covariance, their vectors u_d, and s^2 the mean of the
    others (Tipping and Bishop 1999). Nothing is trained, and nothing is decoded.
    """

    centre: Tensor
    weight: Tensor
    log_variance: Tensor

    def __init__(self, x: Tensor, latent_dim: int):
        nn.Module.__init__(self)  # there are no networks
        values, vectors = torch.linalg.eigh(torch.atleast_2d(x.flatten(1).double().T.cov()))
        if latent_dim >= len(values):
            raise Unsupported(f"{latent_dim} principal components of {len(values)} leave nothing: lower latent_dim")
        noise, kept = values[:-latent_dim].mean(), values[-latent_dim:]
        scale = (kept - noise).clamp_min(0).sqrt() / kept
        self.register_buffer("centre", x.flatten(1).double().mean(0))
        self.register_buffer("weight", vectors[:, -latent_dim:] * scale)
        self.register_buffer("log_variance", (noise / kept).log())

    def encode(self, x: Tensor) -> DiagonalNormal:
        mean = ((x.flatten(1).double() - self.centre) @ self.weight).to(torch.float32)
        return DiagonalNormal(mean, self.log_variance.to(mean).expand_as(mean))

    def encode_all(self, x: Indexed, chunk: int = 1000) -> DiagonalNormal:
        parts = [self.encode(x[i : i + chunk]) for i in range(0, len(x), chunk)]
        return DiagonalNormal(*(torch.cat([getattr(one, name) for one in parts]) for name in ("mean", "log_variance")))

    def parameters_of_x(self, z: Tensor) -> NoReturn:
        raise Unsupported(NO_DECODER)

    def decode(self, z: Tensor) -> NoReturn:
        raise Unsupported(NO_DECODER)

    def log_likelihood(self, x: Tensor, z: Tensor) -> NoReturn:
        raise Unsupported(NO_DECODER)

    def score(self, x: Tensor, z: Tensor) -> NoReturn:
        raise Unsupported(NO_DECODER)

    def players(self, prior: Any) -> NoReturn:
        raise Unsupported(NO_DECODER)

    def validation_loss(self, x: Tensor, prior: Any) -> NoReturn:
        raise Unsupported(NO_DECODER)


class OfImages(NormalMixtureDensity):
    """The exact mixture of the posteriors of given images: the law of codes that a model has which draws them."""

    def __init__(self, posterior: DiagonalNormal):
        super().__init__()
        self.mixture = mixture_of(posterior, "a control")

    def law(self) -> NormalMixture:
        return self.mixture


@dataclass(kw_only=True)
class Controlled(Evaluated):
    """A control as metrics look at it. made: its images.

    Its decoder is perfect, so that reconstructions are unseen real images: those of the validation set.
    """

    control: Control
    made: Tensor

    @property
    def count(self) -> int:
        return count_of(self.control, self.protocol, len(self.data.test))

    @cached_property
    def generated(self) -> Tensor:
        return self.made

    @cached_property
    def many_generated(self) -> Tensor:
        """No more than `generated`: real images are few."""
        return self.made

    @cached_property
    def reconstructed(self) -> Tensor:
        return self.validation


def controlled(
    control: Control, latent_dim: int, data: Dataset, protocol: ProtocolSettings, seed: int, *rest: Any
) -> Controlled:
    """A control on a data set. rest: as of Material. Unsupported where there are too few images, or no pictures."""
    if not data.of_pictures:
        raise Unsupported("the data are no pictures with elements in [0, 1]: no control is known for them")
    drawn, count = drawn_anew(data, protocol, seed), count_of(control, protocol, len(data.test))
    unseen, training = pictures(drawn.unseen), pictures(drawn.data.train[:])
    with stream(seed, "control", control.name):
        made = control.damage(Real(unseen, drawn.labels, training), count)
        made = made[torch.randperm(count, device=made.device)]  # some metrics take the first of them
    model = Linear(drawn.data.train[:], latent_dim)
    prior = OfImages(model.encode(made / 255))
    return Controlled(
        drawn.data, protocol, seed, *rest, model=model.eval(), prior=prior.eval(), control=control, made=made
    )


def count_of(control: Control, protocol: ProtocolSettings, test: int) -> int:
    """Images in each set."""
    return int(control.part * min(protocol.generated, test))


def drawn_anew(data: Dataset, protocol: ProtocolSettings, seed: int) -> Drawn:
    """All images of the data set in a new order by the seed, grey as they were: a test and a validation set of their
    sizes, unseen images, and the rest to train on."""
    splits = [split.original for split in (data.train, data.validation, data.test)]
    images = torch.cat([split.stored for split in splits])
    labels = None if data.labels is None else torch.cat(data.labels)
    count = min(protocol.generated, len(data.test))
    aside = [max(len(data.validation), count), len(data.test), math.ceil(SPARE * count)]
    training = len(images) - sum(aside)
    if training < count:
        raise Unsupported(f"{len(images)} images are too few for sets of {count}: lower protocol.generated")
    sizes = [training, *aside]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_for(seed, "drawn anew")))
    train, validation, test, unseen = (Split(images[part], splits[0].scale) for part in order.split(sizes))
    classes = None if labels is None else labels[order].split(sizes)
    anew = replace(data, train=train, validation=validation, test=test, binarisation="none")
    if classes is None:
        return Drawn(replace(anew, labels=None), unseen[:], None)
    of_train, of_validation, of_test, of_unseen = classes
    return Drawn(replace(anew, labels=(of_train, of_validation, of_test)), unseen[:], of_unseen)
