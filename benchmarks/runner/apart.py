"""Something done in a process of its own, as somebody else's file may exit, print or never come to an end.

The process is a fork, which costs no time and knows all that this one does. Its lines and its answer come by a pipe.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from rich.console import Console

from benchmarks.common.errors import Mistake
from benchmarks.common.screen import Screen
from benchmarks.runner.executors.nursery import PATIENCE, end_group, end_with
from priors.wording import in_one_line

T = TypeVar("T")

Ease = Callable[[], None]
"""From when on the work may be silent for as long as it takes."""


class Ended(Exception):
    """The process came to no answer. The message says how it ended."""


def done(work: Callable[[Console, Ease], T], console: Console, limit: float | None = None) -> T:
    """What the work gives, its lines on the console. Raises the Mistake that it raises, and Ended.

    limit: seconds that it may be silent for, until it is at ease; None for as long as it takes.
    """
    context = get_context("fork")
    ours, theirs = context.Pipe()
    shape = {"force_terminal": console.is_terminal, "width": console.width}
    process = context.Process(target=live, args=(work, theirs, ours, shape))
    with threads_may_be():
        process.start()
    theirs.close()
    try:
        return answer(ours, process, console, limit)
    finally:
        if process.pid:
            end_group(process.pid)
        process.kill()
        process.join()
        ours.close()


def answer(pipe: Connection, process: Any, console: Console, limit: float | None) -> Any:
    """Tells the lines that come, up to the answer."""
    while ready := wait([pipe, process.sentinel], limit):
        try:
            if pipe not in ready and not pipe.poll():
                raise EOFError
            kind, content = pipe.recv()
        except (EOFError, OSError):
            process.join(PATIENCE)
            raise Ended(f"it ended the process that tried it, {how(process.exitcode)}") from None
        if kind == "answer":
            return content
        if kind == "raised":
            raise content
        if kind == "ease":
            limit = None
        else:
            console.file.write(content)
            console.file.flush()
    raise Ended(f"it came to no end within {limit:g} seconds of the last line")


def how(code: int | None) -> str:
    """How a process ended, by its exit code; None of one that has closed the pipe and lives on."""
    if code is None:
        return "which answers no longer"
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"


@contextmanager
def threads_may_be() -> Iterator[None]:
    """Python warns of forks beside threads, as a lock that one of them holds is held for ever in the fork. Here they
    are those of libraries, which are not used before they are made anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


# In the process


class Lines:
    """The file of a console: all that is written goes through the pipe."""

    def __init__(self, send: Callable[[tuple[str, Any]], None]):
        self.send = send

    def write(self, text: str) -> int:
        self.send(("text", text))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def live(work: Callable[[Console, Ease], Any], pipe: Connection, others: Connection, shape: dict[str, Any]) -> None:
    """The life of the process: a group of its own, which ends with the process that asked for it."""
    others.close()
    os.setpgid(0, 0)
    threading.Thread(target=end_with, args=(pipe,), daemon=True).start()
    with suppress(OSError):  # of a closed stream
        os.dup2(2, 1)  # what the work prints by itself is none of the console's lines
    lock = threading.Lock()

    def send(told: tuple[str, Any]) -> None:
        with lock:  # a display that redraws itself writes, too
            pipe.send(told)

    try:
        told = "answer", work(Screen(file=Lines(send), **shape), lambda: send(("ease", None)))
    except Mistake as error:
        told = "raised", error
    except BaseException as error:
        traceback.print_exc(file=sys.stderr)
        told = "raised", Ended(in_one_line(error))
    send(told)
