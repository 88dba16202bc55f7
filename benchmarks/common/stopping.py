"""Ctrl-C, the SIGTERM of `kill`, of a scheduler (scancel) or of a machine that is shut down, and the SIGHUP of a
terminal that is closed, are one sentence.

While modules are imported, which takes seconds, the process ends at once: nothing is half done then, and an exception
from the middle of somebody's import may be swallowed there. Otherwise the signal raises, so that what is under way is
put in order on its way out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from benchmarks.common.started import as_module, by_script

EARLY = "Stopped before anything was done."
LATE = "Stopped."


class Terminated(KeyboardInterrupt):
    """SIGTERM came: all that is ready for Ctrl-C is ready for it."""

    number = signal.SIGTERM


class HungUp(Terminated):
    """SIGHUP came: nobody may be there to read what is said."""

    number = signal.SIGHUP


RAISED = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated, signal.SIGHUP: HungUp}
USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
"""What Python does of itself. Another handler is somebody else's: `nohup` and a shell's `&` have signals ignored."""


def exit_status(stop: KeyboardInterrupt) -> int:
    """As shells have it: 128 and the signal's number."""
    return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


def be_ready() -> None:
    """Where this process is a command of ours: from now on, as its modules are imported, a signal is a sentence."""
    if (by_script() or as_module()) and multiprocessing.parent_process() is None:
        _handle(_Ending(EARLY))


@contextmanager
def raised(sentence: str) -> Iterator[None]:
    """Within, a signal raises KeyboardInterrupt, Terminated or HungUp. sentence: what is said where it cannot raise."""
    before = _handle(_Raising(sentence))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, _Ending(LATE) if isinstance(handler, _Ending) else handler)


def importing(frame: FrameType | None) -> bool:
    """Is a module being imported here?"""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class _Ending:
    """Ends the process with a sentence."""

    def __init__(self, sentence: str):
        self.sentence = sentence

    def __call__(self, number: int, frame: FrameType | None) -> None:
        with suppress(OSError):
            os.write(2, f"\n{self.sentence}\n".encode())
        os._exit(128 + number)


class _Raising(_Ending):
    """Raises, unless a module is being imported."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if importing(frame):
            super().__call__(number, frame)
        raise RAISED[signal.Signals(number)]


def _handle(handler: _Ending) -> dict[int, Any]:
    """Has the signals handled, unless somebody else does; the handlers before. Only a main thread may change them."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number, usual in USUAL.items():
            now = signal.getsignal(number)
            if now == usual or isinstance(now, _Ending):
                before[number] = signal.signal(number, handler)
    return before
