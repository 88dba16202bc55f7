"""Trials asked for together, carried out at once by an executor, and told together.

One process asks and tells: whoever carries out a run, here or on another machine, knows the run's folder and no study.
Trials of a batch are asked for before any of them has ended and told in the order in which they were asked for, so that
a study with so many workers has the same trials each time, whichever run is faster.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from contextlib import suppress

import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.common.errors import UsageError
from benchmarks.common.seeds import seed_for
from benchmarks.runner.campaign import each
from benchmarks.runner.execute import Outcome
from benchmarks.runner.executors import Executor, Resources
from benchmarks.runner.progress import periodically
from benchmarks.tuning.asked import Asked
from benchmarks.tuning.slots import alive, revive, slots
from benchmarks.tuning.study import HEARTBEAT, STARTUP, Study, heartbeats_allowed, retry

LOOK = 0.5
"""Seconds between two looks at what runs have told."""


def carry_out(tuning: Study, executor: Executor, resources: Resources) -> None:
    """Batches of as many trials as there are workers, until the study has its number. Any number of processes may share
    a study."""
    study = tuning.open()
    with alive(tuning.locks) as worker:
        while asked := ask(tuning, study, worker, resources.workers):
            batch = Batch(tuning, study, asked)
            try:
                batch.carry_out(executor, resources)
            except BaseException:  # stopped, or the disk is full, or there is no such cluster: no fault of a trial's
                batch.give_back()
                raise
            for one in asked:
                one.tell(study, batch.outcomes)


def ask(tuning: Study, study: optuna.Study, worker: str, most: int) -> list[Asked]:
    """The next trials; none where the study has its number."""
    asked: list[Asked] = []
    with FileLock(tuning.locks / "begin"):
        revive(study, tuning.locks)
        while len(asked) < most:
            begun = sum(trial.state != TrialState.WAITING for trial in slots(study))
            if begun >= tuning.trials:
                break
            asked.append(ask_one(tuning, study, worker, begun))
    return asked


def ask_one(tuning: Study, study: optuna.Study, worker: str, place: int) -> Asked:
    """The trial of this place in the study, by which it is seeded, killed and taken up or not."""
    seed = seed_for("tune", tuning.name, place) % 2**32
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed)
    with heartbeats_allowed():
        trial = study.ask()
    trial.set_user_attr("worker", worker)
    settings = tuning.drawn(trial)
    asked = Asked(tuning, trial, {*study.get_trials(deepcopy=False)[trial.number].intermediate_values})
    try:
        asked.runs = tuning.runs(settings)
    except UsageError as reason:
        asked.reason = str(reason)
    return asked


class Batch:
    """Trials under way. Those with the same settings have the same runs, which are carried out once."""

    def __init__(self, tuning: Study, study: optuna.Study, asked: Sequence[Asked]):
        self.tuning, self.study, self.asked = tuning, study, asked
        self.runs = list({run.name: run for one in asked for run in one.runs}.values())
        self.outcomes: dict[str, Outcome] = {}
        self.beat = -float(HEARTBEAT)

    def carry_out(self, executor: Executor, resources: Resources) -> None:
        """All of the runs, some of which are cut short. Raises OSError where the disk was full."""
        for run in self.runs:
            self.tuning.workspace.record(run).go_on()
        self.look()
        with periodically(self.look_again, LOOK):
            for outcome in each(self.runs, self.tuning.workspace, executor, resources):
                if outcome.status != "elsewhere":
                    self.outcomes[outcome.run.name] = outcome
        if any(outcome.full for outcome in self.outcomes.values()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.look()

    def look(self) -> None:
        """Hears what runs have told, and cuts those short that no trial needs."""
        self.live_on()
        for one in self.asked:
            one.look()
        for run in self.runs:
            if run.name not in self.outcomes and not any(one.needs(run, {**self.outcomes}) for one in self.asked):
                self.tuning.workspace.record(run).cut_short()

    def look_again(self) -> None:
        """The same beside the runs. What is wrong with the database or the disk, the last look meets as well."""
        with suppress(SQLAlchemyError, StorageInternalError, OSError):
            self.look()

    def live_on(self) -> None:
        """A sign of life of every trial, now and then: without, another machine would take it up."""
        if time.monotonic() - self.beat >= HEARTBEAT:
            self.beat = time.monotonic()
            for one in self.asked:
                self.study._storage.record_heartbeat(one.trial._trial_id)  # type: ignore[attr-defined]

    def give_back(self) -> None:
        """Has the next command go on with these trials, as often as it takes."""
        again = retry(None)
        for one in self.asked:
            self.study.tell(one.trial, state=TrialState.FAIL)
            again(self.study, self.study.get_trials()[one.trial.number])
