"""Packages that a part of the project needs, and that the project does not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.common.errors import UsageError


def needed(package: str, extra: str, what: str) -> Any:
    """The package; UsageError with the command that installs it where it is not there. what: it is needed for."""
    try:
        return import_module(package)
    except ImportError:
        raise UsageError(f'{what} needs the package {package}: `pip install "priorbench[{extra}]"`.') from None
