"""Processes that share a study, and trials whose process was killed."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from loky import ProcessPoolExecutor
from optuna.trial import FrozenTrial, TrialState

from benchmarks.common.seeds import seed_for
from benchmarks.runner.executors.nursery import interrupts_ignored
from benchmarks.runner.machine import device_of, prepare_worker
from benchmarks.tuning.study import STARTUP, Study, retry
from benchmarks.tuning.validation import Failed
from priors.plugins import load_entry_points, load_plugin


def carry_out(tuning: Study, workers: int) -> None:
    """One worker is this process; several are processes that share the study."""
    if workers == 1:
        _work(tuning)
        return
    pool = ProcessPoolExecutor(workers, initializer=start_worker, initargs=(os.getpid(),), env={"OMP_NUM_THREADS": "1"})
    try:
        with interrupts_ignored():
            futures = [pool.submit(_work, tuning, k, workers) for k in range(workers)]
        for future in as_completed(futures):
            future.result()
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _work(tuning: Study, worker: int = 0, workers: int = 1) -> None:
    """One worker's trials, on the device that is its own."""
    workspace = replace(tuning.workspace, device=device_of(tuning.workspace.device, worker))
    prepare_worker(workspace.device, workers)
    work(replace(tuning, workspace=workspace))


def start_worker(parent: int) -> None:
    """What a process of several begins with."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the command ends it
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this worker once the command that started it is gone: a killed command leaves nothing running."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def work(tuning: Study) -> None:
    """Carries out trials until the study has its number. Any number of workers may share a study.

    A trial's seed is its place in the study, so that one worker alone gives the same trials each time, killed and taken
    up or not.
    """
    load_entry_points(warn=False)
    for plugin in tuning.workspace.plugins:
        load_plugin(plugin)
    study, begin = tuning.open(), FileLock(tuning.locks / "begin")
    with alive(tuning.locks) as worker:
        while True:
            with begin:
                revive(study, tuning.locks)
                begun = [trial for trial in slots(study) if trial.state != TrialState.WAITING]
                if len(begun) >= tuning.trials:
                    return
                study.sampler = optuna.samplers.TPESampler(
                    n_startup_trials=STARTUP, seed=seed_for("tune", tuning.name, len(begun)) % 2**32
                )
                judge = partial(tuning.judge, worker=worker, begun=begin.release)
                try:
                    study.optimize(judge, n_trials=1, catch=(Failed,))
                except (KeyboardInterrupt, OSError):  # stopped, or the disk is full: no fault of the trial's
                    revive(study, tuning.locks)
                    raise


def slots(study: optuna.Study) -> list[FrozenTrial]:
    """The study's trials in their order. One that was killed has the place of its first attempt, and no other."""
    trials = study.get_trials()
    lost = {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}
    kept = [trial for trial in trials if trial.number not in lost]
    return sorted(kept, key=lambda trial: trial.system_attrs.get("failed_trial", trial.number))


def tidy(study: optuna.Study, trials: int) -> optuna.Study:
    """The first N of its slots, numbered from 0, in memory: what results are made of, so that methods with studies of
    different lengths are compared by equally many trials."""
    copy = optuna.create_study(directions=study.directions)
    copy.add_trials(slots(study)[:trials])
    return copy


@contextmanager
def alive(locks: Path) -> Iterator[str]:
    """The worker's name, with a lock on it that the system lets go of however the process ends."""
    name = uuid.uuid4().hex
    try:
        with FileLock(locks / name):
            yield name
    finally:
        (locks / name).unlink(missing_ok=True)


def dead(trial: FrozenTrial, locks: Path) -> bool:
    """Was the trial's process, if of this machine, killed?"""
    path = locks / trial.user_attrs.get("worker", "none")
    if not path.exists():  # of another machine: heartbeats tell
        return False
    with suppress(Timeout), FileLock(path, blocking=False):
        path.unlink()
        return True
    return False


def revive(study: optuna.Study, locks: Path) -> None:
    """Queues trials anew whose processes were killed or stopped by Ctrl-C, with their settings."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if dead(trial, locks):
            study.tell(trial.number, state=TrialState.FAIL)
    for trial in slots(study):
        if trial.state == TrialState.FAIL and "reason" not in trial.user_attrs:
            retry()(study, trial)
