"""What is wrong with a run's record, and what then has to be made anew.

A file that is damaged is put aside, and all that was made after it goes, so that the run is taken up from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.runner.record import Damaged, Record

CHAIN = ("made.json", "training.json", "metrics.json", "done")
"""Each is there where a later one is, but for the estimates of a run that has none."""

STAGES: tuple[tuple[str, ...], ...] = (
    ("made.json", "checkpoint"),
    ("training.json", "weights.safetensors", "history.csv"),
    ("fitted.safetensors",),
    ("metrics.json", "values"),
    ("done",),
)
"""A run's files in the order in which they are made; pictures and settings go with `done`."""


def damages(record: Record) -> dict[str, str]:
    """What is wrong, by the name of the file: nothing, as a rule."""
    wrong: dict[str, str] = {}
    contents = {name: _content(record, name, wrong) for name in CHAIN}
    for i, name in enumerate(CHAIN):
        later = any((record.folder / other).exists() for other in CHAIN[i + 1 :])
        if contents[name] is None and name not in wrong and later and _due(name, contents):
            wrong[name] = "is missing"
    if contents["made.json"] is None and (record.folder / "checkpoint").exists():
        wrong.setdefault("made.json", "is missing")
    for content in contents.values():
        for name, seal in (content or {}).get("files", {}).items():
            try:
                record.check(name, seal)
            except Damaged as error:
                wrong[name] = error.why
    return wrong


def _content(record: Record, name: str, wrong: dict[str, str]) -> Any:
    try:
        return record.read(name)
    except Damaged as error:
        wrong[name] = error.why
        return None


def _due(name: str, contents: Mapping[str, Any]) -> bool:
    """Has the run such a file?"""
    return name != "metrics.json" or (contents["training.json"] or {"status": "ok"})["status"] == "ok"


def heal(record: Record, wrong: Mapping[str, str]) -> None:
    """Puts these files aside and takes away what was made after the first of them."""
    if not wrong:
        return
    for name in wrong:
        record.put_aside(name)
    clear(record, min(map(stage, wrong)))


def clear(record: Record, first: int = 0) -> None:
    """Takes away what is made from a stage on: all that estimates depend on, from the first."""
    for names in STAGES[first:]:
        record.remove(*names)


def stage(name: str) -> int:
    """Where in STAGES a file is made."""
    top = name.split("/")[0]
    return next((i for i, names in enumerate(STAGES) if top in names), len(STAGES) - 1)


def told(wrong: Mapping[str, str]) -> str:
    """`metrics.json is not as it was written: put aside, made anew`; empty where nothing is wrong."""
    found = ", ".join(f"{name} {why}" for name, why in wrong.items())
    return f"{found}: put aside, made anew" if found else ""
