"""What the rows of a leaderboard share, and what their suites have otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.config.suite import Request, Suite, leaves
from benchmarks.report import provenance
from benchmarks.report.settings import common
from benchmarks.report.site.boards import Board
from benchmarks.report.site.given import Given
from benchmarks.report.site.suites import preset_of

OWN = ("model.backbone", "model.widths", "model.latent_dim", "training.epochs")
"""Settings that no protocol fixes and that tell suites apart."""


@dataclass(frozen=True)
class Shared:
    """protocol: settings that all rows have alike. own: of each table, settings of OWN in words, or why not known."""

    protocol: dict[str, str]
    own: dict[str, str]


def shared(board: Board, known: Mapping[str, Suite]) -> Shared:
    """By the tables' ledgers, or by the suites as they now are."""
    settings = {one.name: of_table(one, board.dataset, known.get(one.suite)) for one in board.tables}
    protocols = [{k: v for k, v in one.items() if k.startswith("protocol.")} for one in settings.values() if one]
    return Shared(
        {key.removeprefix("protocol."): value for key, value in (common(protocols) if protocols else {}).items()},
        {one.name: in_words(settings[one.name], one) for one in board.tables},
    )


def of_table(table: Given, dataset: str, chosen: Suite | None) -> dict[str, str]:
    """What all methods of a table have alike on a data set; empty where that is not known."""
    frame = table.frame[table.frame["dataset"].eq(dataset)]
    if chosen is None and not table.ledger:
        return {}
    cells = (
        provenance.cells(chosen, Request(preset=preset_of(table, chosen)), frame)
        if chosen
        else provenance.Cells({}, {})
    )
    settled: Mapping[Any, Mapping[str, Any]] = provenance.settings_of(cells, table.ledger, frame)
    every = [{key: str(value) for key, value in leaves(dict(one))} for one in settled.values() if one["prior"]]
    return common(every) if every else {}


def in_words(settings: Mapping[str, str], table: Given) -> str:
    """`mlp, latent_dim 40, epochs 100`; a trial by what it says of itself."""
    if table.trial:
        return "; ".join(table.trial)
    told = [f"{key.partition('.')[2]} {settings[key]}" for key in OWN if settings.get(key, "None") != "None"]
    return ", ".join(told) or "not known here"
