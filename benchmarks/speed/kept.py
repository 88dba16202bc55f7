"""What a measurement leaves: RESULTS/speed-NAME.json with the machine it ran on, and a figure beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Rows = Mapping[str, Mapping[str, Any]]


def keep(name: str, settings: Any, rows: Rows, results: Path, bars: Sequence[str], label: str) -> Path:
    """Writes both; the JSON's path. bars: the columns that the figure shows, as bars a row. label: their unit."""
    from benchmarks.common.files import write_atomically
    from benchmarks.runner.machine import environment

    path = results / f"speed-{name}.json"
    made = {"made": datetime.now(UTC).date().isoformat(), "machine": environment("cpu")}
    chosen = {key: value for key, value in asdict(settings).items() if not isinstance(value, Path)}
    content = {**made, "settings": chosen, "rows": rows}
    results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, default=str) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
    draw(rows, bars, label, path.with_suffix(".png"))
    print(f"kept: {path} and {path.with_suffix('.png').name}")
    return path


def draw(rows: Rows, bars: Sequence[str], label: str, path: Path) -> None:
    """Bars of some columns, a group a row, the first row at the top."""
    from matplotlib.figure import Figure

    from benchmarks.common import style

    with style.rules():
        figure = Figure(figsize=(6, 0.6 + 0.2 * (len(bars) + 0.7) * len(rows)), layout="constrained")
        axes = figure.subplots()
        height = 0.8 / len(bars)
        for i, bar in enumerate(bars):
            at = [row + (i - (len(bars) - 1) / 2) * height for row in range(len(rows))]
            values = [one.get(bar) or 0.0 for one in rows.values()]
            drawn = axes.barh(at, values, height, label=bar, color=style.COLOURS[i % len(style.COLOURS)])
            axes.bar_label(drawn, fmt="%.2g", padding=2, fontsize=7)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.invert_yaxis()
        axes.set_xlabel(label)
        if len(bars) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=len(bars))
        style.write(figure, path.with_suffix(""))
