"""The settings of a table's methods: what most have said once, then what each has otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.config.suite import leaves

Pairs = dict[str, str]


@dataclass(frozen=True)
class Settings:
    """All of a table. usual: what more than half of the cells have. own: what a data set, a method, or a pair of them
    has otherwise or beside it, by its name."""

    usual: Pairs
    own: dict[str, Pairs]


def compared(runs: Mapping[tuple[str, str], Mapping[str, Any]]) -> Settings:
    """Of the settings of (data set, method). What all methods have on a data set is not said of each, nor what a method
    has on all data sets."""
    cells = {key: listed(run) for key, run in runs.items()}
    usual = majority(cells.values())
    datasets, methods = (
        {name: common([cell for key, cell in cells.items() if key[at] == name]) for name in dict.fromkeys(names)}
        for at, names in enumerate(zip(*cells, strict=True))
    )
    own = {f"every method on {name}": without(found, usual) for name, found in datasets.items()}
    own |= {name: without(found, usual) for name, found in methods.items()}
    for (dataset, method), found in cells.items():
        own[f"{method} on {dataset}"] = without(found, usual, datasets[dataset], methods[method])
    return Settings(usual, {name: found for name, found in own.items() if found})


def listed(made: Mapping[str, Any]) -> Pairs:
    """`training.epochs` to `200`, a prior's and a regulariser's own by their names, as --set has them. made: a run's
    settings as its record has them."""
    prior = made["prior"]
    sections: dict[str, Any] = {
        key: made[key] for key in (("model", "training", "protocol") if prior else ("protocol",))
    }
    if prior:
        sections |= {"prior.name": prior["name"], "prior": {prior["name"]: prior["settings"]}}
        sections["regularisers"] = ", ".join(one["name"] for one in made["regularisers"]) or "none"
        sections["regulariser"] = {one["name"]: one["settings"] for one in made["regularisers"]}
    return {key: str(value) for key, value in leaves(sections)}


def majority(cells: Collection[Pairs]) -> Pairs:
    """Of the settings that all have, the values that more than half have."""
    counts = Counter(pair for cell in cells for pair in cell.items())
    everywhere = common([dict.fromkeys(cell, "") for cell in cells])
    return {key: value for (key, value), n in counts.items() if 2 * n > len(cells) and key in everywhere}


def common(cells: Collection[Pairs]) -> Pairs:
    """The settings that all have alike."""
    first, *others = cells
    return {key: value for key, value in first.items() if all(one.get(key) == value for one in others)}


def without(found: Pairs, *said: Pairs) -> Pairs:
    """Those of the settings that none of the others has."""
    return {key: value for key, value in found.items() if not any(one.get(key) == value for one in said)}
