"""The command `python -m benchmarks.report`.

What does the work is imported by the function that does it, so that `--help` waits for neither torch nor pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from benchmarks.cli import Selection, parse, status
from benchmarks.common.screen import Screen


@dataclass(frozen=True)
class Command(Selection):
    """Writes a suite's table as a page to read: RESULTS/NAME.html, one file that fetches nothing.

    It shows RESULTS/NAME.csv with its costs, verdicts beside a paper's figures, the figures, every method's settings,
    and what was not computed, with the reason. Figures are drawn anew where the runs and their data are there.
    --dataset and --method show a part of the table; --seeds are those of the figures.

    For example:
      python -m benchmarks.report --suite quickstart
      python -m benchmarks.report --suite table1 --preset laptop --as-drawn
    """

    as_drawn: bool = False
    """Take the figures as they lie in RESULTS/figures/NAME."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 wrong usage or no table, 130 stopped by Ctrl-C."""
    return status(lambda: report(parse(Command, arguments, "report"), Screen()))


def report(command: Command, console: Console) -> int:
    """Writes the page; the exit status."""
    from benchmarks.report import content

    return content.report(command, command.as_drawn, console)


if __name__ == "__main__":
    sys.exit(main())
