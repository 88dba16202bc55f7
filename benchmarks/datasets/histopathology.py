"""Histopathology: grey patches of stained tissue."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register
from benchmarks.datasets.files import expect, obtain, reading
from benchmarks.datasets.pickles import load_arrays

URL = (
    "https://raw.githubusercontent.com/jmtomczak/vae_householder_flow/master/datasets/histopathologyGray/"
    "histopathology.pkl.tar.gz"
)
PUBLISHED = {"training": 6800, "validation": 2000, "test": 2000}
MARGIN = 1 / 512
NAME = "histopathology"


@register(NAME, "10,800 patches of tissue, 1x28x28 grey, 6800/2000/2000, not binarised")
def load(folder: Path, options: Options) -> Source:
    """Tomczak and Welling (2016, arXiv:1611.09630): Histopathology/histopathology.pkl, or that in its .tar.gz.

    A pickled dict of 'training', 'validation' and 'test', (N, 28, 28) in [0, 1]. Values are clipped to
    [1/512, 1 - 1/512] as in the published code, so that a density with bounded support stays finite.
    """
    path = folder / "Histopathology" / "histopathology.pkl"
    if not path.is_file():
        path = obtain(path.with_name("histopathology.pkl.tar.gz"), URL, NAME, options)
    held = read(path)
    if not isinstance(held, dict) or not PUBLISHED.keys() <= held.keys():
        raise DataError(
            f"Data set '{NAME}': {path} is not a dict with {', '.join(PUBLISHED)}: it is another file; delete it and "
            "get it again."
        )
    parts = [patches(held[part], path) for part in PUBLISHED]
    for part, published in zip(parts, PUBLISHED.values(), strict=True):
        expect(len(part), published, NAME, path, options)
    train, validation, test = parts
    return Source(train, validation, test, levels=256)


def read(path: Path) -> Any:
    """The unpickled object; a .tar.gz is read in memory, so that nothing it names is written anywhere."""
    with reading(NAME, path):
        packed = tarfile.is_tarfile(path)
        content = unpack(path) if packed else path.read_bytes()
    return load_arrays(io.BytesIO(content), NAME, path)


def unpack(archive: Path) -> bytes:
    """The bytes of the member histopathology.pkl."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if PurePosixPath(member.name).name == "histopathology.pkl" and (file := tar.extractfile(member)):
                return file.read()
    raise DataError(
        f"Data set '{NAME}': {archive} holds no histopathology.pkl: it is another file; delete it and get it again."
    )


def patches(values: Any, path: Path) -> Tensor:
    """float32 (N, 1, 28, 28), clipped."""
    import numpy as np

    with reading(NAME, path):
        images = torch.from_numpy(np.asarray(values, dtype=np.float32).reshape(-1, 1, 28, 28))
    # Clipping is for the ends of the interval; on bytes it would silently make every patch white.
    if images.numel() and not (images.amin() >= -MARGIN and images.amax() <= 1 + MARGIN):
        raise DataError(
            f"Data set '{NAME}': {path} has values outside [0, 1]: it is another version; delete it and get it again."
        )
    return images.clamp(MARGIN, 1 - MARGIN)
