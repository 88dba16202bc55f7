"""The command `python -m benchmarks.plots`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rich.console import Console

from benchmarks import suite
from benchmarks.command import Selection, named, parse, place_of, status
from benchmarks.display import Screen
from benchmarks.errors import UsageError, find
from benchmarks.execute import Place
from benchmarks.machine import prepare_worker
from benchmarks.plots import PLOTS, Results, gallery
from benchmarks.settings import Run


@dataclass(frozen=True)
class Command(Selection):
    """Draws the figures of a suite from its finished runs, as PNG and SVG.

    They go to RESULTS/figures/NAME, with what they show in figures.json. Pictures are of each method's first seed,
    bands and bars over all. A figure that these runs cannot have says why.

    For example:
      python -m benchmarks.plots --suite quickstart
      python -m benchmarks.plots --suite quickstart --figure samples training
      python -m benchmarks.plots --suite table1 --preset laptop --dataset mnist --data DIR
    """

    figure: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these kinds of figures (`python -m benchmarks.plots list` tells them)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 wrong usage or nothing to draw, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["list"]:
        return status(lambda: list_plots(Screen()))
    return status(lambda: plots(parse(Command, given, "plots"), Screen()))


def list_plots(console: Console) -> int:
    """The kinds of figures, a line each."""
    for name, one in PLOTS.items():
        console.print(f"{name:14} {one.summary}", highlight=False, markup=False, soft_wrap=True)
    return 0


def plots(command: Command, console: Console) -> int:
    """Draws, and tells every figure as it is written."""
    for name in command.figure:
        find(PLOTS, name)
    chosen = suite.read(command.suite)
    place = place_of(command)
    prepare_worker(place.device)
    runs = finished(suite.expand(chosen, command.request()), place, command)
    folder = command.results / "figures" / command.output(chosen)
    with console.status("drawing"):
        for shown in gallery.draw(Results(chosen, runs, place), folder, command.figure or tuple(PLOTS)):
            what = f"{folder / shown.file}.png" if shown.file else f"no {shown.plot}: {shown.caption}"
            console.print(what, highlight=False, markup=False, soft_wrap=True, style=None if shown.file else "dim")
    return 0


def finished(wanted: Sequence[Run], place: Place, command: Selection) -> tuple[Run, ...]:
    """Those of the runs that have ended well; UsageError where none has."""
    runs = tuple(run for run in wanted if place.done(run) and place.record(run).read("training.json")["status"] == "ok")
    if not runs:
        raise UsageError(
            f"No run of {command.suite} has ended below {command.results}: run it first by "
            f"`python -m benchmarks.run --suite {command.suite}` with the same flags."
        )
    return runs


if __name__ == "__main__":
    sys.exit(main())
