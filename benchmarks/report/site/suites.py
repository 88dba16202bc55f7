"""What a suite's page says: each of its tables as the report's front, the papers' numbers, and what made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cli import Selection
from benchmarks.common.rows import records
from benchmarks.config import suite
from benchmarks.config.suite import Request, Suite
from benchmarks.metrics import METRICS
from benchmarks.report import content as report
from benchmarks.report import front, provenance, settings
from benchmarks.report.absent import absent
from benchmarks.report.site.boards import Board
from benchmarks.report.site.figures import Figures
from benchmarks.report.site.given import Given
from benchmarks.report.site.priors import sources
from benchmarks.report.verdicts import verdicts
from benchmarks.tables.console import published_value


@dataclass(frozen=True)
class Number:
    """One that a paper printed."""

    source: str
    dataset: str
    method: str
    metric: str
    shown: str
    note: str


def content(
    name: str, chosen: Suite | None, tables: Sequence[Given], boards: Sequence[Board], figures: Figures, root: str
) -> dict[str, Any]:
    """All that the page shows, by the template's names. chosen: None where the suite is none of the project's."""
    return {
        "name": name,
        "suite": chosen,
        "protocol": provenance.protocol(name) if chosen else [],
        "papers": [*_papers(chosen)],
        "command": provenance.invocation(Selection(suite=name)) if chosen else "",
        "metrics": {metric: METRICS[metric].summary for metric in chosen.metrics} if chosen else {},
        "sections": [section(one, chosen, boards, figures, root) for one in tables],
        "numbers": [*printed(chosen)],
    }


def _papers(chosen: Suite | None) -> Iterator[tuple[str, str]]:
    """Those whose tables the suite repeats, by its sections or its title."""
    if chosen:
        yield from sources(" ; ".join((*(one.paper for one in chosen.published), chosen.title)))


def printed(chosen: Suite | None) -> Iterator[Number]:
    """All numbers of the papers' tables that stand beside the suite's."""
    for one in chosen.published if chosen else ():
        for row in records(one.rows):
            shown = published_value({"published": row["value"], "published_std": row["std"]})
            yield Number(
                f"{one.paper} table {one.table}", row["dataset"], row["model"], row["metric"], shown, row["note"]
            )


def section(table: Given, chosen: Suite | None, boards: Sequence[Board], figures: Figures, root: str) -> dict[str, Any]:
    """A table's."""
    made = with_settings(table, chosen) if chosen else {"methods": [], "caveats": [], "settings": None}
    return made | {
        "table": table,
        "told": report.older(table.lacking),
        "fronts": front.fronts(table.frame, table.costs, table.ledger, table.path.parent),
        "verdicts": verdicts(table.frame),
        "absent": absent(table.frame),
        "boards": [board for board in boards if any(one.name == table.name for one in board.tables)],
        "facts": facts(table),
        "pictures": figures.of(table, root),
    }


def with_settings(table: Given, chosen: Suite) -> dict[str, Any]:
    """What the suite, or the ledger, says of the table's methods."""
    cells = provenance.cells(chosen, Request(preset=preset_of(table, chosen)), table.frame)
    settled = provenance.settings_of(cells, table.ledger, table.frame)
    return {
        "methods": provenance.methods_of(chosen, table.frame),
        "caveats": provenance.caveats(cells, table.trial, table.ledger),
        "settings": settings.compared(settled) if settled else None,
    }


def preset_of(table: Given, chosen: Suite) -> str | None:
    """The preset that a table's name has after its suite's."""
    return next((one for one in chosen.preset if table.name == f"{chosen.name}-{one}"), None)


def facts(table: Given) -> dict[str, str]:
    """What made it, by its ledger, or what is kept in its place."""
    made = table.made if not table.ledger else {}
    return made or provenance.facts(table.ledger, Path(table.name))


def known() -> dict[str, Suite]:
    """The project's suites by name."""
    return {name: suite.read(name) for name in suite.names()}
