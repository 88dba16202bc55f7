"""Data sets by name: `load("mnist", folder)` gives three splits, a binarisation rule and a digest.

Each module below registers its loaders on import. A loader imports what reads its files (scikit-learn, SciPy, Pillow,
pooch, torchvision) when it is called, so that importing this package costs no more than importing torch.
"""

from __future__ import annotations

from benchmarks.datasets import (  # noqa: F401  (imported so that they register)
    caltech,
    celeba,
    cifar10,
    digits,
    folder,
    freyfaces,
    gaussian,
    histopathology,
    mnist,
    moons,
    omniglot,
    onehot,
    static_mnist,
    svhn,
    synthetic,
)
from benchmarks.datasets.base import DataError, Dataset, Options, Split, available, check, load

__all__ = ["DataError", "Dataset", "Options", "Split", "available", "check", "load"]
