"""What a user did wrong, told in one sentence, and the near names that such sentences offer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from priors.registry import Registry, UnknownName
from priors.wording import Mistake, cut, unknown_name

__all__ = ["Mistake", "Stop", "UsageError", "cut", "find", "unknown"]

T = TypeVar("T")


class UsageError(Mistake):
    """A mistake in a command, a suite or the data: exit status 2."""


class Stop(BaseException):
    """Ends a run on purpose, from inside, which is no failure: like KeyboardInterrupt, nothing on its way takes it
    for one."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """`Unknown prior 'vamp'. Did you mean 'vampprior'? Available: ...`"""
    return UsageError(unknown_name(kind, name, known))


def find(parts: Registry[T], name: str) -> T:
    """The part of this name; UsageError with the near one where there is none."""
    try:
        return parts[name]
    except UnknownName as error:
        raise UsageError(str(error)) from None
