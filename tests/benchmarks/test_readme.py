"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.config import suite
from benchmarks.run import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first fenced block in a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README shows no {language}"
    return found.group(1)


@pytest.mark.long
@pytest.mark.usefixtures("own_parts", "cheap_metrics")
def test_its_prior_runs(tmp_path: Path):
    """The prior of the README in one file becomes a row of the table."""
    plugin = tmp_path / "myprior.py"
    plugin.write_text(block("python"), encoding="utf-8")
    few = ("training.epochs=1", "protocol.samples=[10]", "protocol.images=20", "protocol.generated=200")
    short = [part for override in few for part in ("--set", override)]
    where = ["--results", str(tmp_path), "--executor", "serial", "--name", "own", "--seeds", "0"]
    arguments = ["--suite", "quickstart", "--method", "gaussian", "diagonal", "--plugin", str(plugin)]
    assert main([*arguments, *where, *short, "--set", "prior.diagonal.spread=0.5"]) == 0
    table = pd.read_csv(tmp_path / "own.csv").set_index("method")
    assert set(table.loc["diagonal", "status"]) == {"ok"}


def test_its_suite_is_valid(tmp_path: Path):
    path = tmp_path / "my.toml"
    path.write_text(block("toml"), encoding="utf-8")
    assert len(suite.expand(suite.read(str(path)))) == 10


def test_ci_runs_its_test_command():
    """One command, in two places, word for word."""
    (command,) = re.findall(r"^    (python3 .*tox)$", README, re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_what_it_names_exists():
    """Suites, flags and files that the README mentions."""
    for name in re.findall(r"--suite ([a-z][\w-]*)(?![\w.])", README):
        suite.read(name if name != "my" else "quickstart")
    for path in re.findall(r"`((?:priors|models|benchmarks|results)/[\w./-]+\.(?:py|csv))`", README):
        assert (ROOT / path).exists() or path.startswith("results/"), path
