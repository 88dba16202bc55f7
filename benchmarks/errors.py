"""What a user did wrong, told in one sentence, and the near names that such sentences offer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A mistake in a command, a suite or the data: shown without a traceback, exit status 2."""


class Stop(BaseException):
    """Ends a run on purpose, from inside, which is no failure: like KeyboardInterrupt, nothing on its way takes it
    for one."""


SHOWN = 100
"""Characters of a wrong value that a message repeats."""


def cut(text: str) -> str:
    """As much of a wrong value as a message needs."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """`Unknown prior 'vamp'. Did you mean 'vampprior'? Available: ...`"""
    name = cut(name)
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return UsageError(f"Unknown {kind} '{name}'. {hint}Available: {', '.join(names) or 'none'}.")
