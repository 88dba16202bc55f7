"""`--help` and `list` answer at once: neither imports what takes seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.__main__ import COMMANDS
from benchmarks.config import catalogue
from benchmarks.config.declared import declared
from benchmarks.speed.__main__ import WHAT

HEAVY = ("torch", "torchvision", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "zuko", "optuna", "sqlalchemy")

CALLS = {
    "priorbench": ("benchmarks", "--help"),
    **{name: ("benchmarks", name, "--help") for name in COMMANDS},
    **{f"speed {name}": ("benchmarks.speed", name, "--help") for name in WHAT},
    "what there is": ("benchmarks", "list"),
    "papers": ("benchmarks", "list", "papers"),
}

PROGRAM = """
import runpy, sys
module, *arguments = sys.argv[1:]
sys.argv[1:] = arguments
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(sys.modules), file=sys.stderr)
"""
"""Calls a module as `python -m` does, then tells all that was imported for it."""


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_nothing_heavy_is_imported_for(name: str):
    line = [sys.executable, "-c", PROGRAM, *CALLS[name]]
    ended = subprocess.run(line, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True)
    assert ended.stdout, "it says something"
    assert not set(HEAVY) & set(ended.stderr.split())


@pytest.mark.usefixtures("own_parts")
@pytest.mark.parametrize("kind", ["prior", "regulariser", "data set", "metric"])
def test_what_is_read_is_what_registers(kind: str):
    """Names, lines, and their order."""
    assert [*catalogue.own()[kind].items()] == [*catalogue.imported()[kind].items()]


def test_summaries_are_second_arguments_or_first_lines():
    lines = declared("benchmarks/datasets", "register")
    assert lines["moons"].startswith("two interleaved half circles")
    assert declared("priors", "register")["gaussian"].startswith("Standard normal")
    assert not declared("priors", "no_such_decorator")
