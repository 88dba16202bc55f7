"""Pickles of arrays, read without the right to run anything.

A pickle may name any function for the reader to call. The two data sets that are published as pickles need only what
rebuilds a NumPy array, so the reader below knows these names and refuses all others.
"""

from __future__ import annotations

import codecs
import pickle
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.datasets.base import DataError
from benchmarks.datasets.files import reading


def load_arrays(file: BinaryIO, name: str, path: Path) -> Any:
    """Dicts, lists, numbers, strings and NumPy arrays from a pickle (Python 2's or 3's). Raises DataError otherwise."""
    with reading(name, path):
        # Python 2 pickled raw bytes as text; latin1 maps each byte to itself.
        return _ArraysOnly(file, name, path).load()


class _ArraysOnly(pickle.Unpickler):
    def __init__(self, file: BinaryIO, name: str, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self.allowed = _array_builders()
        self.refusal = f"Data set '{name}': {path} is a pickle that asks for"

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise DataError(
                f"{self.refusal} '{module}.{name}', which arrays do not need and which could run code: it is not the "
                "published file; delete it and get it again."
            )
        return self.allowed[module, name]


def _array_builders() -> dict[tuple[str, str], Any]:
    """What pickled arrays refer to. NumPy 2 moved `core` to `_core`; old pickles use the old name."""
    import numpy as np

    # Taken from objects, not imported: their home is private and has moved.
    rebuild, scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    builders: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): codecs.encode,
    }
    for home in ("numpy.core.multiarray", "numpy._core.multiarray"):
        builders[home, "_reconstruct"] = rebuild
        builders[home, "scalar"] = scalar
    return builders
