"""How this process was started: `priorbench NAME`, `python -m benchmarks NAME` or `python -m benchmarks.NAME`."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

SCRIPT = "priorbench"
WRITTEN = "python -m benchmarks."
"""What stands before a command's name in docstrings, and in a terminal where no entrance leads to all commands."""


def by_script() -> bool:
    """Is this process the console script? On Windows its name has an ending."""
    return Path(sys.argv[0]).stem == SCRIPT


def as_module() -> bool:
    """Is `python -m` still looking for its module? The first argument is "-m" for so long."""
    return sys.argv[0] == "-m"


def program(command: str) -> str:
    """How a person who started this process calls a command, as `priorbench run` or `python -m benchmarks.run`."""
    return f"{_entrance()}{command}"


def as_started(text: str) -> str:
    """A text of help, in which every command is called as the one that prints it was."""
    return text.replace(WRITTEN, _entrance())


def version() -> str:
    """The version that is installed."""
    try:
        return metadata.version(SCRIPT)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _entrance() -> str:
    """What stands before a command's name."""
    if by_script():
        return f"{SCRIPT} "
    whole_package = Path(sys.argv[0]).parts[-2:] == ("benchmarks", "__main__.py")
    return "python -m benchmarks " if whole_package else WRITTEN
