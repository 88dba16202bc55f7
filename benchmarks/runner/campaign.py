"""Many runs: what they need is looked at, every method built once, and then all carried out while a person watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from benchmarks.config.settings import Run
from benchmarks.datasets import DataError
from benchmarks.features import inception
from benchmarks.metrics import METRICS
from benchmarks.runner.elsewhere import Met, look, met
from benchmarks.runner.execute import AGAIN, Outcome
from benchmarks.runner.executors import EXECUTORS, Executor, Resources
from benchmarks.runner.executors.resources import USUAL
from benchmarks.runner.progress import Display
from benchmarks.runner.rehearsal import rehearse
from benchmarks.runner.workspace import Workspace


def prepare(runs: Sequence[Run], workspace: Workspace, skip: bool = False) -> tuple[list[Run], list[str]]:
    """(the runs that can be carried out, what is wrong with the data of the others).

    All that can be found before hours of work is found here, and told in one message. skip: go on without the data that
    are missing, where others are there.
    """
    check_weights(runs, workspace)
    return check_data(runs, workspace, skip)


def check_weights(runs: Sequence[Run], workspace: Workspace) -> None:
    """Raises WeightsError where a run asks for Inception's features and its file is not the published one."""
    if workspace.inception and any(METRICS[name].inception for run in runs for name in run.metrics):
        inception.load(workspace.inception)


def check_data(runs: Sequence[Run], workspace: Workspace, skip: bool) -> tuple[list[Run], list[str]]:
    """Loads every data set once and builds every method on it once. Raises DataError for all that is missing."""
    present: list[Run] = []
    problems: list[str] = []
    by_dataset = {name: [run for run in runs if run.dataset == name] for name in dict.fromkeys(r.dataset for r in runs)}
    for group in by_dataset.values():
        try:
            data = workspace.on_cpu.dataset(group[0])
        except DataError as error:
            problems.append(str(error))
            continue
        for run in {run.method: run for run in group}.values():
            rehearse(run, data)
        present += group
    if problems and not (skip and present):
        others = " Or pass --skip-missing to go on without." if present else ""
        raise DataError("\n       ".join(problems) + others)
    return present, problems


def carry_out(
    runs: Sequence[Run],
    workspace: Workspace,
    console: Console,
    executor: str = "local",
    resources: Resources = USUAL,
    ended: Callable[[Outcome], object] = lambda outcome: None,
) -> list[Outcome]:
    """All of the runs that were prepared, and how they ended, in the order in which they did.

    executor: a name of EXECUTORS. ended: is handed every outcome as it comes. Runs that other commands carry out are
    come back to when the others are through: once they have ended there, or were left unfinished and are carried out
    here.
    """
    outcomes = []
    view = Display(console, runs, workspace, resources.at_once(workspace.device))
    with view.watch():
        for outcome in each(runs, workspace, EXECUTORS[executor], resources, view.back):
            if outcome.status == "elsewhere":
                view.met(outcome)
                continue
            view.ended(outcome)
            ended(outcome)
            outcomes.append(outcome)
    return outcomes


def each(
    runs: Sequence[Run],
    workspace: Workspace,
    executor: Executor,
    resources: Resources,
    back: Callable[[Sequence[Run]], object] = lambda runs: None,
) -> Iterator[Outcome]:
    """Every run's end, after a word on those that other processes hold. back: is told which of these are no longer."""
    left, held = list(runs), list[Met]()
    while left or held:
        for outcome in executor(left, workspace, resources) if left else ():
            if outcome.status == "elsewhere":
                held.append(met(outcome.run, workspace))
            yield outcome
        seen = look(held, workspace)
        yield from seen.ended
        left, held = seen.free, seen.held
        back(left)
        if held and not left:
            time.sleep(AGAIN)
