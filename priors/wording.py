"""How mistakes are told: the near name of one that does not exist, and an exception in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

SHOWN = 100
"""Characters of a wrong value that a message repeats."""

LONGEST = 200
"""Characters of an exception's text that are told."""

QUOTED = re.compile(r"""(['"])(?:[A-Za-z]:)?[/\\][^'"\n]*[/\\]([^'"/\\\n]+)\1""")
PATH = re.compile(r"""(?<![\w:/.\\])(?:[A-Za-z]:)?[/\\](?:[^\s'",;:()/\\]+[/\\])+([^\s'",;:()/\\]+)""")
"""Absolute paths, whose last part is their last group."""


class Mistake(ValueError):
    """What a user did wrong: its message is one sentence with the fix, shown without a traceback."""


def cut(text: str) -> str:
    """As much of a wrong value as a message needs."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def near(name: str, known: Iterable[str]) -> str:
    """The sentence that offers the near name, with a space after it, or nothing.

    >>> near("vamp", ["gaussian", "vampprior"])
    "Did you mean 'vampprior'? "
    """
    found = difflib.get_close_matches(cut(name), sorted(known), 1, cutoff=0.5)
    return f"Did you mean '{found[0]}'? " if found else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """`Unknown prior 'vamp'. Did you mean 'vampprior'? Available: ...`"""
    names = sorted(known)
    return f"Unknown {kind} '{cut(name)}'. {near(name, names)}Available: {', '.join(names) or 'none'}."


def in_one_line(error: BaseException) -> str:
    """`ValueError: what went wrong`, or `ValueError` where it has no text.

    It is kept in tables that others read: of paths the file's name stays, and of long texts the beginning.
    """
    try:
        text = " ".join(_without_folders(str(error)).split())
    except Exception:  # an exception of somebody else's, whose text is an error of its own
        text = ""
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 3]}..."


def _without_folders(text: str) -> str:
    """Absolute paths, quoted or not, as the last of their parts; addresses of the web stay as they are.

    >>> _without_folders("No such file: '/home/a b/x.csv' or /tmp/y/z.py, see https://x.org/a/b and a/b/c")
    "No such file: 'x.csv' or z.py, see https://x.org/a/b and a/b/c"
    """
    return PATH.sub(r"\1", QUOTED.sub(r"\1\2\1", text))
