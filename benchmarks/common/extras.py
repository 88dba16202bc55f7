"""Packages that a part of the project needs, and that the project does not."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.common.errors import UsageError


def needed(package: str, extra: str, what: str) -> Any:
    """The package; UsageError with the command that installs it where it is not there. what: it is needed for."""
    try:
        return import_module(package)
    except ImportError:
        raise lacking(package, extra, what) from None


def check_there(package: str, extra: str, what: str) -> None:
    """The same UsageError, without importing what reads its settings as it is imported."""
    if find_spec(package) is None:
        raise lacking(package, extra, what)


def lacking(package: str, extra: str, what: str) -> UsageError:
    return UsageError(f'{what} needs the package {package}: `pip install "priorbench[{extra}]"`.')
