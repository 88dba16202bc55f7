"""Packages that an executor needs, and that the project does not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.common.errors import UsageError


def needed(package: str, executor: str) -> Any:
    """The package; UsageError with the command that installs it where it is not there."""
    try:
        return import_module(package)
    except ImportError:
        extra = f'pip install "priorbench[{executor}]"'
        raise UsageError(f"The executor '{executor}' needs the package {package}: `{extra}`.") from None
