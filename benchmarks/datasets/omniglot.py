"""OMNIGLOT at 28 x 28, in the version on which VAEs are compared."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register, split_off
from benchmarks.datasets.files import expect, obtain
from benchmarks.datasets.matlab import matrices, upright

URL = "https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT/chardata.mat"
PUBLISHED = (24_345, 8_070)
VALIDATION = 1345
SEED = 42


@register("omniglot", "32,415 characters of 50 alphabets, 1x28x28 grey, 23000/1345/8070, dynamic")
def load(folder: Path, options: Options) -> Source:
    """Lake et al. (2015), scaled down by Burda et al. (2016, arXiv:1509.00519): OMNIGLOT/chardata.mat.

    Matrices 'data' (784, 24345) and 'testdata' (784, 8070) of grey values in [0, 1]; a column is an image, pixel column
    by pixel column. Validation is 1345 of the former after one seeded shuffle, because the file is sorted by alphabet.
    """
    path = obtain(folder / "OMNIGLOT" / "chardata.mat", URL, "omniglot", options)
    columns = matrices(path, "omniglot", {"data": 784, "testdata": 784})
    images, test = (upright(part.T, 28, 28).to(torch.float32) for part in columns)
    for part, published in zip((images, test), PUBLISHED, strict=True):
        expect(len(part), published, "omniglot", path, options)
        check_range(part, path)
    held_out = len(images) * VALIDATION // PUBLISHED[0]
    train, validation, _ = split_off(images, (len(images) - held_out, held_out, 0), SEED)
    return Source(train, validation, test, binarisation="dynamic")


def check_range(images: Tensor, path: Path) -> None:
    """Raises DataError unless all values are probabilities, which binarisation takes them for."""
    if not (images.amin() >= 0 and images.amax() <= 1):  # also true of NaN
        raise DataError(
            f"Data set 'omniglot': {path} has values outside [0, 1]: it is another version; delete it and get it again."
        )
