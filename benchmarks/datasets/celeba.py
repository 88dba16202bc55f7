"""CelebA: faces of celebrities, aligned, cropped and scaled once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register, require
from benchmarks.datasets.files import downloading, expect, reading, replacing
from benchmarks.datasets.image_files import picture
from benchmarks.datasets.vision import check_md5, torchvision

PAGE = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
PUBLISHED = {"train": 162_770, "validation": 19_867, "test": 19_962}
BOX = (15, 40, 163, 188)
"""Columns 15 to 163 and rows 40 to 188 of 178 x 218: the 148 x 148 around the face."""
SIDE = 64
LIST = "list_eval_partition.txt"


@register(
    "celeba",
    "202,599 faces, 3x64x64 colour (protocol.size for another side), official splits, not binarised",
    resizable=True,
)
def load(folder: Path, options: Options) -> Source:
    """Liu et al. (2015), in celeba: list_eval_partition.txt and img_align_celeba/ with 202,599 JPEGs of 178 x 218.

    The central 148 x 148 of each is scaled to options.size (64) with antialiasing. Decoding takes minutes, so the bytes
    are kept in celeba/priorbench_SIDE.pt, which is what later runs read.
    """
    place, side = folder / "celeba", options.size or SIDE
    cache = place / f"priorbench_{side}.pt"
    parts = read_cache(cache) if cache.is_file() else decode(folder, side, options, cache)
    for part, published in PUBLISHED.items():
        expect(len(parts[part]), published, "celeba", place, options)
    return Source(parts["train"], parts["validation"], parts["test"], scale=1 / 255, levels=256)


def read_cache(cache: Path) -> dict[str, Tensor]:
    """The three splits as an earlier run left them."""
    with reading("celeba", cache, "delete it, and it is made again from the images"):
        held = torch.load(cache, weights_only=True)
        return {part: held[part] for part in PUBLISHED}


def decode(folder: Path, side: int, options: Options, cache: Path) -> dict[str, Tensor]:
    """The three splits from the images, uint8 (N, 3, side, side), kept in `cache` as well."""
    place = folder / "celeba"
    images = place / "img_align_celeba"
    if options.download and not (images.is_dir() and (place / LIST).is_file()):
        with downloading("celeba", PAGE, place):
            torchvision().datasets.CelebA(folder, download=True)
    parts: dict[str, Tensor] = {}
    for part, names in read_list(place / LIST, options).items():
        expect(len(names), PUBLISHED[part], "celeba", place / LIST, options)
        parts[part] = torch.empty(len(names), 3, side, side, dtype=torch.uint8)
        for i, file in enumerate(names):
            require(images / file, "celeba", f"unpack img_align_celeba.zip (see {PAGE}) in {place}.")
            parts[part][i] = picture(images / file, "celeba", grey=False, side=side, box=BOX)
    # A folder that is full or cannot be written to costs the minutes again, but it is not an error.
    with suppress(OSError, RuntimeError), replacing(cache) as part_file:
        torch.save(parts, part_file)
    return parts


def read_list(path: Path, options: Options) -> dict[str, list[str]]:
    """File names by split: a line is a name and 0 (training), 1 (validation) or 2 (test)."""
    how = f"add --download to fetch the data set (1.4 GB), or see {PAGE} for img_align_celeba.zip and {LIST}."
    require(path, "celeba", how)
    known = {file: md5 for _, md5, file in torchvision().datasets.CelebA.file_list}
    check_md5(path, known[LIST], "celeba", options)
    names: dict[str, list[str]] = {part: [] for part in PUBLISHED}
    with reading("celeba", path):
        for line in path.read_text().splitlines():
            file, number = line.split()
            if Path(file).name != file:
                raise DataError(f"Data set 'celeba': {path} names '{file}', which is no file name; get it again.")
            names[list(PUBLISHED)[int(number)]].append(file)
    return names
