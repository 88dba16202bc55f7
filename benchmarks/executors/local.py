"""Several processes on this machine, one thread each."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager

from loky import ProcessPoolExecutor
from loky.process_executor import TerminatedWorkerError

from benchmarks.execute import Outcome, Place, execute
from benchmarks.machine import prepare_worker
from benchmarks.settings import Run

ATTEMPTS = 2
"""A worker that the system killed (out of memory, say) takes its neighbours' runs with it: each gets another try."""


def local(runs: Sequence[Run], place: Place, workers: int = 1) -> Iterator[Outcome]:
    """Outcomes in the order in which runs end."""
    left = list(runs)
    for attempt in range(ATTEMPTS):
        lost: list[Run] = []
        for run, outcome in _pool(left, place, workers if attempt == 0 else 1):
            if outcome is None:
                lost.append(run)
            else:
                yield outcome
        left = lost
    for run in left:
        yield Outcome(run, "failed", "its process was killed twice: out of memory? Try fewer workers")


def _pool(runs: Sequence[Run], place: Place, workers: int) -> Iterator[tuple[Run, Outcome | None]]:
    if not runs:
        return
    pool = ProcessPoolExecutor(
        min(workers, len(runs)), initializer=start_worker, initargs=(os.getpid(),), env={"OMP_NUM_THREADS": "1"}
    )
    try:
        with interrupts_ignored():  # by the workers, which inherit it: Ctrl-C is the command's to handle
            futures = {pool.submit(execute, run, place): run for run in runs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except TerminatedWorkerError:
                yield futures[future], None
    finally:
        pool.shutdown(wait=True, kill_workers=True)


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


def start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_worker()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this worker once the command that started it is gone: a killed command leaves nothing running."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
