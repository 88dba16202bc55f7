"""Data sets by name: `load("mnist", folder)` gives three splits, a binarisation rule and a digest.

Each module here registers its loaders, and is imported when a name is first asked for. A loader imports what reads its
files (scikit-learn, SciPy, Pillow, pooch, torchvision) when it is called, so that all of them cost no more than
importing torch.
"""

from __future__ import annotations

from benchmarks.datasets.base import DATASETS, DataError, Dataset, Options, Source, Split, check, load, register

__all__ = ["DATASETS", "DataError", "Dataset", "Options", "Source", "Split", "check", "load", "register"]
