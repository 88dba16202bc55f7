"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.config import catalogue, suite
from benchmarks.run import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, beginning: str = "", text: str = README) -> str:
    """The first fenced block in a language, of those that begin so."""
    found = re.search(rf"```{language}\n({re.escape(beginning)}.*?)```", text, re.DOTALL)
    assert found, f"there is no {language} that begins with {beginning!r}"
    return found.group(1)


@pytest.mark.long
@pytest.mark.usefixtures("own_parts", "cheap_metrics")
def test_its_prior_runs(tmp_path: Path):
    """The prior of the README in one file becomes a row of the table."""
    plugin = tmp_path / "myprior.py"
    plugin.write_text(block("python", "# myprior.py"), encoding="utf-8")
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
    for name in re.findall(r"--suite ([a-z][\w-]*)(?![\w./])", README):
        suite.read(name if name != "my" else "quickstart")
    for path in re.findall(r"`((?:priors|models|benchmarks|results)/[\w./-]+\.(?:py|csv))`", README):
        assert (ROOT / path).exists() or path.startswith("results/"), path


SEEDS = 'seeds = 5\nmetrics = ["nll", "bits_per_dim", "active_units", "reliability", "skl", "fd_classifier", "copying"]'
"""Of the suite quickstart."""


@pytest.fixture
def quicker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite quickstart with one seed and one metric, in a folder that is the current one, on one thread."""
    text = suite.path_of("quickstart").read_text(encoding="utf-8")
    assert SEEDS in text
    (tmp_path / "quickstart.toml").write_text(
        text.replace(SEEDS, 'seeds = 1\nmetrics = ["nll"]') + "\n[protocol]\nsamples = [10]\nimages = 20\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(catalogue, "SUITES", tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.long
@pytest.mark.usefixtures("quicker")
def test_its_python_runs(capsys: pytest.CaptureFixture[str]):
    """In ten lines or so; the suite is shorter here."""
    program = block("python", "from benchmarks import")
    assert len(program.splitlines()) <= 12
    found: dict[str, object] = {}
    exec(program, found)
    assert {"gaussian", "vampprior"} <= set(capsys.readouterr().out.split())


@pytest.mark.slow
@pytest.mark.usefixtures("quicker")
def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]):
    """Its three programs, one after another."""
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    found: dict[str, object] = {}
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(programs) == 3
    for program in programs:
        exec(program, found)
    assert {"gaussian", "vampprior", "is-5000"} <= set(capsys.readouterr().out.split())
