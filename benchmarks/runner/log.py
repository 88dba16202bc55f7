"""What a run's own process prints, and its last words where it crashes: `log.txt` in the run's folder."""

from __future__ import annotations

import faulthandler
import os
import sys
from contextlib import suppress
from pathlib import Path

NAME = "log.txt"

LINES = 30
"""As many of the last are told with a failure."""


def part(folder: Path, process: int) -> Path:
    """Where a process writes until it ends: another may come to the same run, and find it held."""
    return folder / f"log-{process}.txt"


def begin(folder: Path) -> None:
    """From now on this process prints into its log, and where it crashes in C, says in which line of Python it was."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part(folder, os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.close(descriptor)
    faulthandler.enable(file=2, all_threads=False)


def flush() -> None:
    """Before a process ends without Python's own end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def end(folder: Path, process: int) -> None:
    """The log of a process that has ended is its run's; an empty one goes."""
    path = part(folder, process)
    with suppress(OSError):
        if path.stat().st_size:
            os.replace(path, folder / NAME)
        else:
            path.unlink()


def sweep(folder: Path) -> None:
    """Removes what processes left that were killed together with those that they would have told."""
    for path in folder.glob("log-*.txt"):
        if path != part(folder, os.getpid()):
            path.unlink(missing_ok=True)


def tail(folder: Path) -> str:
    """The log's last lines."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LINES:])
