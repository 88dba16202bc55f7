"""The command `python -m benchmarks.tune`: the best settings of a method, found on validation images."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import optuna
from loky import ProcessPoolExecutor
from loky.process_executor import TerminatedWorkerError
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.cli import (
    Selection,
    Several,
    check_least,
    check_writable,
    load_plugins,
    named,
    parse,
    status,
    workspace_of,
)
from benchmarks.common import style
from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.names import check_flag, fitting, slug
from benchmarks.common.settings import digest
from benchmarks.common.started import program
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.runner.executors.nursery import interrupts_ignored
from benchmarks.runner.machine import device_of, prepare_worker
from benchmarks.runner.progress import describe, periodically
from benchmarks.tables import table
from benchmarks.tables.console import Screen
from benchmarks.tuning import result
from benchmarks.tuning.objective import OBJECTIVES
from benchmarks.tuning.space import parse_range, searched, settings_of
from benchmarks.tuning.study import STATUS, Study, rehearse
from benchmarks.tuning.validation import ValidationWorkspace
from benchmarks.tuning.workers import start_worker, tidy, work
from priors.space import Choice, Range


@dataclass(frozen=True)
class Command(Selection):
    """Tunes methods of a suite on its validation images; test images take no part.

    What is searched: the ranges that the method's prior and regularisers declare, but for what makes the method what it
    is (the catalogue's settings, the suite's [method.NAME], and what --set gives). The first trial is the suite's own
    settings. One objective: unpromising trials are cut short where the validation loss tells. Two: the trials that no
    other beats in both, and none is cut short.

    RESULTS/studies/SUITE-DATASET-METHOD.toml is a suite with the best settings, for `python -m benchmarks.run --suite`;
    beside it are the trials (.csv), their history and the settings' importance (.png), and the study itself (.db).
    After Ctrl-C or a crash the same command goes on. Copies of it, on any machine that reaches the --storage, join in.

    For example:
      python -m benchmarks.tune --suite quickstart --method vampprior
      python -m benchmarks.tune --suite quickstart --method vampprior mixture --trials 50 --workers 2
      python -m benchmarks.tune --suite quickstart --method pullback --objective nll fd --set training.epochs=50
      python -m benchmarks.tune --suite quickstart --method gaussian --space training.lr=1e-4:1e-2:log
    """

    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Methods, tuned in turn, each by equally many trials (default: all of the suite's that have something to tune)."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Data sets, each with a study of its own (default: the suite's)."""
    objective: Annotated[tuple[str, ...], named("NAME ...")] = ("nll",)
    """nll: -ln p(x) in nats an image. fd: Frechet distance of generated images in a classifier's features. Or both."""
    trials: Annotated[int, named("N")] = 30
    """Trials of the whole study, those of earlier commands included; what fails counts."""
    space: Annotated[tuple[str, ...], Several, named("KEY=LOW:HIGH")] = ()
    """Search this too, or in this range: --space prior.vampprior.components=10:500:log, --space training.lr=1e-4:1e-2,
    --space prior.pullback.penalty=wgan-gp,wgan-div-1. May be repeated."""
    seeds: Annotated[tuple[int, ...], named("SEED ...")] = ()
    """Seeds whose mean figure is a trial's (default: the suite's first)."""
    samples: Annotated[int, named("K")] = 500
    """Importance samples an image of the objective nll."""
    preset: Annotated[str | None, named("NAME")] = None
    """A smaller budget that the suite offers."""
    set: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """Fix a setting for all trials: --set training.epochs=50. What is fixed is not searched. May be repeated."""
    name: Annotated[str | None, named("NAME")] = None
    """Begins the studies' names, in the place of the suite's."""
    storage: Annotated[str | None, named("URL")] = None
    """A database for studies that several machines share, as postgresql://HOST/NAME (default: a SQLite file each)."""
    workers: int = 1
    """Processes at once, one thread each. With one the trials are the same each time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 every study has a best trial, 1 one has none, 2 wrong usage, 130 stopped by Ctrl-C."""
    try:
        return status(lambda: tune(parse(Command, arguments, "tune"), Screen()))
    except TerminatedWorkerError:
        print("error: A worker was killed (for its memory?): the same command goes on; try fewer.", file=sys.stderr)
        return 1


def tune(command: Command, console: Console) -> int:
    """One study after another, each written when it ends; then the methods of a data set as one suite."""
    chosen = suite.read(command.suite)
    tunings = prepare(command, chosen, console)
    ended = []
    for tuning in tunings:
        study = tuning.begin()
        introduce(console, tuning, study)
        try:
            with View(console, tuning, study).watch():
                carry_out(tuning, command.workers)
        except (SQLAlchemyError, StorageInternalError) as error:
            raise tuning.unusable(error) from None
        finally:
            ended.append(result.Ended(tuning, tidy(study, tuning.trials)))
            conclude(console, ended[-1])
    for dataset in dict.fromkeys(one.tuning.dataset for one in ended):
        together = [one for one in ended if one.best and one.tuning.dataset == dataset]
        if len(together) > 1:
            name = study_name(command, chosen, dataset, *(one.tuning.method for one in together))
            result.write_suite(together, together[0].tuning.workspace.results / f"{name}.toml")
            console.print(f"these methods as one suite: {name}.toml", highlight=False, markup=False, soft_wrap=True)
    return 0 if all(one.best for one in ended) else 1


# Before the first trial


def prepare(command: Command, chosen: Suite, console: Console) -> list[Study]:
    """Every study, with all checked that can be before hours of work."""
    check(command)
    plugins, workspace = load_plugins(command.plugin), make_workspace(command)
    extra, known, tunings = dict(map(parse_range, command.space)), set(), []
    overrides = (*command.set, f"protocol.samples=[{command.samples}]")
    for dataset in dict.fromkeys(command.dataset or chosen.datasets):
        for method in dict.fromkeys(command.method or chosen.methods):
            seeds = command.seeds or chosen.seeds[:1]
            request = Request((dataset,), (method,), seeds, command.preset, overrides, plugins)
            base = suite.expand(chosen, request)[0]
            known |= settings_of(base).keys()
            space = searched(chosen, request, base, extra)
            if space:
                tunings.append(one_study(command, chosen, request, space, workspace, base))
            elif command.method:
                raise UsageError(f"{method} on {dataset} has nothing to tune: name settings with --space KEY=LOW:HIGH.")
            else:
                console.print(f"left out: {method}, which has nothing to tune", style="yellow", highlight=False)
    for key in extra.keys() - known:
        raise unknown("setting", key, known)
    return tunings


def check(command: Command) -> None:
    """Raises UsageError for a number or an objective that cannot be."""
    check_least(command, 1, "trials", "workers", "samples")
    if (command.storage or "").rstrip("/") == "sqlite:":
        raise UsageError(f"--storage {command.storage}: name the file, such as sqlite:///FILE.")
    for name in command.objective:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)


def make_workspace(command: Command) -> ValidationWorkspace:
    """Where trials happen: in a folder of their own, on validation images."""
    workspace = workspace_of(command)
    check_writable(command.results)
    return ValidationWorkspace(
        command.results / "studies", workspace.data, workspace.device, workspace.options, workspace.plugins
    )


def one_study(
    command: Command,
    chosen: Suite,
    request: Request,
    space: dict[str, Range],
    workspace: ValidationWorkspace,
    base: Run,
) -> Study:
    """A method's study on a data set; UsageError where an objective is undefined or the ends of a range are no valid
    settings."""
    name = study_name(command, chosen, base.dataset, base.method)
    storage = command.storage or f"sqlite:///{(workspace.results / name).resolve()}.db"
    prunes = rehearse(base, workspace.on_cpu.dataset(base), command.objective)
    tuning = Study(name, chosen, request, space, command.objective, command.trials, workspace, storage, prunes)
    for key, one in space.items():
        for value in one.values if isinstance(one, Choice) else (one.low, one.high):
            tuning.runs({key: value})
    return tuning


def study_name(command: Command, chosen: Suite, dataset: str, *names: str) -> str:
    """What makes a study another one is in its name, so that the same command always finds its own."""
    check_flag("--name", command.name)
    parts = [command.name or chosen.name, slug(dataset), "+".join(map(slug, names))]
    if command.objective != ("nll",):
        parts.append("+".join(command.objective))
    if command.preset:
        parts.append(command.preset)
    options = [sorted(command.set), sorted(command.space), command.seeds, command.samples]
    if options != [[], [], (), Command.samples]:
        parts.append(digest(options))
    return fitting("-".join(parts))


def introduce(console: Console, tuning: Study, study: optuna.Study) -> None:
    """What is to be done, before it is."""
    seeds = ", ".join(map(str, tuning.request.seeds))
    done = sum(trial.state in STATUS for trial in tidy(study, tuning.trials).trials)
    lines = [
        f"{tuning.name}: {tuning.trials} trials of {tuning.method} on {tuning.dataset}, seeds {seeds}; {done} are done",
        f"  judged by {' and '.join(tuning.objectives)} of validation images; "
        + ("cut short by the validation loss" if tuning.prunes else "every trial is trained to its end"),
    ]
    for key, one in tuning.space.items():
        lines.append(f"  {key}: {result.describe(one)}; the suite's own is {tuning.own[key]}")
    lines += [f"  {key} = {value}, fixed" for key, value in tuning.fixed.items()]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


# Trials


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


class View:
    """What a person sees of a study under way: a bar with the best so far, and a line for every trial that ends."""

    def __init__(self, console: Console, tuning: Study, study: optuna.Study):
        self.console, self.tuning, self.study = console, tuning, study
        columns = ("{task.description}", "{task.fields[best]}", "{task.fields[now]}")
        first, best, now = (TextColumn(column, markup=False) for column in columns)
        parts = (first, BarColumn(24), MofNCompleteColumn(), best, now, TimeElapsedColumn())
        self.bar = Progress(*parts, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task(tuning.method, total=tuning.trials, best="", now="")
        self.told = {trial.number for trial in tidy(study, tuning.trials).trials if trial.state in STATUS}

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Looks at the database once a second, whoever carries out the trials."""
        with self.bar:
            try:
                with periodically(self.look, 1):
                    yield
            finally:
                self.look()

    def look(self) -> None:
        ended = result.Ended(self.tuning, tidy(self.study, self.tuning.trials))
        for trial in ended.study.trials:
            if trial.state in STATUS and trial.number not in self.told:
                self.told.add(trial.number)
                line = f"{len(self.told)}/{self.tuning.trials} {ended.line(trial)}"
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        best = "best " + ended.values(ended.best[0]) if ended.best else ""
        self.bar.update(self.task, completed=len(self.told), best=best, now=self.now(ended.study))

    def now(self, study: optuna.Study) -> str:
        """How far the first trial under way is."""
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            for one in self.tuning.runs(trial.params):
                status = self.tuning.workspace.record(one).reported()
                if status and status["stage"] != "done":
                    return describe(status)
        return ""


def conclude(console: Console, ended: result.Ended) -> None:
    """Writes all that a study gives, and says where."""
    path = ended.tuning.workspace.results / ended.tuning.name
    table.write(ended.frame(), path.with_name(f"{path.name}.csv"))
    if not ended.best:
        line = f"{path.name}: no trial has a figure yet, see {path}.csv"
        console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
        return
    result.write_suite([ended], path.with_name(f"{path.name}.toml"))
    style.write(result.history(ended), path.with_name(f"{path.name}-history"))
    style.write(result.importance(ended), path.with_name(f"{path.name}-importance"))
    lines = [ended.line(trial) for trial in ended.best]
    lines += [f"run it: {program('run')} --suite {path}.toml"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
