"""The command `python -m benchmarks.submit`: a prior's claim in one file, and what comes of making it anew.

What does the work is imported by the functions that do it, so that `--help` waits for neither torch nor pandas.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from rich.console import Console

from benchmarks.cli import STOPPED, Selection, check_folder, check_least, named, parse, status
from benchmarks.common.errors import UsageError
from benchmarks.common.screen import Screen
from benchmarks.common.started import program
from priors.plugins import forgotten
from priors.registry import unchanged

OF_CLAIMS = ("plugin", "name", "preset", "set", "out")
"""Flags that say what is claimed, and nothing of how a claim is checked."""

OF_CHECKS = ("workers",)


@dataclass(frozen=True)
class Command(Selection):
    """Writes a submission from finished runs of a plug-in, or checks one.

    With --plugin and --suite: RESULTS/submissions/NAME/ gets NAME.json, with every seed's estimates, settings, machine,
    versions, hashes of sources, data and weights, and costs; NAME.py, the plug-in; and the suite, where it is your own.
    Nothing is run: what is missing is told, with the command that runs it.

    With --check: reads the claim strictly, tries the contract's laws on the source beside it, makes runs anew, on the
    data set digits where the claim has it, and writes what is claimed beside what was measured, with a word on each
    estimate (NAME.checked.json). It imports and runs the source: read it first. Exit status 1 where something differs.

    For example:
      python -m benchmarks.submit --plugin mylaw.py --suite quickstart
      python -m benchmarks.submit --check results/submissions/mylaw
      python -m benchmarks.submit --check results/submissions --seeds 0 1 2
    """

    suite: Annotated[str, named("NAME")] = ""
    """Name of the suite that was run, or path of its TOML file; with --check another one, of which those runs count
    that are the claim's, too (default: the claim's own)."""
    name: Annotated[str | None, named("NAME")] = None
    """Name of the submission (default: the prior's, or the file's where it has several)."""
    preset: Annotated[str | None, named("NAME")] = None
    """Not for submissions: a trial is refused, with the reason."""
    out: Annotated[Path | None, named("DIR")] = None
    """Where to write the submission (default: RESULTS/submissions/NAME)."""
    check: Annotated[Path | None, named("DIR")] = None
    """Check a submission: its folder, its JSON, or a folder of submissions."""
    workers: int = 0
    """With --check: processes at once; 0: one a core."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 written, or nothing differs; 1 a claim does not hold, 2 wrong usage, 130 stopped by Ctrl-C."""
    return status(lambda: submit(parse(Command, arguments, "submit"), Screen()), STOPPED)


def submit(command: Command, console: Console) -> int:
    """Writes or checks."""
    refuse(command)
    if command.check is not None:
        from benchmarks.submissions.checking import check

        return check(command, command.check, command.workers, console)
    from benchmarks.submissions import claiming

    with unchanged(), forgotten():  # the copy of the plug-in registers the same names, where it is checked next
        folder = claiming.write(command, command.out)
    how = f"`{program('submit')} --check {shlex.quote(str(folder))}` does what the reviewers' machine will do"
    console.print(f"submission: {folder}. {how}.", highlight=False, markup=False, soft_wrap=True)
    return 0


def refuse(command: Command) -> None:
    """Raises UsageError for flags that have no say in what is asked."""
    check_least(command, 0, "workers")
    check_folder("--out", command.out)
    usual = {one.name: one.default for one in fields(command)}
    idle = OF_CLAIMS if command.check is not None else OF_CHECKS
    for flag in idle:
        if getattr(command, flag) != usual[flag]:
            word = "has no say" if command.check is not None else "has a say only"
            raise UsageError(f"--{flag} {word} with --check: leave it out.")


if __name__ == "__main__":
    sys.exit(main())
