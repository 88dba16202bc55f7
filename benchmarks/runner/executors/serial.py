"""One run after another, in this process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome
from benchmarks.runner.executors.base import EXECUTORS
from benchmarks.runner.executors.job import jobs
from benchmarks.runner.executors.resources import ONE, Resources
from benchmarks.runner.machine import prepare_worker
from benchmarks.runner.workspace import Workspace


@EXECUTORS.register("serial")
def serial(runs: Sequence[Run], workspace: Workspace, resources: Resources = ONE) -> Iterator[Outcome]:
    """Of `resources` the threads alone count. What ends the process itself, ends the command with it."""
    workspace = replace(workspace, threads=resources.threads)
    prepare_worker(workspace.device, threads=workspace.threads)
    with alarms_raised():
        where = workspace.absolute()
        waiting = jobs(runs, where, 1)[::-1]
        while waiting:
            job = waiting.pop()
            with put_back(workspace):
                said = job.carry_out(where)
            if isinstance(said, Outcome):
                yield job.told(said)
            else:
                waiting += job.parts(said, where)[::-1]


@contextmanager
def put_back(workspace: Workspace) -> Iterator[None]:
    """What a run may have set for its whole process is as before afterwards."""
    folder, dtype, gradients = os.getcwd(), torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield
    finally:
        os.chdir(folder)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        prepare_worker(workspace.device, threads=workspace.threads)


@contextmanager
def alarms_raised() -> Iterator[None]:
    """The alarm of a run that takes too long raises in it; only the main thread may change this."""

    def ring(*_: object) -> None:
        raise TimeoutError("longer than a run may take")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, previous)
