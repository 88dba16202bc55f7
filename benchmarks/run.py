"""The command `python -m benchmarks.run`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import tyro
from rich.console import Console

from benchmarks import datasets, display, made, methods, suite, survey, table, wide
from benchmarks.command import STYLE, Selection, check_writable, first_line, named, parse, place_of, status
from benchmarks.datasets import DataError
from benchmarks.errors import UsageError, find, unknown
from benchmarks.evaluation import METRICS
from benchmarks.execute import Place
from benchmarks.executors import EXECUTORS
from benchmarks.features import inception
from benchmarks.machine import default_workers
from benchmarks.record import Damaged, Record
from benchmarks.rehearsal import built
from benchmarks.settings import Run
from benchmarks.suite import Request, Suite
from models.registry import PARTS
from priors.base import Unsupported
from priors.plugins import load_entry_points
from priors.registry import PRIORS


@dataclass(frozen=True)
class Command(Selection):
    """Trains, evaluates and tabulates the runs of a suite.

    The table goes to RESULTS/SUITE.csv, its costs to RESULTS/SUITE-cost.csv, and what made it (machine, versions,
    sources) to RESULTS/SUITE.made.json; every run keeps its record below RESULTS/runs. What is finished is never done
    again: the same command goes on where a former one stopped.

    Other commands: `python -m benchmarks.run list` (suites, priors, data sets, metrics),
    `python -m benchmarks.run validate [SUITE ...]` (checks suites without running them) and
    `python -m benchmarks.run table --suite NAME` (a table as Markdown, LaTeX or CSV for a paper).

    For example:
      python -m benchmarks.run --suite quickstart
      python -m benchmarks.run --suite quickstart --method gaussian vampprior --seeds 0 --set training.epochs=20
      python -m benchmarks.run --suite iop-table2 --dataset freyfaces --data DIR --download
    """

    limit: Annotated[int | None, named("N")] = None
    """Stop after this many unfinished runs."""
    workers: int = 0
    """Processes at once; 0: one a core on a CPU, four on each GPU."""
    executor: Annotated[str, named("NAME")] = "local"
    """local: a process a run, several at once. serial: everything in this process, one run after another. Or one that
    a plug-in registers."""
    inception_weights: Annotated[Path | None, named("FILE")] = None
    """Weights of the Inception network for FID and its kin (default: torch's cache, where they are there)."""
    skip_missing: bool = False
    """Leave out data sets that are not there, instead of refusing to start."""
    minutes_a_run: Annotated[float | None, named("MINUTES")] = None
    """End a run that takes longer, as failed (default: no limit)."""
    stale: Literal["keep", "rerun"] = "keep"
    """What becomes of runs made by other sources of this project or a plug-in, or by another torch or numpy: keep
    takes them as they are and says how many there are; rerun makes them anew."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all runs fine, 1 some failed or diverged, 2 wrong usage, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return status(lambda: dispatch(given, display.Screen()))


def dispatch(arguments: list[str], console: Console) -> int:
    """To the command that the first word names, or to the one that runs a suite."""
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in COMMANDS:
            raise unknown("command", arguments[0], COMMANDS)
        return COMMANDS[arguments[0]](arguments[1:], console)
    check_flags(arguments)
    return run_suite(parse(Command, arguments, "run"), console)


def run_suite(command: Command, console: Console) -> int:
    """Expands, checks all that can be checked beforehand, runs, and keeps the table up to date."""
    check_numbers(command)
    chosen, request = suite.read(command.suite), command.request()
    place = replace(place_of(command, command.inception_weights), seconds=60 * (command.minutes_a_run or 0))
    find(EXECUTORS, command.executor)
    wanted = suite.expand(chosen, request)
    check_writable(command.results)
    check_weights(wanted, place)
    wanted, missing = check_data(wanted, place, command.skip_missing)
    everything, lost = whole_table(chosen, request, wanted, place)
    for line in (*survey.mend(wanted, place), *survey.age(wanted, place, command.stale), *survey.unreadable(lost)):
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    left = [run for run in wanted if not survey.finished(run, place)]
    console.print(f"{chosen.title}: {len(wanted)} runs, {len(wanted) - len(left)} already done", highlight=False)
    target = command.results / command.output(chosen)
    write = Paced(lambda: write_tables(chosen, everything, place, target))
    failed = carry_out(left[: command.limit], command, place, console, write)
    frame = write.now()
    made.write(everything, place, target.with_name(f"{target.name}.made.json"))
    display.show(console, frame[frame["status"] != "not-computed"], chosen.title)
    for line in missing:
        console.print(f"left out: {line}", style="yellow", highlight=False, markup=False)
    console.print(f"table: {target}.csv", highlight=False)
    return 1 if failed or table.trouble(wanted, place) else 0


def check_numbers(command: Command) -> None:
    """Raises UsageError for numbers that cannot be."""
    for flag in ("workers", "limit"):
        if (getattr(command, flag) or 0) < 0:
            raise UsageError(f"--{flag} {getattr(command, flag)}: it is 0 or larger.")
    if command.minutes_a_run is not None and not 0 < command.minutes_a_run < math.inf:
        raise UsageError(f"--minutes-a-run {command.minutes_a_run}: it is larger than 0.")


def carry_out(runs: Sequence[Run], command: Command, place: Place, console: Console, write: Paced) -> bool:
    """All of the runs; has one failed? However it ends, the table has what is done."""
    workers = command.workers or default_workers(place.device)
    view, failed = display.Display(console, runs, place, workers), False
    try:
        with view.watch():
            for outcome in EXECUTORS[command.executor](runs, place, workers):
                view.ended(outcome)
                failed |= outcome.status == "failed"
                write.soon()
    except BaseException:  # Ctrl-C, or an output that nobody reads on
        write.now()
        raise
    return failed


class Paced:
    """Writes again and again, but takes a tenth of the time at most."""

    def __init__(self, write: Callable[[], pd.DataFrame]):
        self.write, self.next = write, 0.0

    def soon(self) -> None:
        if time.monotonic() >= self.next:
            self.now()

    def now(self) -> pd.DataFrame:
        start = time.monotonic()
        frame = self.write()
        self.next = time.monotonic() + 9 * (time.monotonic() - start)
        return frame


def whole_table(chosen: Suite, request: Request, wanted: list[Run], place: Place) -> tuple[list[Run], list[Record]]:
    """(the suite's own runs, done or not, then the others of this and earlier commands; records that cannot be read):
    no part of a suite takes another's rows out of the table."""
    own = suite.expand(chosen, replace(request, datasets=(), methods=(), seeds=()))
    known = {run.name: run for run in (*own, *wanted)}
    others, lost = earlier(chosen, request, place, known.keys())
    return list((known | {run.name: run for run in others}).values()), lost


def earlier(chosen: Suite, request: Request, place: Place, known: Set[str]) -> tuple[list[Run], list[Record]]:
    """(runs on the disk that are not known, asked for by an earlier command, if they still are what it would run today;
    records that cannot be read). Those of a plug-in's prior are there whenever the plug-in is."""
    found, lost = [], []
    for path in sorted((place.results / "runs" / chosen.name).glob("*/config.json")):
        record = Record(path.parent)
        if path.parent.name in known:
            continue
        try:
            cell = record.read("config.json")
            only = {"datasets": (cell["dataset"],), "methods": (cell["method"],), "seeds": (cell["seed"],)}
            found += [run for run in suite.expand(chosen, replace(request, **only)) if run.name == path.parent.name]
        except Damaged:
            lost.append(record)
        except (ValueError, KeyError):  # of another version, or no longer defined
            continue
    return found, lost


def write_tables(chosen: Suite, runs: list[Run], place: Place, target: Path) -> pd.DataFrame:
    """The table as the runs now stand."""
    frame, costs = table.build(chosen, runs, place)
    table.write(frame, target.with_name(target.name + ".csv"))
    table.write(costs, target.with_name(target.name + "-cost.csv"))
    return frame


def check_data(runs: list[Run], place: Place, skip: bool) -> tuple[list[Run], list[str]]:
    """(runs whose data are there, what is wrong with the other data).

    Every data set is loaded once, and every method built on it once, before hours of work: all that is missing is told
    in one message.
    """
    present: list[Run] = []
    problems: list[str] = []
    by_dataset = {name: [run for run in runs if run.dataset == name] for name in dict.fromkeys(r.dataset for r in runs)}
    for group in by_dataset.values():
        try:
            data = place.on_cpu.dataset(group[0])
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


def rehearse(run: Run, data: datasets.Dataset) -> None:
    """Builds a run's model and prior, so that what cannot be built is told at once.

    A pair that is undefined is not a mistake: its run says so in the table.
    """
    if run.prior is None:
        return
    with suppress(Unsupported):
        built(run, data)


def check_weights(runs: list[Run], place: Place) -> None:
    """Raises WeightsError where a run asks for Inception's features and its file is not the published one."""
    if place.inception and any(METRICS[name].inception for run in runs for name in run.metrics):
        inception.load(place.inception)


def list_everything(arguments: Sequence[str], console: Console) -> int:
    """Suites, methods, priors, regularisers, data sets and metrics, a line each."""
    tyro.cli(_nothing, args=arguments, prog="python -m benchmarks.run list")
    load_entry_points()
    suites = {name: suite.read(name) for name in suite.names()}
    sections: dict[str, dict[str, str]] = {
        "suites": {name: f"{one.title}. {one.summary}" for name, one in suites.items()},
        "methods": {name: describe(methods.definition(name)) for name in methods.catalogue()},
        "priors (each that has a density is a method too: a VAE with it)": {
            name: first_line(prior) for name, prior in PRIORS.items()
        },
        "regularisers": {name: first_line(one) for name, one in PARTS["regulariser"].items()},
        "data sets": {name: one.summary for name, one in datasets.DATASETS.items()},
        "metrics": {name: one.summary for name, one in METRICS.items()},
    }
    for title, entries in sections.items():
        console.print(title, style="bold")
        for name, line in entries.items():
            console.print(f"  {name:24} {line}", highlight=False, markup=False, soft_wrap=True)
    return 0


def describe(method: methods.Method) -> str:
    """Its title, source, what it is made of, and what it needs."""
    source = f" ({method.source})" if method.source else ""
    if method.use is None:
        return f"{method.title}{source}: no model"
    parts = " + ".join((method.model.get("type", "vae"), method.use, *method.regularisers))
    return f"{method.title}{source}: {parts}" + (f"; needs {method.needs}" if method.needs else "")


def validate(arguments: Sequence[str], console: Console) -> int:
    """Reads and expands suites without running anything."""
    chosen = tyro.cli(_names, args=arguments, prog="python -m benchmarks.run validate")
    for name in chosen or suite.names():
        runs = suite.expand(suite.read(name))
        for preset in suite.read(name).preset:
            suite.expand(suite.read(name), Request(preset=preset))
        console.print(f"{name}: fine, {len(runs)} runs", highlight=False, markup=False)
    return 0


@dataclass(frozen=True)
class TableCommand:
    """Prints a suite's table as a paper would: methods down, data sets and figures across.

    For example:
      python -m benchmarks.run table --suite quickstart --metric nll skl --format latex
    """

    suite: Annotated[str, named("NAME")]
    """Name of the table's file below RESULTS, without its ending."""
    metric: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these metrics, in this order."""
    format: Literal["csv", "markdown", "latex"] = "markdown"
    """What to print it as."""
    results: Path = Path("results")
    """Folder of the results."""


def print_table(arguments: Sequence[str], console: Console) -> int:
    """The wide view of a table that was written before."""
    command = tyro.cli(TableCommand, args=arguments, prog="python -m benchmarks.run table", config=STYLE)
    path = command.results / f"{command.suite}.csv"
    frame, _ = table.read(path, "run the suite first, or name another folder with --results")
    for name in command.metric:
        if name not in set(frame["metric"]):
            raise unknown("metric", name, frame["metric"].unique())
    print(wide.FORMATS[command.format](wide.wide(frame, command.metric)), end="")
    return 0


def _nothing() -> None:
    """Lists suites, methods, priors, regularisers, data sets and metrics."""


def _names(suites: tyro.conf.Positional[tuple[str, ...]] = ()) -> tuple[str, ...]:
    """Checks suites (all of the project's by default, or names or TOML files) without running them."""
    return suites


COMMANDS = {"list": list_everything, "table": print_table, "validate": validate}


def check_flags(arguments: Sequence[str]) -> None:
    """Raises UsageError with the near name for a flag that does not exist."""
    known = {f"--{field.name.replace('_', '-')}" for field in fields(Command)}
    known.add("--help")
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in known:
            raise unknown("flag", flag, known)


if __name__ == "__main__":
    sys.exit(main())
