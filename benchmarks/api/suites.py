"""A suite's table from Python."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd
import torch

from benchmarks.api.given import override_texts, paths, several
from benchmarks.cli import DATA, Selection, check_least, check_writable, workspace_of
from benchmarks.common.errors import unknown
from benchmarks.common.screen import Screen
from benchmarks.config import suite
from benchmarks.runner.executors import Resources
from benchmarks.runner.executors.resources import USUAL
from benchmarks.runner.turns import When
from benchmarks.tables import table
from benchmarks.tables.fill import Order, fill


class How(NamedTuple):
    """How trainings are computed, which changes rounding alone, and how often runs are tried again."""

    retries: int
    stack: When
    compile: When


def run_suite(
    name_or_path: str | Path,
    *,
    methods: str | Iterable[str] = (),
    datasets: str | Iterable[str] = (),
    seeds: int | Iterable[int] = (),
    overrides: Mapping[str, Any] = {},
    preset: str | None = None,
    results: str | Path = "results",
    data: str | Path = DATA,
    device: str = "auto",
    workers: int | None = None,
    executor: str = "local",
    resources: Resources = USUAL,
    retries: int = 1,
    stack: When = "auto",
    compile: When = "auto",
    plugins: str | Path | Iterable[str | Path] = (),
    progress: bool = False,
) -> pd.DataFrame:
    """The suite's table, a row an estimate, after all of its runs: what `priorbench run` writes to RESULTS/SUITE.csv.

    name_or_path: a suite that `priorbench list` tells, or a TOML file. methods, datasets, seeds: only these; the table
    keeps the suite's others, whose status is "not-computed" until they are asked for. overrides: settings by their
    dotted keys, which make it a trial. preset: a smaller budget that the suite offers. plugins: files that register
    parts. retries: of a run whose process the system ended. stack, compile: train seeds together, join a step's
    operations ("auto", "on", "off"). progress: show it.

    Finished runs are never done again, by this or the command. A run that fails has a row that says why, and raises
    nothing. Damaged or older records are told by a warning. executor "local" gives each run a process, which knows no
    prior that a notebook has registered: give that as a plug-in, or take "serial", all in this process, in turn.

    >>> from tempfile import TemporaryDirectory
    >>> small = {"training.epochs": 1, "protocol.samples": [10], "protocol.images": 10}
    >>> with TemporaryDirectory() as folder:
    ...     frame = run_suite("smoke", methods="gaussian", datasets="onehot", seeds=[0], overrides=small,
    ...                       results=folder, executor="serial")
    >>> frame.loc[frame["status"] == "ok", ["method", "metric", "estimator"]].iloc[0].tolist()
    ['gaussian', 'nll', 'is-10']
    """
    which: dict[str, Any] = {"dataset": several(datasets), "method": several(methods), "seeds": several(seeds)}
    where: dict[str, Any] = {"data": Path(data), "results": Path(results), "plugin": paths(plugins), "device": device}
    selection = Selection(str(name_or_path), **which, preset=preset, set=override_texts(overrides), **where)
    target = fill_table(selection, executor, with_workers(resources, workers), How(retries, stack, compile), progress)
    return table.read(target.with_name(f"{target.name}.csv"), "run the suite again")[0]


def with_workers(resources: Resources, workers: int | None) -> Resources:
    """With as many workers as were named beside them, if any were."""
    return resources if workers is None else replace(resources, workers=workers)


def fill_table(selection: Selection, executor: str, use: Resources, how: How, progress: bool) -> Path:
    """Carries out the runs; the table's path without its ending."""
    chosen, request = suite.read(selection.suite), selection.request()
    runs = suite.expand(chosen, request)
    for name in ("stack", "compile"):
        if getattr(how, name) not in get_args(When):
            raise unknown(name, getattr(how, name), get_args(When))
    check_least(how, 0, "retries")
    workspace = replace(workspace_of(selection), retries=how.retries, stack=how.stack, capture=how.compile)
    check_writable(selection.results)
    target = selection.results / selection.output(chosen)
    order = Order(chosen, request, runs, workspace, target, executor, use)
    check_least(use, 0, "workers", "threads", "runs_per_gpu", "gpus", "runs_a_job", "minutes_a_job")
    with torch_as_before():
        fill(order, Screen() if progress else Screen(quiet=True, force_terminal=False), warn)
    return target


def warn(lines: Sequence[str]) -> None:
    """What stops nothing, where Python's programs look for it: in the name of who called `run_suite`."""
    for line in lines:
        warnings.warn(line, stacklevel=5)


@contextmanager
def torch_as_before() -> Iterator[None]:
    """What building models and running them in this process sets, for the whole of it, is as before afterwards:
    random numbers, threads, and how small numbers are rounded (to torch's default, as it tells nobody which it is)."""
    threads, environment = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    try:
        with torch.random.fork_rng(devices=()):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
        os.environ.pop("OMP_NUM_THREADS", None)
        if environment is not None:
            os.environ["OMP_NUM_THREADS"] = environment
