"""MATLAB files of images: matrices by name, and images that MATLAB stored column by column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError
from benchmarks.datasets.files import reading

if TYPE_CHECKING:
    import numpy as np


def matrices(path: Path, name: str, rows: dict[str, int | None], columns: int | None = None) -> list[np.ndarray]:
    """The matrices that `rows` names, in that order, checked against its numbers of rows and against `columns`.

    None takes any number. Raises DataError for a file that is unreadable, lacks a matrix, or has another shape.
    """
    from scipy.io import loadmat

    with reading(name, path):
        held = loadmat(path, variable_names=list(rows))
    for key, count in rows.items():
        found = held.get(key)
        fits = found is not None and found.ndim == 2 and found.dtype.kind in "buif"  # numbers: no text, no cells
        if not fits or (count or found.shape[0], columns or found.shape[1]) != found.shape:
            raise DataError(
                f"Data set '{name}': {path} has no matrix '{key}' of {count or 'N'} x {columns or 'N'} numbers: "
                "it is another file; delete it and get it again."
            )
    return [held[key] for key in rows]


def upright(rows: np.ndarray, height: int, width: int) -> Tensor:
    """Images (N, 1, height, width) from rows (N, width * height) that list each image column by column."""
    images = rows.reshape(len(rows), width, height).swapaxes(1, 2)
    return torch.from_numpy(images.copy()).unsqueeze(1)
