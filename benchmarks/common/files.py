"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits: a plug-in's goes into the hash of the runs that use it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """The file under its name once all of it is on the disk; a reader or a crash never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Removes what a killed process left half written."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)
