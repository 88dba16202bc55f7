"""`npz:FILE`: a user's own arrays, such as counts of cells by genes or the columns of a table."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, register
from benchmarks.datasets.folder import FEWEST, complete
from priors.wording import cut

IMAGES = ("x", "train", "validation", "test")
LABELS = ("labels", "train_labels", "validation_labels", "test_labels")
"""What a file may hold: of all examples, or of each split."""

HELP = "arrays train, validation and test or x alone, and their classes as train_labels, ... or labels"

LARGEST = 2**24
"""Of whole numbers: float32, in which models compute, has all of them up to here."""


@register("npz", "your own arrays: npz:FILE with train, validation and test, or x alone")
def load(file: Path, options: Options) -> Source:
    """Arrays (N, *shape) of any shape. A split that is missing is a tenth of the training examples, drawn by a seed.

    uint8 of shape (N, 1, H, W) or (N, 3, H, W) are pictures, 255 for white. Other whole numbers stay what they are:
    where none is negative they have levels, 0 and 1 two, which are bounded, and counts or categories up to L - 1 have
    L. Real numbers are bounded where all of them lie in [0, 1].
    """
    file = file.expanduser()
    content = read(file)
    if strange := sorted({*content} - {*IMAGES, *LABELS}):
        raise DataError(f"Data set 'npz': {file} holds '{cut(strange[0])}', and it may hold {HELP}.")
    splits = parts(file, content, chosen(file, content, IMAGES), numbers)
    labels = parts(file, content, chosen(file, content, LABELS, needed=False), classes)
    demand_one_shape(file, splits)
    source = described(*complete(*splits))
    return with_classes(file, source, splits, labels) if labels else source


def parts(
    file: Path, content: Mapping[str, np.ndarray[Any, Any]], names: list[str], read: Callable[..., Tensor]
) -> list[Tensor]:
    """Training, validation and test as tensors, a missing one empty."""
    found = [read(file, name, content[name]) if name else None for name in names]
    return [found[0][:0] if one is None and found[0] is not None else one for one in found]  # type: ignore[misc]


def read(file: Path) -> Mapping[str, np.ndarray[Any, Any]]:
    """The file's arrays; DataError where it is none, or holds objects, which only foreign code could read."""
    if not file.is_file():
        raise DataError(f"Data set 'npz': there is no file {file}: give one as npz:FILE, made by numpy.savez.")
    try:
        if not is_zipfile(file):
            raise BadZipFile
        with np.load(file, allow_pickle=False) as content:
            found = {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, BadZipFile, AttributeError, zlib.error, MemoryError) as error:
        raise DataError(f"Data set 'npz': {file} cannot be read, as {reason(error)}: make it by numpy.savez.") from None
    if strange := [name for name, array in found.items() if not isinstance(array, np.ndarray)]:
        raise DataError(f"Data set 'npz': '{cut(strange[0])}' of {file} is no array: make it by numpy.savez.")
    return found


def reason(error: Exception) -> str:
    """Why numpy could not read a file."""
    if isinstance(error, MemoryError):
        return "there is no memory for what it says to hold"
    return "it holds objects and not numbers" if "pickle" in str(error) else "it is no .npz file, or is damaged"


def chosen(file: Path, content: Mapping[str, Any], names: tuple[str, ...], needed: bool = True) -> list[str]:
    """The names that hold training, validation and test, "" for a missing one: x alone, or train with what there is."""
    whole, train, *others = names
    if not needed and not {*names} & {*content}:
        return []
    if whole in content and not {train, *others} & {*content}:
        return [whole, "", ""]
    if train not in content or whole in content:
        raise DataError(f"Data set 'npz': {file} needs either '{whole}' or '{train}': it may hold {HELP}.")
    return [train, *(name if name in content else "" for name in others)]


def numbers(file: Path, name: str, array: np.ndarray[Any, Any]) -> Tensor:
    """Examples as a tensor: uint8, int32 or float32."""
    if array.ndim < 2 or not array.size:
        raise DataError(
            f"Data set 'npz': '{name}' of {file} has the shape {array.shape}, and (N, ...) is needed, an example a row."
        )
    if array.dtype.kind not in "buif":
        raise DataError(f"Data set 'npz': '{name}' of {file} holds {array.dtype}, and numbers are needed.")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise DataError(f"Data set 'npz': '{name}' of {file} has numbers that are not finite: leave these out.")
        if np.abs(array).max() > np.finfo(np.float32).max:
            raise DataError(f"Data set 'npz': '{name}' of {file} has numbers beyond float32's 3.4e38: scale them.")
        return torch.from_numpy(array.astype(np.float32))
    if array.dtype != np.uint8 and array.dtype.kind != "b" and np.abs(array.astype(np.float64)).max() > LARGEST:
        raise DataError(f"Data set 'npz': '{name}' of {file} has whole numbers above {LARGEST:,}: scale them.")
    return torch.from_numpy(array.astype(np.uint8 if array.dtype.kind == "b" or array.dtype == np.uint8 else np.int32))


def classes(file: Path, name: str, array: np.ndarray[Any, Any]) -> Tensor:
    """Classes as whole numbers, (N,)."""
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise DataError(f"Data set 'npz': '{name}' of {file} must be whole numbers of shape (N,).")
    if array.size and (array.min() < 0 or array.max() > LARGEST):
        raise DataError(
            f"Data set 'npz': '{name}' of {file} has classes that are none of 0, 1, 2, ...: number them so."
        )
    return torch.from_numpy(array.astype(np.int64))


def demand_one_shape(file: Path, splits: list[Tensor]) -> None:
    """Raises DataError for splits that differ in shape or type, or that are too few to split."""
    for one in splits[1:]:
        if one.shape[1:] != splits[0].shape[1:] or one.dtype != splits[0].dtype:
            raise DataError(f"Data set 'npz': the splits of {file} differ in shape or type: make them alike.")
    if len(splits[0]) < FEWEST:
        raise DataError(f"Data set 'npz': {file} has {len(splits[0])} training examples, and {FEWEST} are needed.")


def described(train: Tensor, validation: Tensor, test: Tensor) -> Source:
    """What the numbers are, by their type and range."""
    every = (train, validation, test)
    low, high = min(one.min().item() for one in every), max(one.max().item() for one in every)
    if train.is_floating_point():
        return Source(*every, bounded=low >= 0 and high <= 1)
    if train.dtype == torch.uint8 and train.dim() == 4 and train.shape[1] in (1, 3) and high > 1:
        return Source(*every, scale=1 / 255, levels=256)
    levels = int(high) + 1 if low >= 0 else None
    return Source(*every, bounded=low >= 0 and high <= 1, levels=max(2, levels) if levels else None)


def with_classes(file: Path, source: Source, splits: list[Tensor], labels: list[Tensor]) -> Source:
    """The same with classes, which are part of the data's stamp."""
    if [*map(len, splits)] != [*map(len, labels)]:
        raise DataError(f"Data set 'npz': {file} has other numbers of classes than of examples: give one for each.")
    done = complete(*labels)
    return replace(source, labels=done, stamp=hashlib.sha256(torch.cat(done).numpy().data).hexdigest())
