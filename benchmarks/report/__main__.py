"""The command `python -m benchmarks.report`.

What does the work is imported by the function that does it, so that `--help` waits for neither torch nor pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from benchmarks.cli import Selection, Several, load_plugins, named, parse, status
from benchmarks.common.screen import Screen


@dataclass(frozen=True)
class Command(Selection):
    """Writes a suite's table as a page to read: RESULTS/NAME.html, one file that fetches nothing.

    It shows RESULTS/NAME.csv with its costs, verdicts beside a paper's figures, the figures, every method's settings,
    and what was not computed, with the reason. Figures are drawn anew where the runs and their data are there.
    --dataset and --method show a part of the table; --seeds are those of the figures.

    With --site DIR in the place of all else it writes pages of every table instead: leaderboards, priors, suites.

    For example:
      python -m benchmarks.report --suite quickstart
      python -m benchmarks.report --suite table1 --preset laptop --as-drawn
      python -m benchmarks.report --site site
    """

    as_drawn: bool = False
    """Take the figures as they lie in RESULTS/figures/NAME."""


@dataclass(frozen=True)
class Site:
    """Writes all tables of a folder as pages that link to each other: DIR/index.html and what is beside it.

    There is a leaderboard for every data set and protocol, and a page for every prior and every suite. They open from
    a disk and fetch nothing. The same tables give the same bytes; files in DIR of another origin are left alone.

    For example:
      python -m benchmarks.report --site site
      python -m benchmarks.report --site /srv/www/priors --results results
    """

    site: Annotated[Path, named("DIR")]
    """Folder of the pages, which is made where there is none."""
    results: Path = Path("results/reference")
    """Folder of the tables, with their ledgers and figures."""
    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers priors or any other parts. May be repeated."""


FLAG = "--site"
"""Asks for a Site."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 wrong usage or no table, 130 stopped by Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    if any(word.partition("=")[0] == FLAG for word in given):
        return status(lambda: site(parse(Site, arguments, "report"), Screen()))
    return status(lambda: report(parse(Command, arguments, "report"), Screen()))


def report(command: Command, console: Console) -> int:
    """Writes the page; the exit status."""
    from benchmarks.report import content

    return content.report(command, command.as_drawn, console)


def site(command: Site, console: Console) -> int:
    """Writes the pages; the exit status."""
    from benchmarks.report.site import build

    load_plugins(command.plugin)
    return build.build(command.results, command.site, console)


if __name__ == "__main__":
    sys.exit(main())
