"""scikit-learn's digits: a data set that needs no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from benchmarks.datasets.base import Options, Source, register, split_off

SIZES = (1197, 300, 300)
SEED = 42


@register("digits", "1797 digits of scikit-learn, 1x8x8 grey, dynamic; comes with the package")
def load(folder: Path, options: Options) -> Source:
    """The test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998).

    1797 images of 8 x 8 values 0 to 16 (each counts the inked pixels of a 4 x 4 block), split 1197 / 300 / 300 after
    one seeded shuffle, because neighbours come from the same writer. An element is value / 16.
    """
    table = torch.from_numpy(read())
    images = table[:, :-1].to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = split_off(table[:, -1].long(), SIZES, SEED)
    splits = split_off(images, SIZES, SEED)
    return Source(*splits, scale=1 / 16, binarisation="dynamic", levels=17, labels=labels)


def read() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The package's table, (1797, 65): 64 values of an image and its digit. Read as scikit-learn reads it, without the
    second that its import takes; or by it, where the file lies elsewhere."""
    package = find_spec("sklearn")
    folders = package.submodule_search_locations or [] if package else []
    for folder in folders:
        if (file := Path(folder) / "datasets" / "data" / "digits.csv.gz").is_file():
            return np.loadtxt(file, delimiter=",", dtype=np.int64)
    from sklearn.datasets import load_digits

    return np.column_stack(load_digits(return_X_y=True)).astype(np.int64)
