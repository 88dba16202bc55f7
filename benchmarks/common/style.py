"""How plots look, and the one way that they reach the disk.

Nothing may hang on colour: methods differ by marker and line style too, and densities run from light to dark.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from benchmarks.common.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#7f7f7f")
"""Of Okabe and Ito's palette those that stay apart for colour-blind eyes; several are alike in grey, so see LINES."""

LINES = ("-", "--", "-.", ":")
MARKERS = "osD^vP<X>*"

PANEL = 2.6
"""Side of a panel in inches."""

RULES: dict[RcKeyType, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "svg.hashsalt": "priorbench",  # the same plot, the same file
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType, embedded: LaTeX and publishers refuse matplotlib's usual Type 3
}


UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""What leaves the day out of a file, by its kind: the same plot, the same file."""


def rules() -> AbstractContextManager[None]:
    """Within it plots are made and written by RULES."""
    return matplotlib.rc_context(RULES)


def styles(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Keyword arguments of `plot` by method: no two of the first twenty-four agree in line and colour, or in marker
    and colour."""
    pairs = [(LINES[(i + j) % len(LINES)], COLOURS[i]) for j, i in product(range(len(LINES)), range(len(COLOURS)))]
    return {
        name: {"linestyle": pairs[i % len(pairs)][0], "color": pairs[i % len(pairs)][1], "marker": MARKERS[i % 10]}
        for i, name in enumerate(methods)
    }


Size = tuple[float, float]


def panels(count: int, across: int = 4, size: Size = (PANEL, PANEL), **shared: Any) -> tuple[Figure, Any]:
    """(figure, axes in reading order): panels of `size` inches, at most `across` a row, in as many rows as that takes
    and as evenly as may be; the rest of the last row is empty."""
    down = -(-count // across)
    across = -(-count // down)
    figure = Figure(figsize=(size[0] * across, size[1] * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, **shared).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid[:count]


def logarithmic(axes: Axes) -> None:
    """A logarithmic horizontal axis with plain numbers at 1, 2, 5, 10, ..., or at powers of ten where these would run
    into each other."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < DECADES * low else (1,)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(NullLocator())


DECADES = 100
"""Ratio of an axis' ends up to which a panel has room for three numbers a decade."""

STAMP = 0.2
"""Height of a line above a plot in inches."""

LETTERS = 17
"""Of such a line to an inch."""

ENTRY = 1.6
"""Width of a legend's entry in inches, and more than most are."""


MOST_IN_A_PANEL = 12
"""Entries of a legend for which a panel has room."""


def legend(figure: Figure, grid: Iterable[Axes], across: int | None = None) -> None:
    """One legend, each label once: in a panel that is empty, else below all panels, `across` a row or as many as the
    figure is wide."""
    across = across or max(1, int(figure.get_figwidth() / ENTRY))
    found = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if (spare := [axes for axes in figure.axes if not axes.axison]) and len(found) <= MOST_IN_A_PANEL:
        spare[0].legend(found.values(), found, loc="center")
        return
    figure.legend(found.values(), found, loc="outside lower center", ncols=min(across, len(found)))


def stamp(figure: Figure, text: str) -> None:
    """Small lines above everything else, for which the panels make room."""
    lines = textwrap.wrap(text, int(LETTERS * figure.get_figwidth()))
    height = STAMP * len(lines) / figure.get_figheight()
    layout(figure).set(rect=(0, 0, 1, 1 - height))
    figure.text(0.5, 1 - height / 2, "\n".join(lines), ha="center", va="center", fontsize=7, color="0.35")


def layout(figure: Figure) -> ConstrainedLayoutEngine:
    """What gives the panels their room; ValueError for a figure whose panels stay where they are."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        return engine
    raise ValueError("a line above the panels needs room: make the figure with layout='constrained' or 'compressed'")


def write(figure: Figure, path: Path, kinds: Sequence[str] = ("png",)) -> list[Path]:
    """The plot as PATH.png, PATH.svg, ..., each whole or not at all."""
    return [write_one(figure, path.with_name(f"{path.name}.{kind}"), kind) for kind in kinds]


def write_one(figure: Figure, path: Path, kind: str) -> Path:
    """The plot as a file of this kind, and where it is."""
    buffer = io.BytesIO()
    with rules():
        figure.savefig(buffer, format=kind, dpi=120, metadata=UNDATED.get(kind))
    write_atomically(path, lambda file: file.write(buffer.getvalue()))
    return path
