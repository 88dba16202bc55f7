"""Packages that an executor needs, and that the project does not."""

from __future__ import annotations

from typing import Any

from benchmarks.common import extras


def needed(package: str, executor: str) -> Any:
    """The package; UsageError with the command that installs it where it is not there."""
    return extras.needed(package, executor, f"The executor '{executor}'")
