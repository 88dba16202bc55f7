"""Measurements of speed and memory: `python -m benchmarks.speed WHAT`, also `priorbench speed WHAT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from benchmarks.cli import STOPPED, status
from benchmarks.common.errors import unknown
from benchmarks.common.started import program

WHAT = {
    "priors": "a training step of every method beside the floor of its products",
    "evaluation": "the large estimates beside the floor of their products, and their memory",
    "peer": "training and likelihood beside pythae's, in turns (pip install pythae)",
    "scaling": "seeds in turn, stacked, and in two workers",
    "tables": "making tables anew from ten thousand finished runs",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: the measurement's; 2 for wrong usage."""
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    return status(lambda: dispatch(given), STOPPED)


def dispatch(given: Sequence[str]) -> int:
    first, *rest = given or [""]
    if first in ("", "-h", "--help"):
        print(f"usage: {program('speed')} WHAT [options]; each has --help\n")
        print("\n".join(f"  {name:12} {text}" for name, text in WHAT.items()))
        print("\nTime on an idle machine: ratios within one measurement count, seconds hardly.")
        raise SystemExit(0 if first else 2)
    if first not in WHAT:
        raise unknown("measurement", first, WHAT)
    code: int = import_module(f"benchmarks.speed.{first}").main(rest)
    return code


if __name__ == "__main__":
    sys.exit(main())
