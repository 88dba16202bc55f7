"""Getting a data set's files and reading them, where every failure is one DataError that names the path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.datasets.base import DataError, Options, require, verify


def obtain(path: Path, url: str, name: str, options: Options, size: str = "", sha256: str | None = None) -> Path:
    """The local file `path`, fetched from `url` where it is missing and options.download allows it.

    Raises DataError where it is missing, cannot be fetched, or has another SHA-256 than `sha256`.
    """
    if options.download and not path.is_file():
        with downloading(name, url, path):
            fetch(url, path)
    note = f" ({size})" if size else ""
    require(path, name, f"add --download to fetch it{note}, or get {url} and put it there.")
    if sha256 is not None:
        verify(path, name, sha256, options)
    return path


def fetch(url: str, path: Path) -> None:
    """Downloads to a neighbouring file first, so that a broken connection never leaves half a file at `path`."""
    import pooch

    with replacing(path) as part:
        # The downloader alone, not pooch.retrieve, whose logger prints a line per file.
        pooch.HTTPDownloader(timeout=60)(url, str(part), None)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends, and is removed when the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")  # two runs may fetch the same file
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def downloading(name: str, url: str, place: Path) -> Iterator[None]:
    """Turns whatever a download raises into a DataError with the URL and the place to put the file."""
    try:
        yield
    except Exception as error:  # requests, urllib, zipfile, tarfile and torchvision each have errors of their own
        raise DataError(
            f"Data set '{name}' could not be downloaded ({type(error).__name__}): get {url} in another way and put it "
            f"at {place}."
        ) from error


@contextmanager
def reading(name: str, path: Path, remedy: str = "delete it and get it again") -> Iterator[None]:
    """Turns whatever a reader raises on a corrupt file into a DataError that names the file and the remedy."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # readers of foreign formats raise anything: struct.error, zlib.error, AssertionError...
        raise DataError(
            f"Data set '{name}': {path} cannot be read ({type(error).__name__}): it is truncated, corrupt or in "
            f"another format; {remedy}."
        ) from error


def expect(found: int, published: int, name: str, path: Path, options: Options) -> None:
    """Raises DataError unless `path` holds as many images as the published file (or options.any_checksum)."""
    if found == 0 or (found != published and not options.any_checksum):
        raise DataError(
            f"Data set '{name}': {path} holds {found} images, the published one {published}: it is truncated or "
            "another version; delete it and get it again, or pass --any-checksum to use it as it is."
        )
