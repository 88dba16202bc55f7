"""What names may be: those of suites, presets and outputs begin files' names, so that they are nothing else than that.

Methods and data sets may be called anything that can be read; their files have `slug` of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from benchmarks.common.errors import UsageError, cut

LONGEST = 100
"""Bytes of a name. A file's, of 255 at most, has two of them, a hash, an ending, and what marks it half written."""

ALLOWED = "-_.+"
"""Beside letters and digits. `+` joins the methods of a tuned suite."""

RESERVED = ("baselines", "cache", "figures", "published", "reference", "runs", "studies", "submissions")
"""What else lies in the folder of results: published.csv has the papers' figures."""

COST = "-cost"
"""Ends the name of a table of costs."""


def slug(name: str) -> str:
    """The name as a part of a file's name; one that is too long is cut, and a hash tells it from others cut alike."""
    return fitting("".join(c if c.isalnum() or c in "-_." else "_" for c in name))


def fitting(name: str) -> str:
    """The name, or as much of it as a file's name has room for, with a hash."""
    whole = name.encode()
    if len(whole) <= LONGEST:
        return name
    return f"{whole[: LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"


def fault(name: str) -> str | None:
    """Why a file's name cannot begin so, with one that can; None where it can."""
    if not name or name.startswith(".") or not _plain(name) or len(name.encode()) > LONGEST:
        better = slug(name).lstrip("._-") or "mine"
        return (
            f"it begins files' names, so it has 1 to {LONGEST} letters, digits, '-', '_', '+' and '.', "
            f"and does not start with a dot: for example '{better}'"
        )
    if name.casefold() in RESERVED or f"-{name.casefold()}".endswith(COST):
        return f"the folder of results has other files of that name: choose another, for example 'my-{name}-1'"
    return None


def _plain(name: str) -> bool:
    return all(c.isalnum() or c in ALLOWED for c in name)


def checked(name: str) -> str:
    """The name; ValueError with the reason where it can begin no file's name."""
    if reason := fault(name):
        raise ValueError(reason)
    return name


FileName = Annotated[str, AfterValidator(checked)]
"""A setting that begins files' names."""


def check_flag(flag: str, name: str | None) -> None:
    """UsageError where a flag gives a name that can begin no file's name."""
    if name is not None and (reason := fault(name)):
        raise UsageError(f"{flag} {cut(name)!r} is not valid: {reason}.")


def check_labels(kind: str, names: Iterable[str]) -> None:
    """UsageError for the name of a method or data set that cannot be read, or two of them that would share files."""
    taken: dict[str, str] = {}
    for name in names:
        if not name.strip() or not name.isprintable():
            raise UsageError(f"{kind.capitalize()} {name!r}: a name has letters that can be seen.")
        other = taken.setdefault(slug(name), name)
        if other != name:
            raise UsageError(f"The {kind}s {other!r} and {name!r} would share their files: rename one.")
