"""Mistakes in a command's flags, each in one sentence with the near name."""

from __future__ import annotations

import io
import operator
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import fields
from itertools import dropwhile, pairwise, takewhile

from benchmarks.common.errors import UsageError, unknown

FRAME = "│|╭╮╰╯+"
"""What the parser draws at the ends of its lines, also where a terminal has ASCII alone."""

MISSING = "Missing from "
"""Begins the parser's list of what must be given."""


def check(command: type, arguments: Sequence[str]) -> None:
    """Raises UsageError for a flag that does not exist, or one without the value that it takes: nothing given would
    count as nothing chosen, and a typing error as the whole suite."""
    known = {f"--{field.name.replace('_', '-')}": field.name for field in fields(command)}
    kinds = typing.get_type_hints(command)
    for argument, after in pairwise([*arguments, "--"]):
        flag, equals, _ = argument.partition("=")
        flag = flag.replace("_", "-")
        if not flag.startswith("--") or flag == "--help":
            continue
        if flag not in known:
            raise unknown("flag", flag, {*known, "--help"})
        if kinds[known[flag]] is not bool and not equals and after.startswith("--"):
            raise UsageError(f"{flag} has no value: write one after it, or leave it out (--help tells what it takes).")


@contextmanager
def told_in_a_sentence(program: str) -> Iterator[None]:
    """Within, what the parser has to say of wrong flags is a UsageError, and not a page."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            yield
    except SystemExit as end:
        if end.code:
            raise UsageError(sentence(said.getvalue(), program)) from None
        raise


def sentence(page: str, program: str) -> str:
    """The first paragraph of what the parser says, in one line."""
    lines = [line.strip().strip(FRAME).strip() for line in page.splitlines()[1:]]
    lines = ["" if {*line} <= {"─", "-"} else line for line in lines]
    first = list(takewhile(bool, dropwhile(operator.not_, lines)))
    if first and first[0].startswith(MISSING):
        told = f"{' and '.join(line for line in first if line.startswith('--'))} must be given"
    else:
        told = " ".join(first).rstrip(".")
    return f"{told}: `{program} --help` tells what flags take."
