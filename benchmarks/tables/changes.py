"""What has moved from a baseline, on a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.common.screen import unbounded
from benchmarks.tables.console import value
from benchmarks.tables.drift import Change, Row
from benchmarks.tables.notes import text


def show(console: Console, changes: Sequence[Change]) -> None:
    """What is not as it was, the furthest first, and how many rows became what."""
    told = sorted((one for one in changes if one.verdict != "same"), key=lambda one: -abs(one.tolerances))
    if told:
        unbounded(console).print(block(told))
    console.print(counted([one.verdict for one in changes]), highlight=False, soft_wrap=True)


def block(changes: Sequence[Change]) -> Table:
    """A line a row. `moved by` is in tolerances."""
    lines = Table(box=None, pad_edge=False, header_style="underline")
    for column in ("metric", "estimator", "dataset", "method", "baseline", "now", "moved by", "verdict"):
        lines.add_column(column, no_wrap=True, justify="right" if column in ("baseline", "now", "moved by") else "left")
    for one in changes:
        labels = (text(one.row[name]) for name in ("metric", "estimator", "dataset", "method"))
        by = f"{one.tolerances:+.3g}" if math.isfinite(one.tolerances) else ""
        why = text(one.row["note"]) if one.row["status"] != "ok" else ""
        verdict = ": ".join(filter(None, (one.verdict, why)))
        lines.add_row(*labels, number(one.old), number(one.new), by, verdict)
    return lines


def number(row: Row | None) -> str:
    """Mean ± standard error over seeds."""
    return " ± ".join(filter(None, value(row))) if row else ""


def counted(words: Iterable[str]) -> str:
    """`171 rows: 168 same, 3 worse`."""
    counts = Counter(words)
    return f"{counts.total()} rows: " + ", ".join(f"{number} {word}" for word, number in counts.most_common())
