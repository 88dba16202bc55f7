"""MNIST binarised once and for all, as the older literature reports it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register
from benchmarks.datasets.files import expect, obtain, reading

URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
PUBLISHED = {"train": 50_000, "valid": 10_000, "test": 10_000}
SIZE = "110 MB in three files"


@register("static-mnist", "MNIST binarised once by Larochelle, 1x28x28, 50k/10k/10k, binary")
def load(folder: Path, options: Options) -> Source:
    """Larochelle and Murray (2011), after Salakhutdinov and Murray (2008): three text files in StaticMNIST.

    A line is an image: 784 zeros and ones with spaces between them, row by row. No checksum was published with the
    files; the digest of what was loaded goes into the protocol instead.
    """
    parts = []
    for part, count in PUBLISHED.items():
        file = f"binarized_mnist_{part}.amat"
        path = obtain(folder / "StaticMNIST" / file, URL + file, "static-mnist", options, SIZE)
        parts.append(read_amat(path))
        expect(len(parts[-1]), count, "static-mnist", path, options)
    train, validation, test = parts
    return Source(train, validation, test, levels=2)


def read_amat(path: Path) -> Tensor:
    """uint8 (N, 1, 28, 28) of 0 and 1. Every value is one character, so counting characters replaces parsing lines."""
    import numpy as np

    with reading("static-mnist", path):
        text = np.fromfile(path, dtype=np.uint8)
    bits = text[(text == ord("0")) | (text == ord("1"))]
    spaces = np.isin(text, np.frombuffer(b" \r\n", dtype=np.uint8)).sum()
    if len(bits) + spaces != len(text) or len(bits) % 784:
        raise DataError(
            f"Data set 'static-mnist': {path} is not lines of 784 zeros and ones: it is truncated or another file; "
            "delete it and get it again."
        )
    return torch.from_numpy(bits - ord("0")).view(-1, 1, 28, 28)
