"""The sets of images as features of a network: each set passes through it once a run, real images once for all runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import torch

from benchmarks.evaluation.subject import Subject
from benchmarks.features import Features, Network, cached, features_of, inception, stretched
from benchmarks.features.classifier import STEPS, classifier
from priors.base import Unsupported

STRETCHED = "-stretched"
"""Ends the name of a set whose pictures are stretched one by one, as FlexAE's code does with those of a model."""


def features(subject: Subject, network: str, which: str) -> Features:
    """The features of a set of images (`Subject.images`) under a network of NETWORKS, on the CPU."""
    if not subject.data.of_pictures:
        raise Unsupported("the data are no pictures with elements in [0, 1]: no feature network reads them")
    if (network, which) not in subject.features:
        subject.features[network, which] = _features(subject, network_of(subject, network), which)
    return subject.features[network, which]


def network_of(subject: Subject, name: str) -> Network:
    """A network of NETWORKS, made once a run."""
    if name not in subject.networks:
        subject.networks[name] = NETWORKS[name](subject)
    return subject.networks[name]


def _features(subject: Subject, network: Network, which: str) -> Features:
    shown = subject.images(which.removesuffix(STRETCHED))
    if which.endswith(STRETCHED):
        shown = stretched(shown)

    def compute() -> Features:
        told = f"{network.name}, {which}"
        return features_of(network, shown, progress=lambda done: subject.progress(told, done, len(shown)))

    real = which in ("test", "training", "held-out")
    return cached(subject.cache, network, shown, compute) if real else compute()


@lru_cache(maxsize=1)
def _inception(path: Path, device: torch.device) -> Network:
    return inception.load(path, device=device)


def of_inception(subject: Subject) -> Network:
    """Inception with the weights of the subject's file."""
    return _inception(subject.inception, subject.data.test.stored.device)


def of_classifier(subject: Subject) -> Network:
    """A classifier of the data set's own classes, trained where no run has done so yet."""
    data = subject.data
    if data.labels is None:
        raise Unsupported(f"no labels to train a classifier on: {data.name} has none, or their files are missing")
    train, test = (subject.real(split, torch.arange(len(split))) for split in (data.train, data.test))
    tell = partial(subject.progress, "training the classifier, steps")
    return classifier(
        data.name, train, data.labels[0], test, data.labels[2], subject.cache, progress=lambda done: tell(done, STEPS)
    )


NETWORKS: dict[str, Callable[[Subject], Network]] = {"inception": of_inception, "classifier": of_classifier}
