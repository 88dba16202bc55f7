"""SVHN: house numbers, cropped around each digit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register, require
from benchmarks.datasets.files import downloading, expect, reading
from benchmarks.datasets.vision import check_md5, torchvision

PUBLISHED = {"train": 73_257, "test": 26_032}
VALIDATION = 5000


@register("svhn", "99,289 digits of house numbers, 3x32x32 colour, 68257/5000/26032, not binarised")
def load(folder: Path, options: Options) -> Source:
    """Netzer et al. (2011): SVHN/train_32x32.mat and SVHN/test_32x32.mat, array 'X' (32, 32, 3, N) of bytes.

    The last 5000 training images are for validation. They are cut off in one piece and not drawn at random because the
    digits of one house, which share a photograph, stand beside each other in the file.
    """
    images, test = (read_part(part, folder / "SVHN", options) for part in PUBLISHED)
    held_out = len(images) * VALIDATION // PUBLISHED["train"]
    train, validation = images.split([len(images) - held_out, held_out])
    return Source(train, validation, test, scale=1 / 255, levels=256)


def read_part(part: str, place: Path, options: Options) -> Tensor:
    """uint8 (N, 3, 32, 32)."""
    from scipy.io import loadmat

    known = torchvision().datasets.SVHN
    url, file, md5 = known.split_list[part]
    path = place / file
    if options.download and not path.is_file():
        with downloading("svhn", url, path):
            known(place, split=part, download=True)
    require(path, "svhn", f"add --download to fetch it (246 MB with the other part), or get {url} and put it there.")
    check_md5(path, md5, "svhn", options)
    with reading("svhn", path):
        pixels = loadmat(path, variable_names=["X"])["X"]
    if pixels.dtype != "uint8" or pixels.shape[:3] != (32, 32, 3):
        raise DataError(f"Data set 'svhn': {path} holds no bytes 'X' (32, 32, 3, N); delete it and get it again.")
    images = torch.from_numpy(pixels.reshape(32, 32, 3, -1).transpose(3, 2, 0, 1).copy())
    expect(len(images), PUBLISHED[part], "svhn", path, options)
    return images
