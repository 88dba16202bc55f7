"""A study's places, and trials whose process was killed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from benchmarks.tuning.study import heartbeats_allowed, retry


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
    """This process's name, with a lock on it that the system lets go of however the process ends."""
    name = uuid.uuid4().hex
    try:
        with FileLock(locks / name):
            yield name
    finally:
        (locks / name).unlink(missing_ok=True)


def dead(trial: FrozenTrial, locks: Path) -> bool:
    """Was the process that asked for the trial, if of this machine, killed?"""
    path = locks / trial.user_attrs.get("worker", "none")
    if not path.exists():  # of another machine: heartbeats tell
        return False
    with suppress(Timeout), FileLock(path, blocking=False):
        path.unlink()
        return True
    return False


def revive(study: optuna.Study, locks: Path) -> None:
    """Queues trials anew whose process was killed, with their settings: those of this machine at once, those of another
    when no sign of life has come for long."""
    with heartbeats_allowed():
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if dead(trial, locks):
            retry()(study, trial)  # first, so that nobody who looks on takes it for a trial that failed for good
            study.tell(trial.number, state=TrialState.FAIL)
    for trial in slots(study):
        if trial.state == TrialState.FAIL and "reason" not in trial.user_attrs:
            retry()(study, trial)
