"""`folder:PATH`: a user's own images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register, split_off
from benchmarks.datasets.folder_classes import classes_of
from benchmarks.datasets.image_files import mode, picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
VALIDATION = ("validation", "valid", "val")
FEWEST = 10
SEED = 42


@register(
    "folder",
    "your own images: folder:PATH, with subfolders train (validation, test) or all below PATH",
    resizable=True,
)
def load(folder: Path, options: Options) -> Source:
    """PNG, JPEG, BMP and WebP files at any depth, as uint8 (N, C, H, W); C = 1 if every image is grey, else 3.

    Where PATH has a subfolder train, the splits are train, validation (or valid, val) and test; otherwise all images
    below PATH are the training images. A split that is missing is a tenth of the training images, drawn by a seed.

    Classes are those of PATH/labels.csv, or else the subfolders that all images lie in (`folder_classes`).
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise DataError(f"Data set 'folder:{folder}': {folder} is not a folder; give one with images as folder:PATH.")
    roots, files = find_splits(folder)
    every = [path for paths in files for path in paths]
    classes = classes_of(folder, roots, files)
    grey = {mode(path, "folder") for path in every} <= {"L", "1"}
    sizes = [len(paths) for paths in files]
    train, validation, test = complete(*decode(every, grey, options.size).split(sizes))
    images = Source(train, validation, test, scale=1 / 255, levels=256)
    return images if classes is None else labelled(images, classes.split(sizes))


def labelled(images: Source, classes: Sequence[Tensor]) -> Source:
    """The images with their classes, split as they are. Other classes are other data, of the same images too."""
    train, validation, test = complete(*classes)
    stamp = hashlib.sha256(torch.cat([train, validation, test]).numpy().data).hexdigest()
    return replace(images, labels=(train, validation, test), stamp=stamp)


def find_splits(folder: Path) -> tuple[list[Path], list[list[Path]]]:
    """The folders of training, validation and test, and their files, sorted; a missing one has an empty list."""
    if not (folder / "train").is_dir():
        return [folder, folder, folder], [find_images(folder, FEWEST), [], []]
    held_out = [next((folder / n for n in names if (folder / n).is_dir()), None) for names in (VALIDATION, ("test",))]
    files = [find_images(folder / "train", FEWEST), *(find_images(place, 1) if place else [] for place in held_out)]
    return [folder / "train", *(place or folder for place in held_out)], files


def find_images(folder: Path, fewest: int) -> list[Path]:
    """All image files below `folder`, sorted by path. Raises DataError where there are fewer than `fewest`."""
    files = sorted(
        path
        for path in folder.rglob("*")
        # Archives made on a Mac have a "._name.png" beside each name.png, which is not an image.
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if len(files) < fewest:
        raise DataError(
            f"Data set 'folder': {folder} has {len(files)} images ({', '.join(sorted(SUFFIXES))}), and at least "
            f"{fewest} are needed: add some or give another path."
        )
    return files


def decode(files: Sequence[Path], grey: bool, side: int | None) -> Tensor:
    """uint8 (N, C, H, W). Raises DataError naming two images that differ in size, unless `side` makes them equal."""
    images: list[Tensor] = []
    for path in files:
        image = picture(path, "folder", grey, side)
        if images and image.shape != images[0].shape:
            (_, h, w), (_, h0, w0) = image.shape, images[0].shape
            raise DataError(
                f"Data set 'folder': {path} is {w} x {h} but {files[0]} is {w0} x {h0}: crop and scale all to one "
                "square with, for example, `--set protocol.size=32`."
            )
        images.append(image)
    return torch.stack(images)


def complete(train: Tensor, validation: Tensor, test: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The splits, where an empty one is replaced by a tenth of the training images, or of their classes alike."""
    tenth = len(train) // 10
    sizes = [tenth * (len(part) == 0) for part in (validation, test)]
    train, new_validation, new_test = split_off(train, (len(train) - sum(sizes), sizes[0], sizes[1]), SEED)
    return train, torch.cat([validation, new_validation]), torch.cat([test, new_test])
