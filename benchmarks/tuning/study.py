"""One study: its database, its trials, and what becomes of one."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.common.errors import UsageError
from benchmarks.common.settings import digest
from benchmarks.config import suite
from benchmarks.config.labels import Called
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.datasets import Dataset
from benchmarks.runner.rehearsal import built
from benchmarks.tuning.objective import OBJECTIVES
from benchmarks.tuning.space import contains, declared, settings_of, suggest
from benchmarks.tuning.validation import ValidationWorkspace
from models.base import Autoencoder
from models.vae import VAE
from priors.base import Unsupported
from priors.space import Range
from priors.wording import in_one_line

STARTUP = 5
"""Trials drawn at random before the sampler learns from them, and finished ones before any is cut short."""

HEARTBEAT, GRACE = 60, 300
"""Seconds between a trial's signs of life, and without one until another machine takes it for dead."""

OWN = "own"
"""Marks the trial that has the suite's own settings: what tuning has gained is told beside it."""

RETRIES = 3
"""Times that a trial is begun anew whose process was killed."""

STATUS = {TrialState.COMPLETE: "ok", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""What tables call the ends of a trial."""


@dataclass(frozen=True)
class Study:
    """All that a study's trials depend on, and where it is kept.

    request: one data set and one method, the seeds over which a trial's estimate is averaged, and the command's own
    overrides. space: the keys searched. trials: N, of the whole study. workspace: its `results` is the folder of the
    studies. storage: a database's URL. prunes: trials are compared by their validation losses along the way.
    """

    name: str
    suite: Suite
    request: Request
    space: Mapping[str, Range]
    objectives: tuple[str, ...]
    trials: int
    workspace: ValidationWorkspace
    storage: str
    prunes: bool = False

    @cached_property
    def data(self) -> Called:
        """The data set, by what it is called and as it is asked for."""
        return suite.data_of(self.suite, self.request)[0]

    @property
    def dataset(self) -> str:
        return self.data.label

    @property
    def method(self) -> str:
        return self.request.methods[0]

    @property
    def locks(self) -> Path:
        return self.workspace.results / "locks" / self.name

    @property
    def given(self) -> tuple[str, ...]:
        """The command's own --set, without the trials' protocol."""
        return tuple(text for text in self.request.overrides if not text.startswith("protocol.samples="))

    @property
    def fixed(self) -> dict[str, Any]:
        """What would be searched, were it no part of the method."""
        first = self.runs({})[0]
        return {key: settings_of(first)[key] for key in declared(first) if key not in self.space}

    @cached_property
    def own(self) -> dict[str, Any]:
        """The suite's own settings of what is searched."""
        settings = settings_of(self.runs({})[0])
        return {key: settings[key] for key in self.space}

    def runs(self, settings: Mapping[str, Any]) -> list[Run]:
        """A trial: the suite's runs with these settings, a seed each."""
        metrics = tuple(OBJECTIVES[name].metric for name in self.objectives)
        chosen = self.suite.model_copy(update={"metrics": metrics})
        return suite.expand(chosen, replace(self.request, overrides=(*self.request.overrides, *as_overrides(settings))))

    def identity(self) -> str:
        """Of all that estimates depend on: trials of different ones are never compared."""
        data = self.workspace.on_cpu.dataset(self.runs({})[0])
        runs = [(run.hash8, run.evaluation) for run in self.runs({})]
        space = {key: repr(one) for key, one in self.space.items()}
        return digest({"runs": runs, "space": space, "objectives": self.objectives, "data": data.digest})

    def open(self) -> optuna.Study:
        """The study in its database, made where it is not there."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        waits = {"connect_args": {"timeout": 60}} if self.storage.startswith("sqlite") else {}
        try:
            with heartbeats_allowed():
                storage = RDBStorage(
                    self.storage,
                    engine_kwargs=waits,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=retry(),
                )
        except (SQLAlchemyError, ImportError, RuntimeError) as error:  # RuntimeError: of another version of Optuna
            raise self.unusable(error) from None
        warm_up = self.runs({})[0].training.warm_up
        return optuna.create_study(
            storage=storage,
            study_name=self.name,
            directions=["minimize"] * len(self.objectives),
            pruner=optuna.pruners.MedianPruner(STARTUP, n_warmup_steps=warm_up + 1),
            load_if_exists=True,
        )

    def unusable(self, error: Exception) -> UsageError | OSError:
        """What is wrong with the database, and what to do."""
        reason, file = in_one_line(error), Path(self.storage.removeprefix("sqlite:///"))
        if "disk is full" in str(error):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        if self.storage.startswith("sqlite") and file.exists():
            return UsageError(
                f"The study's database {file} cannot be used: {reason}; put a copy of it in its place, or delete it "
                "with its trials to begin anew."
            )
        return UsageError(f"--storage cannot be opened: {reason}; it is a URL such as sqlite:///FILE.")

    def whole(self) -> optuna.Study:
        """The study, all of whose trials can be read; UsageError where a table of the database is damaged."""
        try:
            study = self.open()
            optuna.create_study(directions=study.directions).add_trials(study.get_trials())
            for trial in study.get_trials(states=(TrialState.COMPLETE,)):
                _ = trial.user_attrs["errors"], [self.settings(trial)[key] for key in self.space]
            return study
        except (SQLAlchemyError, OptunaError, KeyError, ValueError) as error:
            raise error if isinstance(error, UsageError) else self.unusable(error) from None

    def begin(self) -> optuna.Study:
        """Makes the study, with the suite's own settings as its first trial, or takes it up; UsageError where a study
        of this name has other settings."""
        self.locks.mkdir(parents=True, exist_ok=True)
        with FileLock(self.locks / "begin"):
            study, mine = self.whole(), self.identity()
            if study.user_attrs.get("identity", mine) != mine:
                raise UsageError(
                    f"The study {self.name} was begun with other settings, data or version of this project: choose "
                    "another --name, or delete its database."
                )
            if "identity" not in study.user_attrs:
                study.set_user_attr("identity", mine)
                within = {key: value for key, value in self.own.items() if contains(self.space[key], value)}
                study.enqueue_trial(within, user_attrs={OWN: True})
        return study

    def settings(self, trial: Trial | FrozenTrial) -> dict[str, Any]:
        """A trial's settings of what is searched. The first has the suite's own, those too that no range contains and
        the sampler therefore knows nothing of."""
        if not trial.user_attrs.get(OWN):
            return dict(trial.params)
        return {key: trial.params.get(key, value) for key, value in self.own.items()}

    def drawn(self, trial: Trial) -> dict[str, Any]:
        """A trial's settings: the sampler's, or in the first the suite's own."""
        own = self.own if trial.user_attrs.get(OWN) else {}
        within = {key: one for key, one in self.space.items() if key not in own or contains(one, own[key])}
        return own | {key: suggest(trial, key, one) for key, one in within.items()}


def as_overrides(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings as --set takes them; JSON's numbers, strings and booleans are TOML's."""
    return tuple(f"{key}={json.dumps(value)}" for key, value in settings.items())


def prunable(run: Run, model: Autoencoder, objectives: Sequence[str]) -> bool:
    """The validation loss says how a trial will end where it bounds the one objective: a VAE's bounds the NLL, and is
    of use unless the method keeps its last weights because no loss ranks its epochs."""
    return tuple(objectives) == ("nll",) and isinstance(model, VAE) and run.training.keep == "best"


def rehearse(run: Run, data: Dataset, objectives: Sequence[str]) -> bool:
    """Is the study to be pruned? Raises UsageError where an objective is undefined for the method."""
    where = f"{run.method} on {run.dataset}"
    try:
        model, prior = built(run, data)
        model.players(prior)
    except (Unsupported, UsageError) as error:
        raise UsageError(str(error) if isinstance(error, UsageError) else f"{where}: {error}.") from None
    for name in objectives:
        reason = OBJECTIVES[name].missing(model, prior, data)
        if reason:
            other = OBJECTIVES[name].other
            raise UsageError(f"{where} has no objective '{name}', because {reason}: use --objective {other}.")
    return prunable(run, model, objectives)


@contextmanager
def heartbeats_allowed() -> Iterator[None]:
    """Within, Optuna warns neither that they are experimental nor that who asks must see to them (`Batch.live_on`)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage")
        yield


def retry(most: int | None = RETRIES) -> RetryHeartbeatStaleTrialCallback:
    """Queues a failed trial anew, at most so often."""
    with heartbeats_allowed():
        return RetryHeartbeatStaleTrialCallback(max_retry=most, inherit_intermediate_values=True)
