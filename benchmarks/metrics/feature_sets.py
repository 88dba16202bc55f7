"""The sets of images as features of a network: each set passes through it once a run, real images once for all runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import torch

from benchmarks.features import Features, Network, cached, features_of, inception, stretched
from benchmarks.features.classifier import STEPS, classifier
from benchmarks.metrics.evaluated import Material
from priors.base import Unsupported


def features(material: Material, network: str, which: str, stretch: bool = False) -> Features:
    """The features of a set of images (`Material.images`) under a network of NETWORKS, on the CPU.

    stretch: each picture is stretched to the full range before, as FlexAE's code does with those of a model.
    """
    if not material.data.of_pictures:
        raise Unsupported("the data are no pictures with elements in [0, 1]: no feature network reads them")
    key = (network, which, stretch)
    if key not in material.features:
        material.features[key] = _features(material, network_of(material, network), which, stretch)
    return material.features[key]


def network_of(material: Material, name: str) -> Network:
    """A network of NETWORKS, made once a run."""
    if name not in material.networks:
        material.networks[name] = NETWORKS[name](material)
    return material.networks[name]


def _features(material: Material, network: Network, which: str, stretch: bool) -> Features:
    shown = stretched(material.images(which)) if stretch else material.images(which)

    def compute() -> Features:
        told = f"{network.name}, {which}"
        return features_of(network, shown, progress=lambda done: material.progress(told, done, len(shown)))

    return cached(material.cache, network, shown, compute) if which in material.real_sets() else compute()


@lru_cache(maxsize=1)
def _inception(path: Path, device: torch.device) -> Network:
    return inception.load(path, device=device)


def of_inception(material: Material) -> Network:
    """Inception with the weights of the file that is there; Unsupported where there is none."""
    if material.inception is None:
        raise Unsupported(inception.HOW)
    return _inception(material.inception, material.data.test.stored.device)


def of_classifier(material: Material) -> Network:
    """A classifier of the data set's own classes, trained where no run has done so yet."""
    data = material.data
    if data.labels is None:
        raise Unsupported(f"no labels to train a classifier on: {data.name} has none, or their files are missing")
    train, test = (material.real(split, torch.arange(len(split))) for split in (data.train, data.test))
    tell = partial(material.progress, "training the classifier, steps")
    return classifier(
        data.name, train, data.labels[0], test, data.labels[2], material.cache, progress=lambda done: tell(done, STEPS)
    )


NETWORKS: dict[str, Callable[[Material], Network]] = {"inception": of_inception, "classifier": of_classifier}
