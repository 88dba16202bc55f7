"""What the tests of the commands share: a tiny suite, and a folder in which commands are run, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TINY = """
title = "Tiny"
datasets = ["onehot"]
methods = ["gaussian", "vampprior"]
seeds = 1
metrics = ["nll"]

[model]
widths = [8]
latent_dim = 2

[training]
epochs = 2

[protocol]
samples = [10]
images = 20

[prior.vampprior]
components = 4

[preset.quick]
training.epochs = 1
"""


@dataclass(frozen=True)
class Answer:
    """What a command ended with and said."""

    status: int
    out: str
    err: str


class Workbench:
    """A folder with a suite, tiny.toml, and a place for results."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], text: str = TINY):
        self.folder, self.capsys = folder, capsys
        self.results = folder / "results"
        self.suite(text)

    def write(self, name: str, text: str) -> Path:
        return write(self.folder / name, text)

    def suite(self, text: str, name: str = "tiny") -> str:
        return str(self.write(f"{name}.toml", text))

    def ask(self, command: Callable[..., int], *arguments: str) -> Answer:
        """The command with these arguments, and nothing that was said before it."""
        self.capsys.readouterr()
        try:
            status = command(arguments)
        except SystemExit as stop:  # tyro's own
            status = stop.code
        return Answer(status, *self.capsys.readouterr())

    def about(self, suite: str) -> list[str]:
        """The arguments that name a suite, one of this folder's files or one of the project's, and the places."""
        name = str(self.folder / suite) if suite.endswith(".toml") else suite
        return ["--suite", name, "--results", str(self.results), "--data", str(self.folder / "data")]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def descendants(pid: int) -> set[int]:
    """Processes that `pid` started, and those that these started, and so on, that still live."""
    parents = {child: parent for child, (parent, _) in processes().items()}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def processes() -> dict[int, tuple[int, str]]:
    """(parent, state) of every process by its number."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found[int(path.parent.name)] = (int(parent), state)
    return found
