"""What a person sees of a study: what it is, how far it is, and what it has found."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
import pandas as pd
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.common import style
from benchmarks.common.started import program
from benchmarks.runner.progress import describe, periodically
from benchmarks.tuning import result
from benchmarks.tuning.slots import tidy
from benchmarks.tuning.study import STATUS, Study


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
            for one in self.tuning.runs(self.tuning.settings(trial)):
                status = self.tuning.workspace.record(one).reported()
                if status and status["stage"] != "done":
                    return describe(status)
        return ""


def command_on(path: Path, places: Sequence[str]) -> str:
    """The command that runs a tuned suite, as a shell takes it."""
    return f"{program('run')} {shlex.join(('--suite', str(path), *places))}"


def conclude(
    console: Console, ended: result.Ended, write: Callable[[pd.DataFrame, Path], object], places: Sequence[str] = ()
) -> None:
    """Writes all that a study gives, and says where. places: flags of the command that runs the tuned suite."""
    path = ended.tuning.workspace.results / ended.tuning.name
    write(ended.frame(), path.with_name(f"{path.name}.csv"))
    if not ended.best:
        line = f"{path.name}: no trial has an estimate yet, see {path}.csv"
        console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
        return
    result.write_suite([ended], path.with_name(f"{path.name}.toml"))
    style.write(result.history(ended), path.with_name(f"{path.name}-history"))
    style.write(result.importance(ended), path.with_name(f"{path.name}-importance"))
    lines = [ended.line(trial) for trial in ended.best]
    lines += [*ended.gains(), f"run it: {command_on(path.with_name(f'{path.name}.toml'), places)}"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
