"""What metrics made of controls, as a map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from benchmarks.common import style
from benchmarks.common.rows import Row, records
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.tables.controls import CLEAN, verdicts
from priors.base import Unsupported

SHADES, EDGES = "PuOr_r", (-1e9, -10, -3, -1, 1, 3, 10, 1e9)
"""Colours of a move in standard errors: purple for the better, orange for the worse, pale near none."""

FRAMES = {"blind": ":", "moves without cause": "-", "the wrong way": "--"}
"""Lines around a cell that is not as it is to be."""

CELL = (0.82, 0.27)
"""Inches of a cell."""


@plot("controls")
def controls(results: Results) -> Iterator[Drawing]:
    """What each metric saw of real images that were damaged in a known way: moves in standard errors, and faults."""
    control = {run.method: run.control for run in results.runs if run.control}
    if CLEAN not in control.values():
        raise Unsupported(f"there are no runs of the control '{CLEAN}', as the suite metric-controls has")
    rows = [row for row in records(results.estimates) if row["method"] in control]
    frame = verdicts([row | {"control": control[row["method"]]} for row in rows], results.suite.name)
    yield Drawing(drawn(frame), caption(results.datasets[0], int(frame["seeds"].max())))


def drawn(frame: pd.DataFrame) -> Figure:
    """Rows of metrics down, controls across; the number is the move in standard errors."""
    names = list(dict.fromkeys(frame["row"]))
    across = list(dict.fromkeys(frame["control"]))
    z = frame.pivot_table("z", "row", "control", sort=False, dropna=False).reindex(index=names, columns=across)
    size = (2.9 + CELL[0] * len(across), 1.2 + CELL[1] * len(names))
    figure, (axes,) = style.panels(1, size=size)
    shades = colormaps[SHADES]
    axes.imshow(z.to_numpy(), cmap=shades, norm=BoundaryNorm(EDGES, shades.N), aspect="auto")
    axes.set_xticks(range(len(across)), across, rotation=25, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for cell in records(frame):
        mark(axes, across.index(cell["control"]), names.index(cell["row"]), cell)
    for label, line in FRAMES.items():
        axes.plot([], [], color="black", linestyle=line, label=label)
    style.legend(figure, [axes])
    return figure


def mark(axes: Axes, x: int, y: int, cell: Row) -> None:
    """The number, bold where the row is to see the control, and a frame where it did not do as it is to."""
    z, word = cell["z"], cell["word"]
    text = "inf" if np.isinf(z) else f"{z:.0f}" if abs(z) >= 10 else f"{z:.1f}"
    bold, shade = "bold" if cell["expected"] == "worse" else "normal", "white" if abs(z) > 10 else "black"
    axes.text(x, y, text, ha="center", va="center", fontsize=7.5, fontweight=bold, color=shade)
    if word in FRAMES:
        corners = [(-0.45, -0.4), (0.45, -0.4), (0.45, 0.4), (-0.45, 0.4), (-0.45, -0.4)]
        axes.plot([x + a for a, _ in corners], [y + b for _, b in corners], FRAMES[word], color="black", linewidth=1.3)


def caption(dataset: str, seeds: int) -> str:
    return (
        f"Metrics on trial on {dataset}: real images, damaged in a known way, in the place of generated ones. Numbers: "
        f"the move from the clean images, paired over {seeds} seeds, in its standard errors, above 0 for the worse; "
        "bold where the metric is to see the damage. Dotted: blind (p > 0.05). Solid: moves where nothing that it is "
        "to see is harmed. Dashed: better where it is to be worse, or may be (both p <= 0.01)."
    )
