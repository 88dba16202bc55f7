"""Caltech 101 Silhouettes: outlines of objects, filled."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register
from benchmarks.datasets.files import expect, obtain
from benchmarks.datasets.matlab import matrices, upright

FILE = "caltech101_silhouettes_28_split1.mat"
URL = f"https://people.cs.umass.edu/~marlin/data/{FILE}"
PUBLISHED = {"train_data": 4100, "val_data": 2264, "test_data": 2307}
NAME = "caltech101-silhouettes"


@register(NAME, "8671 silhouettes of objects, 1x28x28, 4100/2264/2307, binary")
def load(folder: Path, options: Options) -> Source:
    """Marlin et al. (2010): Caltech101Silhouettes/caltech101_silhouettes_28_split1.mat, the published split.

    Matrices 'train_data' (4100, 784), 'val_data' (2264, 784) and 'test_data' (2307, 784) of 0 and 1; a row is an image,
    pixel column by pixel column. The values are inverted (1 - x), as in the released code of the VampPrior (Tomczak and
    Welling, 2018), whose numbers others compare with.
    """
    path = obtain(folder / "Caltech101Silhouettes" / FILE, URL, NAME, options)
    rows = matrices(path, NAME, dict.fromkeys(PUBLISHED), columns=784)
    for part, published in zip(rows, PUBLISHED.values(), strict=True):
        expect(len(part), published, NAME, path, options)
    train, validation, test = (inverted(upright(part, 28, 28), path) for part in rows)
    return Source(train, validation, test, levels=2)


def inverted(images: Tensor, path: Path) -> Tensor:
    """1 - x as uint8. Raises DataError unless x is 0 and 1."""
    if not ((images == 0) | (images == 1)).all():
        raise DataError(
            f"Data set '{NAME}': {path} has values other than 0 and 1: it is another version; delete it and get it "
            "again."
        )
    return 1 - images.to(torch.uint8)
