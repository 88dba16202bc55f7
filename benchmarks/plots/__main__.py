"""The command `python -m benchmarks.plots`.

What does the work is imported by the functions that do it, so that `--help` waits for neither torch nor pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rich.console import Console

from benchmarks.cli import Selection, named, parse, status
from benchmarks.common.screen import Screen


@dataclass(frozen=True)
class Command(Selection):
    """Draws the figures of a suite from its finished runs, as PNG and SVG.

    They go to RESULTS/figures/NAME, with what they show in figures.json. Pictures are of each method's first seed,
    bands and bars over all. A figure that these runs cannot have says why.

    For example:
      python -m benchmarks.plots --suite quickstart
      python -m benchmarks.plots --suite quickstart --figure samples training --pdf
      python -m benchmarks.plots --suite table1 --preset laptop --dataset mnist --data DIR
    """

    figure: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these kinds of figures (`plots list` tells them)."""
    pdf: bool = False
    """Write each as PDF too, for a paper: lines and letters instead of pixels, with embedded TrueType fonts."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 wrong usage or nothing to draw, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["list"]:
        return status(lambda: list_plots(Screen()))
    return status(lambda: plots(parse(Command, given, "plots"), Screen()))


def list_plots(console: Console) -> int:
    """The kinds of figures, a line each."""
    from benchmarks.plots.base import PLOTS

    for name, one in PLOTS.items():
        console.print(f"{name:14} {one.summary}", highlight=False, markup=False, soft_wrap=True)
    return 0


def plots(command: Command, console: Console) -> int:
    """Draws, and tells every figure as it is written."""
    from benchmarks.plots.drawing import draw

    draw(command, console, command.figure, pdf=command.pdf)
    return 0


if __name__ == "__main__":
    sys.exit(main())
