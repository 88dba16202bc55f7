"""Which studies a command asks for, checked before the first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.names import check_flag, fitting, slug
from benchmarks.common.settings import digest
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.tuning import SAMPLES
from benchmarks.tuning.objective import OBJECTIVES
from benchmarks.tuning.space import parse_range, searched, settings_of
from benchmarks.tuning.study import Study, rehearse
from benchmarks.tuning.validation import ValidationWorkspace
from priors.plugins import Added
from priors.space import Choice, Range


@dataclass(frozen=True)
class Plan:
    """What is to be tuned, and where: all but the first three and the last as the flags of `tune` have it."""

    chosen: Suite
    workspace: ValidationWorkspace
    plugins: Mapping[Added, str]
    dataset: tuple[str, ...]
    method: tuple[str, ...]
    objective: tuple[str, ...]
    trials: int
    space: tuple[str, ...]
    seeds: tuple[int, ...]
    samples: int
    preset: str | None
    set: tuple[str, ...]
    name: str | None
    storage: str | None
    places: tuple[str, ...] = ()
    """Flags that a command on a tuned suite needs: the command's own plug-ins and folders."""


def check_objectives(names: tuple[str, ...]) -> None:
    """Raises UsageError for an objective that there is not."""
    for name in names:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)


def studies(plan: Plan, console: Console) -> list[Study]:
    """Every study, with all checked that can be before hours of work."""
    chosen = plan.chosen
    extra, known = dict(map(parse_range, plan.space)), set[str]()
    tunings: list[Study] = []
    overrides = (*plan.set, f"protocol.samples=[{plan.samples}]")
    for dataset in dict.fromkeys(plan.dataset or chosen.datasets):
        for method in dict.fromkeys(plan.method or chosen.methods):
            seeds = plan.seeds or chosen.seeds[:1]
            request = Request((dataset,), (method,), seeds, plan.preset, overrides, plan.plugins)
            base = suite.expand(chosen, request)[0]
            known |= settings_of(base).keys()
            space = searched(chosen, request, base, extra)
            if space:
                tunings.append(one_study(plan, request, space, base))
            elif plan.method:
                raise UsageError(f"{method} on {dataset} has nothing to tune: name settings with --space KEY=LOW:HIGH.")
            else:
                console.print(f"left out: {method}, which has nothing to tune", style="yellow", highlight=False)
    for key in extra.keys() - known:
        raise unknown("setting", key, known)
    return tunings


def one_study(plan: Plan, request: Request, space: dict[str, Range], base: Run) -> Study:
    """A method's study on a data set; UsageError where an objective is undefined or the ends of a range are no valid
    settings."""
    name = study_name(plan, base.dataset, base.method)
    storage = plan.storage or f"sqlite:///{(plan.workspace.results / name).resolve()}.db"
    prunes = rehearse(base, plan.workspace.on_cpu.dataset(base), plan.objective)
    tuning = Study(name, plan.chosen, request, space, plan.objective, plan.trials, plan.workspace, storage, prunes)
    for key, one in space.items():
        for value in one.values if isinstance(one, Choice) else (one.low, one.high):
            tuning.runs({key: value})
    return tuning


def study_name(plan: Plan, dataset: str, *names: str) -> str:
    """What makes a study another one is in its name, so that the same command always finds its own."""
    check_flag("--name", plan.name)
    parts = [plan.name or plan.chosen.name, slug(dataset), "+".join(map(slug, names))]
    if plan.objective != ("nll",):
        parts.append("+".join(plan.objective))
    if plan.preset:
        parts.append(plan.preset)
    options = [sorted(plan.set), sorted(plan.space), plan.seeds, plan.samples]
    if options != [[], [], (), SAMPLES]:
        parts.append(digest(options))
    return fitting("-".join(parts))
