"""One run from its folder: everything that made its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.common.errors import UsageError, unknown
from benchmarks.config.suite import leaves
from benchmarks.runner.damage import CHAIN
from benchmarks.runner.record import Record

Section = tuple[str, list[tuple[str, str]]]
"""A heading, and lines of names and values."""


def located(run: str, results: Path) -> Record:
    """The record of a run by its folder or its name; UsageError with the near name where there is none."""
    folder = Path(run)
    if (folder / "config.json").is_file():
        return Record(folder.resolve())
    there = {path.parent.name: path.parent for path in (results / "runs").glob("*/*/config.json")}
    if run in there:
        return Record(there[run])
    if not there:
        raise UsageError(f"There are no runs in {results / 'runs'}: name another folder with --results.")
    raise unknown(f"run in {results / 'runs'}", folder.name, there)


def told(console: Console, record: Record) -> None:
    """All that made a run's numbers. Raises Damaged for a file that is not as it was written."""
    console.print(record.label, style="bold", highlight=False, markup=False, soft_wrap=True)
    for heading, lines in sections(record):
        console.print(heading, style="bold", highlight=False, markup=False)
        width = max((len(name) for name, _ in lines), default=0)
        for name, value in lines:
            console.print(f"  {name:{width}}  {value}", highlight=False, markup=False, soft_wrap=True)


def sections(record: Record) -> Iterator[Section]:
    """What is told, in this order; what the run has not come to is left out."""
    yield "settings", [(key, str(value)) for key, value in leaves(record.read("config.json"))]
    if environment := record.read("env.json"):
        yield "made on", [(key, str(value)) for key, value in leaves(environment)]
    if made := record.read("made.json"):
        by = [(key, value) for one in made["by"] for key, value in one.items()]
        yield "made by", [*by, ("data", made["data"])]
    if training := record.read("training.json"):
        yield "training", list(of_training(training))
    if metrics := record.read("metrics.json"):
        yield f"estimates (protocol {metrics['hash']})", list(of_metrics(metrics))
    yield "files", list(files(record))
    yield "state", [state(record)]


def of_training(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How it ended, how turns were computed, and what it took."""
    for name, value in training.items():
        if name not in ("files", "cost") and value != "":
            yield (
                name,
                ", ".join(f"{key}: {how}" for key, how in value.items()) if isinstance(value, dict) else str(value),
            )
    for cost in training.get("cost", ()):
        yield cost["metric"], f"{cost['value']:.6g} {cost['unit']}"


def of_metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every estimate to the last digit, with its error and the file of what it is the mean of."""
    for asked, metric in metrics["metrics"].items():
        if reason := metric.get("unsupported"):
            yield asked, f"undefined: {reason}"
        name = f"values/{asked}.safetensors"
        where = f"  [{name}]" if name in metrics.get("files", {}) else ""
        for one in metric.get("figures", ()):
            error = "" if one.get("error") is None else f" ± {one['error']:.3g}"
            yield f"{one['metric']} {one['estimator']}", f"{one['value']!r}{error} {one['unit']}{where}"
        if "seconds" in metric:
            yield f"{asked}, time", f"{metric['seconds']} s"


def files(record: Record) -> Iterator[tuple[str, str]]:
    """Those that the record vouches for, with their SHA-256."""
    for voucher in CHAIN:
        for name, (size, _, digest) in ((record.read(voucher) or {}).get("files", {})).items():
            yield name, f"{digest}  {size} bytes"


def state(record: Record) -> tuple[str, str]:
    """Whether it has ended, and who carries it out if not."""
    done = record.folder / "done"
    if record.read("done"):
        return "ended", datetime.fromtimestamp(done.stat().st_mtime, UTC).isoformat(timespec="seconds")
    if holder := record.holder():
        return "carried out by", holder
    return "not finished", record.failure() or "taken up by the next command"
