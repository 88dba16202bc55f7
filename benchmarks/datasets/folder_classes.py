"""The classes of a user's own images, by a table or by the folders that they lie in."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError

TABLE = "labels.csv"
COLUMNS = ("file", "label")


def classes_of(folder: Path, roots: Sequence[Path], files: Sequence[Sequence[Path]]) -> Tensor | None:
    """0, 1, ... by the sorted names of classes, (N,), of all files of the splits in turn; None where there are none.

    roots: the folder of each split, in which its classes may be subfolders.
    """
    table = folder / TABLE
    names = by_table(table, [path for paths in files for path in paths]) if table.is_file() else by_folder(roots, files)
    if names is None:
        return None
    numbers = {name: number for number, name in enumerate(sorted({*names}))}
    return torch.tensor([numbers[name] for name in names])


def by_folder(roots: Sequence[Path], files: Sequence[Sequence[Path]]) -> list[str] | None:
    """The first folder below its split's that each image lies in; None where one lies in none, or all in the same."""
    inside = [path.relative_to(root).parts for root, paths in zip(roots, files, strict=True) for path in paths]
    names = [parts[0] for parts in inside if len(parts) > 1]
    return names if len(names) == len(inside) and len({*names}) > 1 else None


def by_table(table: Path, files: Sequence[Path]) -> list[str]:
    """The class of each image by a CSV that has a row for every one. DataError says what is wrong with it."""
    labels = read(table)
    names = [path.relative_to(table.parent).as_posix() for path in files]
    if missing := next((name for name in labels if name not in {*names}), None):
        raise DataError(f"Data set 'folder': {table} names {missing}, which is no image there: take its row away.")
    if missing := next((name for name in names if name not in labels), None):
        raise DataError(f"Data set 'folder': {table} has no row for {missing}: add one, or take the image away.")
    if len({*labels.values()}) < 2:
        raise DataError(
            f"Data set 'folder': {table} has one class only, and classes are two at least: add the others, or take the "
            "file away for images without classes."
        )
    return [labels[name] for name in names]


def read(table: Path) -> Mapping[str, str]:
    """Labels by file, as written, with slashes. DataError where it is no such table or names a file twice."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Data set 'folder': {table} is no CSV in UTF-8 ({error}): write it anew.") from None
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        name, label = (str(row.get(column) or "").strip() for column in COLUMNS)
        if not name or not label:
            raise DataError(
                f"Data set 'folder': line {number} of {table} has no file or no label: its columns are `file,label`, a "
                "row an image, such as `cats/1.png,cat`."
            )
        name = PurePosixPath(name.replace("\\", "/")).as_posix()
        if name in found:
            raise DataError(f"Data set 'folder': {table} names {name} twice: take one of its rows away.")
        found[name] = label
    if not found:
        raise DataError(f"Data set 'folder': {table} has no rows: give it one an image, with the columns `file,label`.")
    return found
