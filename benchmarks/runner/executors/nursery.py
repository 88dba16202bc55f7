"""A process that holds the data and forks one process a job, so that whatever a run does to its process, it does to its
own: exit, crash, other defaults, another folder.

Starting Python with torch takes seconds and loading images minutes; a fork has both at once, and shares the memory. The
nursery itself computes nothing and starts no thread, which is what makes forking it safe.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from benchmarks.config.settings import Run
from benchmarks.datasets.vision import torchvision
from benchmarks.runner import log
from benchmarks.runner.execute import Outcome
from benchmarks.runner.executors.job import Job
from benchmarks.runner.machine import commit, device_of, prepare_worker
from benchmarks.runner.sources import own_sources
from benchmarks.runner.workspace import Workspace
from priors.registry import PRIORS
from priors.wording import in_one_line

LOOK_SECONDS = 0.1
"""Between two looks at whether a run's process has ended without a word."""

PATIENCE = 3.0
"""Seconds that the nursery is given to end by itself: it may be loading data."""


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
"""What people, terminals and schedulers tell a command and all of its processes."""


class Begun(NamedTuple):
    """A job's process at its start, which leads a group of its own."""

    name: str
    pid: int


class Ended(NamedTuple):
    """A job's process at its end: what the job said, if it came to say it, and how the process ended."""

    job: Job
    said: Outcome | str | None
    exit_code: int
    seconds: float

    @property
    def run(self) -> Run:
        """That of a job of one."""
        return self.job.runs[0]

    @property
    def signal(self) -> int:
        """The signal that ended it, or 0."""
        return max(0, -self.exit_code)


class Lost(RuntimeError):
    """The nursery is gone, and with it the runs under way."""

    def __init__(self, under_way: Sequence[Run]):
        super().__init__("the nursery was killed")
        self.under_way = list(under_way)


class Nursery:
    """The command's end: `with Nursery(workspace) as nursery`, within which `raise_all` carries out runs."""

    def __init__(self, workspace: Workspace):
        self.workspace = workspace.absolute()
        self.groups: dict[str, int] = {}

    def __enter__(self) -> Nursery:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=nurse, args=(theirs, self.workspace))
        with interrupts_ignored(), one_thread(), by_itself():
            self.process.start()
        theirs.close()
        return self

    def __exit__(self, *error: object) -> None:
        """Whatever still runs ends: by the nursery, and where that was killed, what it could not end."""
        self.pipe.close()
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()
        for leader in self.groups.values():
            end_group(leader)

    def raise_all(self, jobs: Sequence[Job], workers: int) -> Iterator[Ended]:
        """Every job, at most `workers` at once, and the ends of runs as they come; each of several jobs has a number.
        Runs that were trained together come next. Raises Lost."""
        waiting, free = list(reversed(jobs)), [*range(workers)]
        under_way: dict[str, tuple[Job, int]] = {}
        try:
            while waiting or under_way:
                while waiting and free:
                    job, number = waiting.pop(), free.pop(0)
                    under_way[job.name] = job, number
                    self.pipe.send((job, number, workers))
                ended = self.next_end()
                job, number = under_way.pop(ended.job.name)
                free.append(number)
                if job.together:
                    why = ended.said if isinstance(ended.said, str) else "their process was ended"
                    waiting += reversed(job.parts(why, self.workspace))
                else:
                    yield ended
        except (EOFError, OSError):
            raise Lost([run for job, _ in under_way.values() for run in job.runs]) from None

    def next_end(self) -> Ended:
        """Waits for a job's end, and notes those that begin."""
        while isinstance(told := self.pipe.recv(), Begun):
            self.groups[told.name] = told.pid
        del self.groups[told.job.name]
        return told


# In the nursery


@dataclass
class Child:
    """A job's process, and the pipe through which it says how the job ended. folder: of its (first) run."""

    job: Job
    pid: int
    pipe: Connection
    folder: Path
    said: Outcome | str | None = None
    listening: bool = True
    start: float = field(default_factory=time.monotonic)

    def listen(self) -> None:
        """Takes what the job says at its end; a process that ended without a word has closed its end."""
        with suppress(Exception):
            self.said = self.pipe.recv()
        self.listening = False

    def ended(self) -> Ended | None:
        """How the process ended, if it has. What it has left running ends, too."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        if self.listening and self.pipe.poll():
            self.listen()
        end_group(self.pid)
        self.pipe.close()
        log.end(self.folder, self.pid)
        return Ended(self.job, self.said, os.waitstatus_to_exitcode(status), time.monotonic() - self.start)


def nurse(command: Connection, workspace: Workspace) -> None:
    """Forks a process for every job that the command sends, and tells how it ended; ends with the command.

    Ends are looked for, not waited for at the pipe: what a run has forked may hold the pipe open.
    """
    for number in ENDING:  # the command ends it; others tell both of them
        signal.signal(number, signal.SIG_IGN)
    prepare_worker()
    warm_up()
    children: list[Child] = []
    try:
        while True:
            pipes: dict[object, Child] = {child.pipe: child for child in children if child.listening}
            for ready in wait([command, *(child.pipe for child in pipes.values())], LOOK_SECONDS):
                if ready is command:
                    job, number, workers = command.recv()
                    child = begin(job, number, workers, workspace, [command, *(child.pipe for child in children)])
                    children.append(child)
                    command.send(Begun(child.job.name, child.pid))
                else:
                    pipes[ready].listen()
            for child in [*children]:
                if ended := child.ended():
                    children.remove(child)
                    command.send(ended)
    except (EOFError, OSError):
        for child in children:
            end_group(child.pid)


def warm_up() -> None:
    """Imports once what every run would import anew, for seconds: the priors, what an optimiser's first step takes up,
    and what draws images; and looks at sources and commit before a run may change the folder, or the command its
    tables."""
    for step in (lambda: len(PRIORS), lambda: import_module("torch._dynamo"), torchvision, own_sources, commit):
        with suppress(Exception):  # a run that needs it meets the same error, and tells it
            step()


def begin(job: Job, number: int, workers: int, workspace: Workspace, others: Sequence[Connection]) -> Child:
    """Forks. The data are loaded before, so that all runs on them share one copy.

    number: of the job among those under way, which decides on its GPU where there are several.
    """
    with suppress(Exception):  # the run meets the same error, and tells it
        workspace.on_cpu.dataset(job.runs[0])
    ours, theirs = get_context("fork").Pipe()
    pid = os.fork()
    if pid == 0:
        for pipe in (ours, *others):
            pipe.close()
        live(job, replace(workspace, device=device_of(workspace.device, number)), workers, theirs)
    theirs.close()
    with suppress(OSError):  # here as well as in the child: whoever comes first
        os.setpgid(pid, pid)
    return Child(job, pid, ours, workspace.record(job.runs[0]).folder)


def live(job: Job, workspace: Workspace, workers: int, nursery: Connection) -> None:
    """The life of a job's process, one of so many at once, which never returns."""
    code = 1
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        log.begin(workspace.record(job.runs[0]).folder)
        threading.Thread(target=end_with, args=(nursery,), daemon=True).start()
        prepare_worker(workspace.device, workers, workspace.threads)
        nursery.send(job.carry_out(workspace))
        code = 0
    except BaseException as error:  # a Ctrl-C of its own making: the command's does not come here
        nursery.send(job.failed(workspace, in_one_line(error), traceback.format_exc()))
    finally:
        log.flush()
        os._exit(code)


def end_with(nursery: Connection) -> None:
    """Ends the job once the nursery is gone, which has nothing to say: a killed command leaves nothing running."""
    with suppress(EOFError, OSError):
        nursery.recv()
    end_group(os.getpid())


def end_group(leader: int) -> None:
    """Ends a job's process with all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


@contextmanager
def one_thread() -> Iterator[None]:
    """For processes started inside: the libraries under numpy and torch read it as they are loaded."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def by_itself() -> Iterator[None]:
    """For processes started inside: they do not import the program that starts them, which may be a notebook, or a
    script that would start everything once more. Its own parts they do not know (`local` says so)."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """For processes started inside; only the main thread may change this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
