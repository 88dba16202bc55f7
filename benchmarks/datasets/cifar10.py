"""CIFAR-10: small colour photographs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register, require
from benchmarks.datasets.files import downloading, expect, reading
from benchmarks.datasets.pickles import load_arrays
from benchmarks.datasets.vision import check_md5, torchvision

PUBLISHED = (50_000, 10_000)


@register("cifar10", "60,000 photographs of ten kinds, 3x32x32 colour, 45k/5k/10k, not binarised")
def load(folder: Path, options: Options) -> Source:
    """Krizhevsky (2009), in cifar-10-batches-py: five pickled training batches and one for the test.

    A batch is a dict whose 'data' is (10000, 3072) bytes: the red plane row by row, then green, then blue. The last
    tenth of the training images (5000 of 50,000), which are in random order, is for validation. torchvision gives
    names, MD5s and the download; the pickles are read without the right to run code.
    """
    known = torchvision().datasets.CIFAR10
    place = folder / known.base_folder
    if options.download and not all((place / file).is_file() for file, _ in known.train_list + known.test_list):
        with downloading("cifar10", known.url, place):
            known(folder, download=True)
    images = torch.cat([read_batch(place / file, md5, options) for file, md5 in known.train_list])
    test = torch.cat([read_batch(place / file, md5, options) for file, md5 in known.test_list])
    for part, published in zip((images, test), PUBLISHED, strict=True):
        expect(len(part), published, "cifar10", place, options)
    held_out = len(images) // 10
    train, validation = images.split([len(images) - held_out, held_out])
    return Source(train, validation, test, scale=1 / 255, levels=256)


def read_batch(path: Path, md5: str, options: Options) -> Tensor:
    """uint8 (N, 3, 32, 32)."""
    how = "add --download to fetch it (170 MB), or unpack cifar-10-python.tar.gz there."
    require(path, "cifar10", how)
    check_md5(path, md5, "cifar10", options)
    with path.open("rb") as file:
        batch = load_arrays(file, "cifar10", path)
    with reading("cifar10", path):
        data = torch.from_numpy(batch["data"])
    if data.dtype != torch.uint8 or data.shape[1:] != (3072,):
        raise DataError(f"Data set 'cifar10': {path} holds no rows of 3072 bytes; delete it and get it again.")
    return data.view(-1, 3, 32, 32)
