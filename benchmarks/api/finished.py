"""A finished run from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.api.given import paths
from benchmarks.api.trained import Trained, trained
from benchmarks.cli import DATA, load_plugins
from benchmarks.common.errors import UsageError, find, unknown
from benchmarks.common.settings import validated
from benchmarks.config import suite as suites
from benchmarks.config.settings import Run
from benchmarks.datasets import DataError, Options
from benchmarks.runner.lifecycle import made_with
from benchmarks.runner.machine import device as usable
from benchmarks.runner.recall import recall
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.workspace import Workspace
from priors.registry import PRIORS


def load_run(
    path: str | Path | None = None,
    *,
    suite: str | Path | None = None,
    dataset: str | None = None,
    method: str | None = None,
    seed: int = 0,
    results: str | Path = "results",
    data: str | Path = DATA,
    device: str = "auto",
    plugins: str | Path | Iterable[str | Path] = (),
) -> Trained:
    """The trained model and prior of a run that is finished, with its data, settings and estimates.

    path: the run's folder, below RESULTS/runs/SUITE. Or else suite, dataset, method and seed: the run on the disk that
    has them, of which dataset and method may be left out where there is no choice. Of several that differ in their
    settings, the suite's own is taken. plugins: the files that register its parts.

    >>> from tempfile import TemporaryDirectory
    >>> from benchmarks import load_run, run_suite
    >>> small = {"training.epochs": 1, "protocol.samples": [10], "protocol.images": 10}
    >>> with TemporaryDirectory() as folder:
    ...     _ = run_suite("smoke", methods="vampprior", datasets="onehot", seeds=[0], overrides=small,
    ...                   results=folder, executor="serial")
    ...     run = load_run(suite="smoke", results=folder)
    >>> z = run.prior.sample(3)
    >>> run.decode(z).shape, run.prior.log_prob(z).shape, run.encode(run.data.test[:5]).mean.shape
    (torch.Size([3, 4]), torch.Size([3]), torch.Size([5, 2]))
    """
    files = paths(plugins)
    load_plugins(files)
    if path is None and suite is None:
        raise UsageError("load_run: give the folder of a run, or a suite with a dataset, a method and a seed.")
    wanted = {
        name: value for name, value in (("dataset", dataset), ("method", method), ("seed", seed)) if value is not None
    }
    folder = existing(Path(path)) if path is not None else matching(str(suite), Path(results), wanted)
    where = Workspace(
        results=folder.parents[2],
        data=Path(data),
        device=usable(device),
        options=Options(any_checksum=True),  # the run itself says which data it was made with
        plugins=tuple(str(file.resolve()) for file in files),
    )
    return opened(Record(folder), where)


def opened(record: Record, where: Workspace) -> Trained:
    """The run of this record; UsageError or DataError where it cannot be had again."""
    run = settings_of(record)
    check_finished(run, record, where)
    if not made_with(record, where.dataset(run)):
        raise DataError(f"{record.label} was made with other data than those of '{run.dataset}' in {where.data}.")
    with torch.random.fork_rng(devices=()):
        return trained(run, recall(run, where), record)


def existing(path: Path) -> Path:
    """The folder of a run, from the root; UsageError with the near name among its neighbours."""
    folder = path.resolve()
    if (folder / "config.json").is_file():
        return folder
    neighbours = [one.parent.name for one in folder.parent.glob("*/config.json")]
    if neighbours:
        raise unknown(f"run in {path.parent}", path.name, neighbours)
    raise UsageError(f"{path} is no run: its folder is below RESULTS/runs/SUITE and has a config.json.")


def matching(suite: str, results: Path, wanted: dict[str, Any]) -> Path:
    """The folder of the run of a suite that has these settings; UsageError where none has, or one cannot be chosen."""
    name = suites.read(suite).name if suite.endswith(".toml") else suite
    runs = dict(found(results / "runs" / name))
    if not runs:
        others = [one.name for one in (results / "runs").glob("*")]
        raise unknown(f"suite with runs in {results}", name, others)
    for key, value in wanted.items():
        known = {str(content[key]) for content in runs.values()}
        runs = {folder: content for folder, content in runs.items() if content[key] == value}
        if not runs:
            raise unknown(f"{key} of the runs of {name}", str(value), known)
    own = [folder for folder, content in runs.items() if not content["trial"]]
    chosen = own or list(runs)
    if len(chosen) > 1:
        names = ", ".join(folder.name for folder in chosen)
        raise UsageError(
            f"{name} has several such runs: name the dataset and the method, or the folder of one: {names}."
        )
    return chosen[0].resolve()


def found(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The runs below a suite's folder that can be read, each with its settings."""
    for path in sorted(folder.glob("*/config.json")):
        try:
            yield path.parent, Record(path.parent).read(path.name)
        except Damaged:
            continue


def settings_of(record: Record) -> Run:
    """What a run was made with; UsageError where it has no model, or a part is not registered here."""
    content = record.read("config.json")
    if not content["prior"]:
        raise UsageError(f"{record.label} is of the data themselves, and has no model.")
    try:
        find(PRIORS, content["prior"]["name"])
    except UsageError as error:
        raise UsageError(f"{record.label}: {error} If a file registers it, give plugins=[FILE].") from None
    run: Run = validated(Run, content, record.label)
    return run


def check_finished(run: Run, record: Record, where: Workspace) -> None:
    """Raises UsageError where a run has no weights, or this version cannot read it."""
    if where.record(run).folder != record.folder:
        raise UsageError(f"{record.label} is of another version, or its folder was renamed: run its suite again.")
    ended = record.read("training.json")
    if ended and ended["status"] != "ok":
        raise UsageError(f"{record.label} has no trained weights: {ended['note'] or ended['status']}.")
    if not ended or record.read("metrics.json") is None:
        raise UsageError(f"{record.label} is not finished: run its suite again, which goes on from here.")
