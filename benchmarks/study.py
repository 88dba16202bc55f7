"""A study: trials of one method's settings on one data set, judged by validation images alone, kept in a database.

A trial is the suite's own run with other settings, carried out by `execute` as every run is, in a `ValidationPlace`:
the data set has its validation split in the test split's place, and its test split nowhere. The same split stops the
training early and keeps the best epoch, so a trial's figure is a little better than it would be on new images, for all
trials alike; what the chosen settings are worth, the suite tells afterwards on test images.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from benchmarks import suite
from benchmarks.datasets import Dataset
from benchmarks.datasets.base import FIXED_DRAW, draw_once
from benchmarks.errors import UsageError
from benchmarks.execute import Place, build, execute
from benchmarks.record import Record
from benchmarks.seeds import seed_for
from benchmarks.settings import Run, digest
from benchmarks.suite import Request, Suite
from models.base import Autoencoder
from models.regularisers import REGULARISERS
from models.vae import VAE
from priors import registry
from priors.base import Density, Prior
from priors.space import Choice, Float, Int, Range

STARTUP = 5
"""Trials drawn at random before the sampler learns from them, and finished ones before any is cut short."""

HEARTBEAT, GRACE = 60, 300
"""Seconds between a trial's signs of life, and without one until another machine takes it for dead."""

RETRIES = 3
"""Times that a trial is begun anew whose process was killed."""

STATUS = {TrialState.COMPLETE: "ok", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""What tables call the ends of a trial."""


# What a trial is judged by


@dataclass(frozen=True)
class Objective:
    """The first figure of a metric, lower being better. axis: what axes call it, with its unit. other: what to use
    where `missing` says why there is no such figure."""

    metric: str
    axis: str
    other: str
    missing: Callable[[Autoencoder, Prior, Dataset], str | None]


def no_likelihood(model: Autoencoder, prior: Prior, data: Dataset) -> str | None:
    """Why p(x) cannot be estimated."""
    if not isinstance(prior, Density):
        return "the prior has no density, only samples"
    return None if model.posterior.stochastic else "its encoder is deterministic, so that q(z|x) has no density"


def no_classes(model: Autoencoder, prior: Prior, data: Dataset) -> str | None:
    """Why no classifier sees the images."""
    if not data.of_pictures:
        return "the data are no pictures"
    return "the data have no classes to train a classifier on" if data.labels is None else None


OBJECTIVES = {
    "nll": Objective("nll", "-ln p(x), nats a validation image", "fd", no_likelihood),
    "fd": Objective("fd_classifier", "Fréchet distance, classifier's features", "nll", no_classes),
}


# Where a trial runs


def held_out(data: Dataset) -> Dataset:
    """The data with the validation split in the test split's place, its labels too, and a digest of their own, so that
    no figure of validation images can pass for one of test images."""
    images, labels = data.validation, data.labels
    if data.binarisation == "expected":  # test images are drawn once and encoded grey: so are these
        drawn = draw_once(images.to("cpu"), FIXED_DRAW)
        images = replace(drawn, encoded_grey=True).to(data.train.stored.device)
    return replace(
        data,
        test=images,
        labels=labels and (labels[0], labels[1], labels[1]),
        digest=hashlib.sha256(f"validation of {data.digest}".encode()).hexdigest(),
    )


@dataclass(frozen=True)
class WatchedRecord(Record):
    """A run's folder that also tells `follow` of all that is reported."""

    follow: Callable[[Mapping[str, Any]], None]

    def report(self, **status: Any) -> None:
        super().report(**status)
        self.follow(status)


def silent(status: Mapping[str, Any]) -> None:
    """Follows nothing."""


@dataclass(frozen=True)
class ValidationPlace(Place):
    """A place in which no run meets a test image."""

    follow: Callable[[Mapping[str, Any]], None] = silent

    def dataset(self, run: Run) -> Dataset:
        return held_out(super().dataset(run))

    def record(self, run: Run) -> Record:
        return WatchedRecord(super().record(run).folder, self.follow)


class CutShort(BaseException):
    """Ends a run from inside. Like KeyboardInterrupt, nothing on its way takes it for a failure of the run."""


class Failed(Exception):
    """A trial has no figure; the message says why."""


# What is searched


def settings_of(run: Run) -> dict[str, Any]:
    """A run's settings by the keys that --set takes."""
    tables = {
        "model": run.model.model_dump(),
        "training": run.training.model_dump(),
        "prior": {run.prior.name: run.prior.settings} if run.prior else {},
        "regulariser": {one.name: one.settings for one in run.regularisers},
    }
    return dict(leaves(tables))


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as (dotted key, value)."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def declared(run: Run) -> dict[str, Range]:
    """What the run's prior and regularisers declare as worth tuning."""
    parts = {f"prior.{run.prior.name}": registry.find(run.prior.name)}
    parts |= {f"regulariser.{one.name}": REGULARISERS[one.name] for one in run.regularisers}
    return {f"{part}.{key}": one for part, kind in parts.items() for key, one in kind.space.items()}


def definition(chosen: Suite, request: Request, method: str) -> dict[str, Any]:
    """What makes the method what it is: the catalogue's settings, the suite's [method.NAME] and the command's --set.
    The suite's [prior.NAME], its data sets' sections and presets are where a search starts, not what it must keep."""
    catalogued, own = suite.definition(chosen, method)
    merged = suite.merge(catalogued.sections, {key: value for key, value in own.items() if key in suite.SECTIONS})
    for text in request.overrides:
        merged = suite.merge(merged, suite.parse_override(text))
    return merged


def searched(chosen: Suite, request: Request, run: Run, extra: Mapping[str, Range]) -> dict[str, Range]:
    """What is declared and no part of the method's definition, then what --space names of the run's settings."""
    if run.prior is None:
        return {}
    fixed, known = dict(leaves(definition(chosen, request, run.method))), settings_of(run)
    space = {key: one for key, one in declared(run).items() if key not in fixed}
    for key in extra.keys() & known.keys():
        if isinstance(extra[key], Float) and type(known[key]) is int:
            raise UsageError(f"--space {key}: it takes whole numbers, such as {key}=10:200.")
    return space | {key: one for key, one in extra.items() if key in known}


def contains(one: Range, value: Any) -> bool:
    return value in one.values if isinstance(one, Choice) else one.low <= value <= one.high


def suggest(trial: Trial, key: str, one: Range) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(key, one.values)
    ask = trial.suggest_int if isinstance(one, Int) else trial.suggest_float
    return ask(key, one.low, one.high, log=one.log)


def parse_range(text: str) -> tuple[str, Range]:
    """`KEY=LOW:HIGH` (integers where both are), `KEY=LOW:HIGH:log` or `KEY=VALUE,VALUE`."""
    key, _, content = text.partition("=")
    if ":" not in content and "," in content:
        values = (suite.parse_override(f"training.value={value}") for value in content.split(","))
        return key, Choice(tuple(value["training"]["value"] for value in values))
    with suppress(ValueError):
        low, high, *scale = content.split(":")
        kind = Int if low.isdigit() and high.isdigit() else Float
        ends = [(int if kind is Int else float)(end) for end in (low, high)]
        if scale in ([], ["log"]) and -math.inf < ends[0] < ends[1] < math.inf and (not scale or ends[0] > 0):
            return key, kind(*ends, log=bool(scale))
    raise UsageError(
        f"--space {text}: write KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=VALUE,VALUE with LOW < HIGH (above 0 for log), "
        "for example --space training.lr=1e-4:1e-2:log."
    )


# The study


@dataclass(frozen=True)
class Tuning:
    """All that a study's trials depend on, and where it is kept.

    request: one data set and one method, the seeds over which a trial's figure is averaged, and the command's own
    overrides. space: the keys searched. trials: N, of the whole study. place: its `results` is the folder of the
    studies. storage: a database's URL. prunes: trials are compared by their validation losses along the way.
    """

    name: str
    suite: Suite
    request: Request
    space: Mapping[str, Range]
    objectives: tuple[str, ...]
    trials: int
    place: ValidationPlace
    storage: str
    prunes: bool = False

    @property
    def dataset(self) -> str:
        return self.request.datasets[0]

    @property
    def method(self) -> str:
        return self.request.methods[0]

    @property
    def locks(self) -> Path:
        return self.place.results / "locks" / self.name

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
        """Of all that figures depend on: trials of different ones are never compared."""
        data = self.place.dataset(self.runs({})[0])
        runs = [(run.hash8, run.evaluation) for run in self.runs({})]
        space = {key: repr(one) for key, one in self.space.items()}
        return digest({"runs": runs, "space": space, "objectives": self.objectives, "data": data.digest})

    def open(self) -> optuna.Study:
        """The study in its database, made where it is not there."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        waits = {"connect_args": {"timeout": 60}} if self.storage.startswith("sqlite") else {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # of heartbeats
                storage = RDBStorage(
                    self.storage,
                    engine_kwargs=waits,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=retry(),
                )
        except (SQLAlchemyError, ImportError) as error:
            reason = registry.in_one_line(error)
            raise UsageError(f"--storage cannot be opened: {reason}; it is a URL such as sqlite:///FILE.") from None
        warm_up = self.runs({})[0].training.warm_up
        return optuna.create_study(
            storage=storage,
            study_name=self.name,
            directions=["minimize"] * len(self.objectives),
            pruner=optuna.pruners.MedianPruner(STARTUP, n_warmup_steps=warm_up + 1),
            load_if_exists=True,
        )

    def begin(self) -> optuna.Study:
        """Makes the study, with the suite's own settings as its first trial, or takes it up; UsageError where a study
        of this name has other settings."""
        self.locks.mkdir(parents=True, exist_ok=True)
        with FileLock(self.locks / "begin"):
            study, mine = self.open(), self.identity()
            if study.user_attrs.get("identity", mine) != mine:
                raise UsageError(
                    f"The study {self.name} was begun with other settings, data or version of this project: choose "
                    "another --name, or delete its database."
                )
            if "identity" not in study.user_attrs:
                study.set_user_attr("identity", mine)
                study.enqueue_trial({key: value for key, value in self.own.items() if contains(self.space[key], value)})
        return study

    def judge(self, trial: Trial, worker: str, begun: Callable[[], object]) -> tuple[float, ...]:
        """The objectives' means over the seeds. Why there are none is kept with the trial."""
        trial.set_user_attr("worker", worker)
        settings = {key: suggest(trial, key, one) for key, one in self.space.items()}
        known = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        begun()
        try:
            runs, figures = self.runs(settings), []
            for index, run in enumerate(runs):
                follow = partial(self.follow, trial, known, index * run.training.epochs)
                figures.append(self.figures(run, replace(self.place, follow=follow)))
        except CutShort:
            raise optuna.TrialPruned from None
        except (Failed, UsageError) as reason:
            trial.set_user_attr("reason", str(reason))
            raise Failed from None
        columns = list(zip(*figures, strict=True))  # an objective each
        trial.set_user_attr("estimators", [one["estimator"] for one in figures[0]])
        trial.set_user_attr("errors", [max(one["error"] or 0.0 for one in column) for column in columns])
        return tuple(sum(one["value"] for one in column) / len(column) for column in columns)

    def figures(self, run: Run, place: Place) -> list[dict[str, Any]]:
        """The first figure of each objective's metric on the validation images; Failed where one is missing."""
        outcome = execute(run, place)
        if outcome.status != "ok":
            raise Failed(f"{outcome.status}: {outcome.note}")
        told = place.record(run).read("metrics.json")["metrics"]
        chosen = []
        for metric in run.metrics:
            if "unsupported" in told[metric]:
                raise Failed(f"unsupported: {told[metric]['unsupported']}")
            chosen.append(told[metric]["figures"][0])
            if not math.isfinite(chosen[-1]["value"]):
                raise Failed(f"{metric} is {chosen[-1]['value']}")
        return chosen

    def follow(self, trial: Trial, known: set[int], before: int, status: Mapping[str, Any]) -> None:
        """Cuts the trial short where its validation losses are worse than the median of the others'. known: epochs told
        before its process was killed."""
        if not self.prunes or status["stage"] != "training":
            return
        step = before + status["epoch"]
        if step not in known:
            trial.report(status["losses"]["validation"], step)
        if trial.should_prune():
            raise CutShort


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
        model, prior = build(run, data)
        model.players(prior)
    except ValueError as error:
        raise UsageError(f"{where}: {error}.") from None
    for name in objectives:
        reason = OBJECTIVES[name].missing(model, prior, data)
        if reason:
            other = OBJECTIVES[name].other
            raise UsageError(f"{where} has no objective '{name}', because {reason}: use --objective {other}.")
    return prunable(run, model, objectives)


# Workers


def work(tuning: Tuning) -> None:
    """Carries out trials until the study has its number. Any number of workers may share a study.

    A trial's seed is its place in the study, so that one worker alone gives the same trials each time, killed and taken
    up or not.
    """
    registry.load_entry_points()
    for plugin in tuning.place.plugins:
        registry.load_plugin(plugin)
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
                except KeyboardInterrupt:
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


def retry() -> RetryHeartbeatStaleTrialCallback:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RetryHeartbeatStaleTrialCallback(max_retry=RETRIES, inherit_intermediate_values=True)
