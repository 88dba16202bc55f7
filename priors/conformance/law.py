"""What a law is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class Broken(Exception):
    """The law does not hold: what was found, and the likely fix."""

    def __init__(self, found: str, fix: str):
        super().__init__(found)
        self.fix = fix


class NotApplicable(Exception):
    """The law says nothing about this part, and why."""


def demand(holds: bool, found: str, fix: str) -> None:
    """Raises Broken unless it holds."""
    if not holds:
        raise Broken(found, fix)


@dataclass(frozen=True)
class Law:
    """One law of priors, or of another kind of part. check: takes a trial, whose `kind` is the class or the function
    that the part is made by. of: the kind of prior that it speaks of. after: laws without which it cannot be tried."""

    name: str
    statement: str
    check: Callable[[Any], None]
    of: type[object] | None = None
    after: tuple[Law, ...] = ()


class Verdict(NamedTuple):
    """What came of a law. found: what was wrong, or why the law does not apply."""

    law: Law
    outcome: Literal["pass", "fail", "does not apply"]
    found: str = ""
    fix: str = ""


def law(of: type[object] | None = None, after: tuple[Law, ...] = ()) -> Callable[[Callable[[Any], None]], Law]:
    """Makes a function a law: its name with hyphens is the law's, its docstring's first line the statement."""

    def make(check: Callable[[Any], None]) -> Law:
        return Law(check.__name__.replace("_", "-"), (check.__doc__ or "").partition("\n")[0], check, of, after)

    return make
