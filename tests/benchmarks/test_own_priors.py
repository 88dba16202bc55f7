"""A user's own prior: what is told of its mistakes and where, what of it is kept, and commands that run as printed."""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import check, conformance, run, tune
from benchmarks.runner.damage import damages
from benchmarks.runner.executors import EXECUTORS, serial
from benchmarks.runner.record import Record
from priors.plugins import GROUPS
from workbench import TINY, Answer, Workbench

PRIOR = """
import torch
from priors import Density, DiagonalNormal, Float, register


@register("{name}")
class Mine(Density):
    "One diagonal Gaussian."
    space = {{"spread": Float(0.5, 2.0)}}

    def __init__(self, host, *, spread{annotation} = 4.0):
        super().__init__()
        self.mean = torch.nn.Parameter(torch.zeros(host.latent_dim))
        {building}

    def sample(self, n):
        return DiagonalNormal(self.mean, torch.zeros_like(self.mean)).sample((n,))

    def log_prob(self, z):
        {computing}
        return DiagonalNormal(self.mean, torch.zeros_like(self.mean)).log_prob(z)
"""

HALF = TINY.replace('["gaussian", "vampprior"]', '["gaussian"]')


class Bench(Workbench):
    """A folder with a plug-in, whose name has a space."""

    def prior(self, name: str, building: str = "", computing: str = "", annotation: str = ": float") -> Path:
        parts = {"building": building, "computing": computing, "annotation": annotation}
        return self.write(f"my {name}.py", PRIOR.format(name=name, **parts))

    def with_prior(self, name: str, command: Callable[..., int] = run.main, *more: str) -> Answer:
        plugin = ["--plugin", str(self.folder / f"my {name}.py"), "--method", name]
        serial = ["--executor", "serial"] if command is run.main else []
        return self.ask(command, *self.about("tiny.toml"), *plugin, *serial, *more)

    def kept(self, name: str) -> Record:
        (folder,) = (self.results / "runs" / "tiny").glob(f"onehot-{name}-*")
        return Record(folder)


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_parts: None) -> Bench:
    return Bench(tmp_path, capsys, HALF)


def line_of(path: Path, text: str) -> int:
    return 1 + path.read_text().splitlines().index(text)


@pytest.mark.long
def test_a_mistake_at_run_time_names_file_and_line(bench: Bench):
    path = bench.prior("slips", computing="z @ torch.ones(7, 7)")
    answer = bench.with_prior("slips")
    assert answer.status == 1
    where = f"(my slips.py, line {line_of(path, '        z @ torch.ones(7, 7)')})"
    assert where in answer.out
    assert str(bench.kept("slips").folder / "error.txt") in answer.out
    assert f"`python -m benchmarks.conformance --plugin '{path}'`" in answer.out
    note = pd.read_csv(bench.results / "tiny.csv").query("method == 'slips'")["note"].iloc[0]
    assert where in note
    assert str(bench.folder) not in note, "a table is for others"


def test_a_mistake_while_building_is_one_sentence(bench: Bench):
    path = bench.prior("unbuilt", building="torch.zeros(3) + torch.zeros(4)")
    answer = bench.with_prior("unbuilt")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert f"(my unbuilt.py, line {line_of(path, '        torch.zeros(3) + torch.zeros(4)')})" in answer.err
    assert f"benchmarks.conformance --plugin '{path}'" in answer.err


def test_a_setting_without_annotation_is_one_sentence_everywhere(bench: Bench):
    bench.prior("bare", annotation="")
    for command in (run.main, tune.main):
        answer = bench.with_prior("bare", command)
        assert (answer.status, answer.err.count("\n")) == (2, 1), answer
        assert "setting 'spread' has no annotation: write, say, spread: float" in answer.err
    answer = bench.ask(conformance.main, "--plugin", str(bench.folder / "my bare.py"))
    assert answer.status == 1
    assert "spread" in answer.out
    assert "annotat" in answer.out


@pytest.mark.long
def test_the_source_is_kept_and_sealed(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bench.write("beside_it.py", "LEVEL = 1\n")
    path = bench.prior("kept")
    path.write_text("import beside_it\n" + path.read_text())
    monkeypatch.syspath_prepend(str(bench.folder))
    assert bench.with_prior("kept").status == 0
    record = bench.kept("kept")
    kept = {one.name: one for one in (record.folder / "plugin").rglob("*.py")}
    assert {*kept} == {"my kept.py", "beside_it.py"}
    assert kept["my kept.py"].read_text() == path.read_text()
    assert kept["my kept.py"].parent.name == record.read("made.json")["by"][0]["plugin"]
    assert len(record.read("made.json")["files"]) == 2
    kept["beside_it.py"].write_text("LEVEL = 2\n")
    assert damages(record) == {name: why for name, why in damages(record).items() if name.endswith("beside_it.py")}
    assert damages(record)
    answer = bench.with_prior("kept")
    assert answer.status == 0
    assert not damages(record), "it is put aside and kept anew"
    assert kept["beside_it.py"].read_text() == "LEVEL = 1\n"
    assert "files" not in Record(next((bench.results / "runs" / "tiny").glob("onehot-kept*"))).read("config.json")


@pytest.mark.long
def test_a_run_of_our_own_parts_keeps_no_sources(bench: Bench):
    assert bench.ask(run.main, *bench.about("tiny.toml"), "--executor", "serial").status == 0
    record = bench.kept("gaussian")
    assert not (record.folder / "plugin").exists()
    assert "files" not in record.read("made.json")


def test_a_broken_package_of_others_is_a_warning(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    point = importlib.metadata.EntryPoint("theirs", "no_such_package_of_theirs", GROUPS[0])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: (point,) if group == GROUPS[0] else ())
    answer = bench.ask(run.main, *bench.about("tiny.toml"), "--executor", "serial", "--limit", "0")
    assert answer.status == 0
    assert answer.err.startswith("warning: The installed package that offers 'theirs' (no_such_package_of_theirs)")
    assert answer.err.count("\n") == 1


@pytest.mark.long
def test_what_tune_prints_runs_as_it_stands(bench: Bench):
    """The first trial is the suite's own setting, 4.0, though the declared range ends at 2.0."""
    bench.prior("tuned")
    answer = bench.with_prior("tuned", tune.main, "--trials", "2", "--samples", "5", "--device", "cpu")
    assert answer.status == 0, answer.err
    table = pd.read_csv(next((bench.results / "studies").glob("*.csv")))
    assert table["prior.tuned.spread"].iloc[0] == 4.0
    assert table["prior.tuned.spread"].iloc[1] <= 2.0
    assert "the suite's own settings: nll" in answer.out
    assert "tuning gained" in answer.out
    (line,) = (line for line in answer.out.splitlines() if line.startswith("run it: "))
    words = shlex.split(line.removeprefix("run it: "))
    assert words[:3] == ["python", "-m", "benchmarks.run"]
    for flag, value in (
        ("--plugin", bench.folder / "my tuned.py"),
        ("--data", bench.folder / "data"),
        ("--results", bench.results),
        ("--device", "cpu"),
    ):
        assert words[words.index(flag) + 1] == str(value)
    again = bench.ask(run.main, *words[3:], "--executor", "serial")
    assert again.status == 0, again.err
    (file,) = (bench.results / "studies").glob("*.toml")
    assert "# Tuning gained" in file.read_text()


@pytest.mark.long
def test_check_takes_a_plugin(bench: Bench):
    path = bench.prior("checked")
    suite = bench.suite(HALF.replace('["gaussian"]', '["checked"]'))
    baseline = str(bench.folder / "baseline.csv")
    given = ["--suite", suite, "--plugin", str(path), "--baseline", baseline]
    EXECUTORS.put("local", serial)
    answer = bench.ask(check.main, *given, "--update", "--seeds", *map(str, range(12)))
    assert answer.status == 0, answer.err
    assert bench.ask(check.main, *given).status == 0
