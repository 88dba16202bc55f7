"""The command `python -m benchmarks.run`.

What does the work is imported by the functions that do it: neither `--help` nor `list` waits for torch and pandas.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from benchmarks.cli import (
    DATA,
    Several,
    Work,
    check_least,
    check_minutes,
    check_writable,
    load_plugins,
    named,
    parse,
    status,
    workspace_of,
)
from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.screen import Screen
from benchmarks.common.started import program


@dataclass(frozen=True)
class Command(Work):
    """Trains, evaluates and tabulates the runs of a suite.

    The table goes to RESULTS/SUITE.csv, its costs to RESULTS/SUITE-cost.csv, and what made it (machine, versions,
    sources) to RESULTS/SUITE.runs.json; every run keeps its record below RESULTS/runs. What is finished is never done
    again: the same command goes on where a former one stopped.

    Other commands: `python -m benchmarks.run list [SECTION [NAME]]` (what there is, one in full),
    `python -m benchmarks.run validate [SUITE ...]` (checks suites without running them),
    `python -m benchmarks.run show --suite NAME` (each seed's numbers and what made them),
    `python -m benchmarks.run verify` (whether results are as they were written) and
    `python -m benchmarks.run table --suite NAME` (a table as Markdown, LaTeX or CSV for a paper).

    For example:
      python -m benchmarks.run --suite quickstart
      python -m benchmarks.run --suite quickstart --method gaussian vampprior --seeds 0 --set training.epochs=20
      python -m benchmarks.run --suite iop-table2 --dataset freyfaces --data DIR --download
    """

    limit: Annotated[int | None, named("N")] = None
    """Stop after this many unfinished runs."""
    stack: Literal["auto", "on", "off"] = "auto"
    """Train seeds of a method together: auto where it is faster (dense networks, on a CPU small ones, and 4000 steps or
    more), on wherever it can be, off never."""
    inception_weights: Annotated[Path | None, named("FILE")] = None
    """Weights of the Inception network for FID and its kin (default: torch's cache, where they are there)."""
    skip_missing: bool = False
    """Leave out data sets that are not there, instead of refusing to start."""
    minutes_a_run: Annotated[float | None, named("MINUTES")] = None
    """End a run that takes longer, as failed (default: no limit)."""
    retries: Annotated[int, named("N")] = 1
    """How often a run is tried again, by itself, whose process the system ended, as for its memory. What fails by an
    exception or a crash of its own is not: the next command tries it again."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Join a training step's operations once and replay them: auto in long trainings, on in all, off in none."""
    all: bool = False
    """Print every estimate of the table after its headline."""
    stale: Literal["keep", "rerun"] = "keep"
    """What becomes of runs made by other sources of this project or a plug-in, or by another torch or numpy: keep
    takes them as they are and says how many there are; rerun makes them anew."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all runs fine, 1 some failed or diverged, 2 wrong usage, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return status(lambda: dispatch(given, Screen()))


def dispatch(arguments: list[str], console: Console) -> int:
    """To the command that the first word names, or to the one that runs a suite."""
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in COMMANDS:
            raise unknown("command", arguments[0], COMMANDS)
        return COMMANDS[arguments[0]](arguments[1:], console)
    return run_suite(parse(Command, arguments, "run"), console)


def run_suite(command: Command, console: Console) -> int:
    """Expands, checks all that can be checked beforehand, runs, and keeps the table up to date."""
    from benchmarks.config import suite
    from benchmarks.tables import console as whole
    from benchmarks.tables import front
    from benchmarks.tables.fill import Order, fill

    check_numbers(command)
    chosen, request = suite.read(command.suite), command.request()
    usual, seconds = workspace_of(command, command.inception_weights), 60 * (command.minutes_a_run or 0)
    workspace = replace(usual, seconds=seconds, stack=command.stack, capture=command.compile)
    workspace = replace(workspace, retries=command.retries)
    runs = suite.expand(chosen, request)
    check_writable(command.results)
    target = command.results / command.output(chosen)
    order = {name: getattr(command, name) for name in ("executor", "limit", "skip_missing", "stale")}
    asked = Order(chosen, request, runs, workspace, target, resources=command.resources(), **order)
    filled = fill(asked, console, lambda lines: warn(console, lines))
    told = filled.frame[~filled.frame["status"].isin(("not-computed", "former"))]
    answered = front.show(console, told, filled.costs, chosen.title)
    if command.all or not answered:
        whole.show(console, told, chosen.title)
    warn(console, [f"left out: {line}" for line in filled.missing])
    warn(console, front.former(filled.frame))
    everything = "" if command.all else f" ({len(told)} rows; --all prints them)"
    console.print(f"table: {target}.csv{everything}", highlight=False, soft_wrap=True)
    if any(run.control for run in runs):
        words = ("table", "--suite", target.name, "--results", str(target.parent), "--verdict")
        console.print(f"what each metric saw: {program('run')} {shlex.join(words)}", highlight=False, soft_wrap=True)
    return 0 if filled.well else 1


def check_numbers(command: Command) -> None:
    """Raises UsageError for numbers that cannot be."""
    check_least(command, 0, "limit", "retries")
    check_minutes(command, "minutes_a_run")


def warn(console: Console, lines: Sequence[str]) -> None:
    """Lines that do not stop the command."""
    for line in lines:
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class ListCommand:
    """Lists what there is, or tells one thing in full.

    For example:
      python -m benchmarks.run list
      python -m benchmarks.run list priors
      python -m benchmarks.run list priors vampprior
      python -m benchmarks.run list papers
    """

    section: Annotated[str, tyro.conf.Positional, named("SECTION")] = ""
    """suites, methods, priors, regularisers, datasets, metrics, or papers, which are printed as BibTeX; without one,
    all but the papers, a line each."""
    name: Annotated[str, tyro.conf.Positional, named("NAME")] = ""
    """One of the section: its settings with defaults and ranges, what it needs, its formula, and its source."""
    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file whose parts are listed too. May be repeated."""


def list_everything(arguments: Sequence[str], console: Console) -> int:
    """Suites, methods, priors, regularisers, data sets and metrics, a line each; or one of them."""
    command = parse(ListCommand, arguments, "run list")
    from benchmarks.config import catalogue, papers

    if command.plugin:
        load_plugins(command.plugin)
    sections = catalogue.everything(bool(command.plugin))
    chosen = catalogue.section(command.section, sections) if command.section else ""
    if command.name:
        from benchmarks.config import told

        lines = told.lines(chosen, command.name, sections)
    else:
        lines = list(papers.bibtex() if chosen == "papers" else catalogue.lines(sections, chosen))
    for line in lines:
        console.print(line, style=None if line.startswith((" ", "@", "}")) else "bold", soft_wrap=True)
    return 0


@dataclass(frozen=True)
class ValidateCommand:
    """Checks suites without running them, as strictly as a run does before it begins: every setting, whether a run of
    the suite uses it or not, every preset, and every method built on every data set that is there.

    Data sets that need files are looked at with --data; images of `folder:PATH` and what needs no files, always.
    """

    suites: Annotated[tuple[str, ...], tyro.conf.Positional, named("SUITE")] = ()
    """Names, or TOML files; without any, all of the project's."""
    data: Annotated[Path | None, named("DIR")] = None
    """Folder of the data sets."""
    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers parts that the suites name. May be repeated."""


def validate(arguments: Sequence[str], console: Console) -> int:
    """Reads, expands and tries suites without running anything."""
    command = parse(ValidateCommand, arguments, "run validate")
    from benchmarks.config import suite, whole
    from benchmarks.runner.tryout import try_out

    request = suite.Request(plugins=load_plugins(command.plugin))
    for name in command.suites or suite.names():
        chosen = suite.read(name)
        runs = suite.expand(chosen, request)
        whole.check_whole(chosen, request)
        left_out = try_out(runs, command.data)
        more = f" (without --data not looked at: {', '.join(left_out)})" if left_out else ""
        console.print(f"{name}: fine, {len(runs)} runs{more}", highlight=False, markup=False, soft_wrap=True)
    return 0


@dataclass(frozen=True)
class TableCommand:
    """Prints a suite's table as a paper would: data sets beneath one another, methods down, estimates across.

    Without --metric and --estimator it has what fits a page: first what a paper's numbers stand beside, with these;
    then the likelihood by importance sampling with the most draws (by ais where there is none), the fit of the prior to
    the codes, the samples, and copying; four columns at most. With --metric alone a row has one column, by its first
    kind of estimator with the most draws; with --estimator alone all rows that have it are there.

    Bold is the best mean, and marks say what is told from it. What is not to be taken as it stands has a letter, and
    its note below the table: unreliable numbers, seeds that are missing, estimated densities, trials. LaTeX needs the
    package booktabs.

    For example:
      python -m benchmarks.run table --suite quickstart --format latex
      python -m benchmarks.run table --suite quickstart --metric nll skl copying
      python -m benchmarks.run table --suite table1 --dataset digits --method gaussian vampprior --estimator is
    """

    suite: Annotated[str, named("NAME")]
    """Name of the table's file below RESULTS, without its ending."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these data sets, in this order."""
    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these methods, in this order."""
    metric: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these, in this order: the table's own names, or a suite's, such as copying, for all rows of that metric."""
    estimator: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these: in full (is-5000+estimate), without what a density adds (is-5000), or all of a kind (is)."""
    format: Literal["csv", "markdown", "latex"] = "markdown"
    """What to print it as."""
    verdict: bool = False
    """Of a suite of controls, such as metric-controls: what each metric saw of each damage (csv or markdown)."""
    results: Path = Path("results")
    """Folder of the results."""


def print_table(arguments: Sequence[str], console: Console) -> int:
    """A table that was written before, for a paper."""
    command = parse(TableCommand, arguments, "run table")
    if command.verdict:
        from benchmarks.tables import controls

        target = command.results / command.suite
        print(controls.printed(target, command.dataset, command.metric, command.format), end="")
        return 0
    from benchmarks.tables import printed

    table = printed.read(command.results / f"{command.suite}.csv", command.dataset, command.method)
    print(printed.printed(table, command.metric, command.estimator, command.format), end="")
    return 0


@dataclass(frozen=True)
class ShowCommand:
    """Shows the runs behind a table one by one: every seed's estimates in full, and what made them.

    It reads RESULTS/NAME.runs.csv and NAME.runs.json, which stand beside every table: the runs themselves need not be
    on this disk. With a RUN it tells all that its folder has: settings, machine, versions, sources, data, how training
    went and was computed, every estimate to the last digit, and files with their hashes.

    For example:
      python -m benchmarks.run show results/runs/quickstart/digits-vampprior-s0-1a2b3c4d
      python -m benchmarks.run show --suite quickstart --metric nll
      python -m benchmarks.run show --suite quickstart --method vampprior --seeds 0 --against results/reference
    """

    run: Annotated[str, tyro.conf.Positional, named("RUN")] = ""
    """Folder of one run, or its name."""
    suite: Annotated[str, named("NAME")] = ""
    """Name of the table's file below RESULTS, without its ending."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these data sets."""
    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these methods."""
    seeds: Annotated[tuple[int, ...], named("SEED ...")] = ()
    """Only these seeds."""
    metric: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these metrics, by the suite's name or by the row's."""
    estimator: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these estimators."""
    against: Annotated[Path | None, named("FOLDER")] = None
    """Another folder of results, whose value of the same seed and protocol is shown beside, with the difference."""
    settings: bool = False
    """Show the settings of every method as well."""
    results: Path = Path("results")
    """Folder of the results; those that come with the project are in results/reference."""


def show_runs(arguments: Sequence[str], console: Console) -> int:
    """The runs behind a table, and what made them."""
    command = parse(ShowCommand, arguments, "run show")
    if bool(command.run) == bool(command.suite):
        raise UsageError("run show: name a table with --suite, or one run by its folder or its name.")
    if command.run:
        from benchmarks.common.screen import unbounded
        from benchmarks.tables import provenance

        provenance.told(unbounded(console), provenance.located(command.run, command.results))
        return 0
    from benchmarks.tables.shown import Request, told

    fields = ("dataset", "method", "seeds", "metric", "estimator", "settings")
    asked = Request(**{name: getattr(command, name) for name in fields})
    told(console, command.results / command.suite, asked, command.against and command.against / command.suite)
    return 0


@dataclass(frozen=True)
class VerifyCommand:
    """Checks what lies in a folder of results, to the last byte: every finished run's files by their hashes, its
    settings by its name, and each suite's table and ledger by what the records give. Exit status 1, and a line a fault.

    For example:
      python -m benchmarks.run verify
      python -m benchmarks.run verify --suite quickstart --results results/reference
    """

    suite: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these suites, by name or TOML file; all that have results otherwise."""
    results: Path = Path("results")
    """Folder of the results."""
    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers parts of the runs. May be repeated."""


def verify(arguments: Sequence[str], console: Console) -> int:
    """Holds records, tables and ledgers against each other."""
    command = parse(VerifyCommand, arguments, "run verify")
    from benchmarks.config.suite import Request
    from benchmarks.runner.workspace import Workspace
    from benchmarks.tables import verify as verified

    request, where = Request(plugins=load_plugins(command.plugin)), Workspace(command.results, DATA)
    well = True
    for name in verified.chosen_suites(command.suite, command.results):
        count, faults, left_out = verified.faults(name, request, where)
        warn(console, faults)
        well = well and not faults
        how = f"{len(faults)} faults" if faults else "fine"
        told = "; ".join(filter(None, (f"{Path(name).stem}: {count} runs, {how}", left_out)))
        console.print(told, highlight=False, markup=False, soft_wrap=True)
    return 0 if well else 1


COMMANDS = {
    **{"list": list_everything, "show": show_runs, "table": print_table},
    **{"validate": validate, "verify": verify},
}


if __name__ == "__main__":
    sys.exit(main())
