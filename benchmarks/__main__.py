"""The command `priorbench`, which is also `python -m benchmarks`: it hands on to the command that its first word names.

A command is imported when it is called and not before, so that `priorbench --help` need not wait for torch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from benchmarks.common.errors import UsageError, cut, unknown
from benchmarks.common.started import program, version


class Command(NamedTuple):
    """Where a command is: the module whose `main` it is, the words that choose a part of it, and what it does."""

    module: str
    words: tuple[str, ...]
    summary: str


COMMANDS = {
    "run": Command("benchmarks.run", (), "trains, evaluates and tabulates the runs of a suite"),
    "tune": Command("benchmarks.tune", (), "finds the best settings of methods on validation images"),
    "check": Command("benchmarks.check", (), "tells what of a suite's table has moved from its baseline"),
    "report": Command(
        "benchmarks.report.__main__", (), "writes a suite's table as a page to read, or all tables as a site"
    ),
    "plots": Command("benchmarks.plots.__main__", (), "draws the figures of a suite from its finished runs"),
    "table": Command("benchmarks.run", ("table",), "prints a suite's table as Markdown, LaTeX or CSV for a paper"),
    "list": Command("benchmarks.run", ("list",), "lists suites, methods, priors, regularisers, data sets and metrics"),
    "validate": Command("benchmarks.run", ("validate",), "checks suites without running them"),
    "export": Command("benchmarks.export.__main__", (), "hands finished runs to TensorBoard, MLflow, a model hub, ..."),
    "speed": Command("benchmarks.speed.__main__", (), "times training and evaluation beside the processor's floor"),
    "submit": Command("benchmarks.submit", (), "writes a prior's submission from finished runs, or checks one"),
    "conformance": Command("benchmarks.conformance", (), "tries the contract's laws on a prior"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: the command's; 2 where the first word names none."""
    first, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or [""]
    if first in ("-h", "--help"):
        print(usage())
    elif first == "--version":
        print(f"priorbench {version()}")
    else:
        return hand_on(first, rest)
    return 0


def hand_on(name: str, arguments: Sequence[str]) -> int:
    """Imports the command of this name and carries it out."""
    try:
        chosen = command(name)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    status: int = import_module(chosen.module).main([*chosen.words, *arguments])
    return status


def command(name: str) -> Command:
    """The command of this name; UsageError with the near name, or with all of them, where there is none."""
    if name.startswith("-") or not name:
        given = f"'{cut(name)}' is no command" if name else "No command is given"
        raise UsageError(f"{given}: the first word is one of {', '.join(COMMANDS)}. --help tells what they do.")
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    return COMMANDS[name]


def usage() -> str:
    """What --help prints."""
    lines = "\n".join(f"  {name:13}{one.summary}" for name, one in COMMANDS.items())
    called = program("COMMAND")
    return (
        f"usage: {called} ... | --help | --version\n\n"
        f"Compares learnable priors of variational and Wasserstein autoencoders.\n\n{lines}\n\n"
        f"`{called} --help` tells a command's flags. To begin: {program('run')} --suite quickstart"
    )


if __name__ == "__main__":
    sys.exit(main())
