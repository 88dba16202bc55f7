"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

TOGETHER = 16
"""Files that wait for the disk at once."""

PATIENCE = 20.0
"""Seconds for which a lock is waited for that nobody holds for long: whoever has it longer was stopped."""


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits: a plug-in's goes into the hash of the runs that use it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def try_writing(folder: Path) -> None:
    """Makes the folder where there is none; OSError where nothing can be written into it."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".write-{os.getpid()}"
    probe.touch()
    probe.unlink()


def write_atomically(path: Path, write: Callable[[BinaryIO], object], durable: bool = True) -> None:
    """The file under its name once all of it is written; a reader never meets half of it, whoever is killed when.

    durable: and once it is on the disk, so that a crash of the machine does not lose it. `settle` does so for many.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def settle(paths: Iterable[Path]) -> None:
    """Files that were written are on the disk from now on. Asked for together, most of them share one wait for it."""
    with ThreadPoolExecutor(TOGETHER) as threads:
        list(threads.map(settle_one, paths))


def settle_one(path: Path) -> None:
    """One of them, unless somebody has taken it away."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Removes what a killed process left half written."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Keeps out other processes, of other machines too, while files are written that belong together; for so long only
    as PATIENCE says, and not where the file system has no locks. What is within must be safe without, if not as tidy.
    """
    with ExitStack() as held:
        with suppress(Timeout, NotImplementedError, OSError):
            held.enter_context(FileLock(lock, timeout=PATIENCE, poll_interval=0.01))
        yield
