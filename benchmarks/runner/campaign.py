"""Many runs: what they need is looked at, every method built once, and then all carried out while a person watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console

from benchmarks.config.settings import Run
from benchmarks.datasets import DataError
from benchmarks.features import inception
from benchmarks.metrics import METRICS
from benchmarks.runner.execute import Outcome
from benchmarks.runner.executors import EXECUTORS, Resources
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

    executor: a name of EXECUTORS. ended: is handed every outcome as it comes.
    """
    outcomes = []
    view = Display(console, runs, workspace, resources.at_once(workspace.device))
    with view.watch():
        for outcome in EXECUTORS[executor](runs, workspace, resources):
            view.ended(outcome)
            ended(outcome)
            outcomes.append(outcome)
    return outcomes
