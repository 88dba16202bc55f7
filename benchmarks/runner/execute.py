"""One run from its settings to its estimates, in whatever process it is called."""

from __future__ import annotations

import errno
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.common.errors import Stop
from benchmarks.config.settings import Run
from benchmarks.runner.blame import blamed
from benchmarks.runner.lease import Held, Lost
from benchmarks.runner.lifecycle import perform
from benchmarks.runner.record import Record
from benchmarks.runner.workspace import Workspace

Status = Literal["ok", "unsupported", "diverged", "failed", "cut", "elsewhere"]
"""How a run ended, "cut" where nobody needs it any longer; or that another process carries it out, so that it is to be
come back to."""

AGAIN = 1.0
"""Seconds between two looks at a run that another process carries out."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a system says where there is no room for a file."""


class CutShort(Stop):
    """Raised in a run that who asked for it does not need any longer."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. full: because the disk was, so that no other run will do better."""

    run: Run
    status: Status
    note: str = ""
    seconds: float = 0.0
    full: bool = False


def execute(run: Run, workspace: Workspace) -> Outcome:
    """Runs, or takes up, or finds done. Never raises for what goes wrong inside the run: it says so in the outcome.

    A run that another process holds, or took over from this one, is left to it. Failures are not kept: the next
    command tries again. A divergence is, since it would only come back.
    """
    record, start = workspace.record(run), time.monotonic()
    try:
        with record.claim():
            return carried_out(run, workspace, record)
    except (Held, Lost) as reason:
        return Outcome(run, "elsewhere", str(reason), time.monotonic() - start)
    except CutShort as reason:
        return Outcome(run, "cut", str(reason), time.monotonic() - start)
    except OSError as error:  # the claim itself
        return mistake(run, workspace, error, start)


def carried_out(run: Run, workspace: Workspace, record: Record) -> Outcome:
    """The same of a run that this process holds."""
    start = time.monotonic()
    try:
        with alarm(workspace.seconds):
            healed = perform(run, workspace, record)
        record.remove("error.txt")
        return replace(ended(run, record, healed), seconds=time.monotonic() - start)
    except (KeyboardInterrupt, Stop):
        raise
    except BaseException as error:  # a run that calls sys.exit, say, ends itself alone
        if record.lost():
            raise Lost(str(error)) from error
        return mistake(run, workspace, error, start)


def ended(run: Run, record: Record, note: str = "") -> Outcome:
    """How a run ended, as its record has it."""
    training = record.read("training.json")
    return Outcome(run, training["status"], "; ".join(filter(None, (training["note"], note))))


def mistake(run: Run, workspace: Workspace, error: BaseException, start: float) -> Outcome:
    """The outcome of a run that an exception ended, which is being handled."""
    how = failed(run, workspace, blamed(error, run), time.monotonic() - start, traceback.format_exc())
    return replace(how, full=isinstance(error, OSError) and error.errno in FULL)


def failed(run: Run, workspace: Workspace, note: str, seconds: float = 0.0, details: str = "") -> Outcome:
    """The outcome of a run that came to no end of its own, kept beside its record."""
    workspace.record(run).fail(note, details)
    return Outcome(run, "failed", note, seconds)


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """The system's alarm signal after this time: it ends a worker, and where it is handled it raises."""
    if not seconds:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
