"""The site's folder: what is written whole or not at all, what is left alone, and what is taken away again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from benchmarks.common.errors import UsageError
from benchmarks.common.files import digest_of, settle, try_writing, write_atomically

MANIFEST = "site.json"
"""Names every file of the site with its SHA-256, so that the next build knows which are its own."""


def check(folder: Path) -> None:
    """Raises UsageError where nothing can be written into the folder, which is made where there is none."""
    try:
        try_writing(folder)
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror or str(error)
        raise UsageError(
            f"The site cannot be written to {folder}: {reason}; name another folder with --site."
        ) from None


def write(folder: Path, files: Mapping[str, bytes]) -> int:
    """The files, and no others that a site had before; how many were not there as they are.

    Raises UsageError, before anything is written, for a file of one of these names that no build has written.
    """
    before = read(folder)
    for name, content in files.items():
        path = folder / name
        if name not in before and path.exists() and not same(path, content):
            raise UsageError(f"{path} is there and is of no site: move it away, or name another folder with --site.")
    now = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    _keep(folder, before | now)
    changed = [name for name, content in files.items() if not same(folder / name, content)]
    for name in changed:
        put(folder / name, files[name], durable=False)
    settle(folder / name for name in changed)
    for name in before.keys() - now.keys():
        remove(folder / name, before[name])
    _keep(folder, now)
    return len(changed)


def put(path: Path, content: bytes, durable: bool = True) -> None:
    """A file with this content, whole or not at all."""
    write_atomically(path, lambda file: file.write(content), durable)


def same(path: Path, content: bytes) -> bool:
    """Is this what the file has?"""
    return path.is_file() and path.read_bytes() == content


def read(folder: Path) -> dict[str, str]:
    """The files of the last build with their SHA-256; UsageError where what tells them cannot be read."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in found.items() if _inside(str(name))}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is of no site: move it away, or name another folder with --site.") from None


def remove(path: Path, digest: str) -> None:
    """Takes a file of an earlier build away, unless somebody has changed it, and its folder where that is empty."""
    if path.is_file() and digest_of(path) == digest:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and len(path.parts) > 0


def _keep(folder: Path, digests: Mapping[str, str]) -> None:
    content = (json.dumps({"files": dict(sorted(digests.items()))}, indent=1) + "\n").encode()
    if not same(folder / MANIFEST, content):
        put(folder / MANIFEST, content)
