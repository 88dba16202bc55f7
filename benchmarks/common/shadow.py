"""Packages of another project that stand in the way of ours: a folder that has a `models` of its own is not rare.

`python -m` puts the current folder before all others, so that `import models` finds what lies there. Without this check
the first sign of it would be a ModuleNotFoundError from the middle of an import.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from benchmarks.common.started import as_module, by_script

OURS = ("priors", "models")
HOME = Path(__file__).resolve().parents[2]
"""The folder that `benchmarks` lies in, and beside it the others."""


def refuse_foreign(names: Iterable[str] = OURS) -> None:
    """Ends a command with one sentence and exit status 2 where another package has the name of one of ours.

    ImportError with the same sentence where it is not a command that imports us, but somebody's notebook or program.
    """
    for name in names:
        found = location(name)
        if found is not None and found != HOME / name:
            refuse(f"`{name}` is taken from {found}, which is not priorbench's: {remedy()}.")


def location(name: str) -> Path | None:
    """The folder, or the file of a single module, that an import of this name would take; None where there is none.

    Nothing is imported for it.
    """
    if name in sys.modules:
        origin = getattr(sys.modules[name], "__file__", None)
    else:
        spec = find_spec(name)
        origin = spec.origin if spec else None
    if origin is None:
        return None
    path = Path(origin).resolve()
    return path.parent if path.name == "__init__.py" else path


def remedy() -> str:
    """What to do about it, which depends on who put that folder first."""
    if by_script():
        return "take its folder off PYTHONPATH"
    if as_module():
        return "`python -m` looks into the current folder first, so use `priorbench` instead, or another folder"
    return "start Python in another folder, or rename that one"


def refuse(sentence: str) -> None:
    """Ends the process if it is a command of ours."""
    if not (by_script() or as_module()):
        raise ImportError(sentence)
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)
