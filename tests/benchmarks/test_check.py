"""The command `python -m benchmarks.check`: what it calls changed, what it does not, and how it says so."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import Tensor

from benchmarks import check, run
from benchmarks.check import main
from benchmarks.runner.executors import EXECUTORS, serial
from benchmarks.tables.drift import COLUMNS
from priors.gaussian import Gaussian
from priors.parts.normal import log_standard_normal
from priors.registry import unchanged
from workbench import TINY, Workbench, write

SMOKE = Path(__file__).parents[2] / "results" / "baselines" / "smoke.csv"

SHORT = (
    TINY.replace(', "vampprior"', "")
    .replace('"nll"', '"nll", "active_units"')
    .replace("seeds = 1", "seeds = 2")
    .replace("epochs = 2", "epochs = 1")
)


class Bench(Workbench):
    """`python -m benchmarks.check` in a folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]):
        super().__init__(folder, capsys, SHORT)
        self.baseline = self.results / "baselines" / "tiny.csv"

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit status and all that was said."""
        answer = self.ask(main, *self.about("tiny.toml"), *arguments)
        return answer.status, answer.out + answer.err

    def edit(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Another baseline."""
        change(pd.read_csv(self.baseline)).to_csv(self.baseline, index=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny suite's baseline of 12 seeds."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "tiny.toml", SHORT)
    with unchanged():
        EXECUTORS.put("local", serial)
        arguments = ["--suite", str(folder / "tiny.toml"), "--results", str(folder), "--update"]
        assert main([*arguments, "--seeds", *map(str, range(12))]) == 0
    return folder / "baselines" / "tiny.csv"


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_parts: None) -> Bench:
    EXECUTORS.put("local", serial)
    return Bench(tmp_path, capsys)


@pytest.fixture
def checked(bench: Bench, made: Path) -> Bench:
    """With the baseline."""
    bench.baseline.parent.mkdir(parents=True)
    shutil.copy(made, bench.baseline)
    return bench


def test_unchanged(checked: Bench):
    """Its own seeds and others; no folder but the baseline's is touched."""
    before = checked.baseline.read_bytes()
    for seeds in ((), ("--seeds", "100", "101", "102")):
        status, said = checked(*seeds)
        assert status == 0, said
        assert said.splitlines()[-1] == "5 rows: 5 same"
    assert checked.baseline.read_bytes() == before
    assert [path.name for path in checked.results.iterdir()] == ["baselines"]


def wrong_sign(prior: Gaussian, z: Tensor) -> Tensor:
    """The density that grows away from the origin."""
    return log_standard_normal(z) + z.square().sum(-1)


def wrong_constant(prior: Gaussian, z: Tensor) -> Tensor:
    """ln (2 pi) added where it is subtracted: a likelihood that is too good."""
    return log_standard_normal(z) + 2 * math.log(2 * math.pi)


def test_a_planted_regression_is_caught(checked: Bench, monkeypatch: pytest.MonkeyPatch):
    """A wrong sign in the prior's density, with other seeds than the baseline's: exit status 1 and a table."""
    monkeypatch.setattr(Gaussian, "log_prob", wrong_sign)
    status, said = checked("--seeds", "100", "101")
    assert status == 1
    header = next(line for line in said.splitlines() if line.startswith("metric"))
    assert header.split() == ["metric", "estimator", "dataset", "method", "baseline", "now", "moved", "by", "verdict"]
    assert "If this is meant" in said
    assert {"better", "worse", "moved"} & set(said.split())


def test_a_figure_that_is_too_good_is_caught(checked: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Gaussian, "log_prob", wrong_constant)
    status, said = checked("--seeds", "100", "101")
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("nll") and "is-10" in line]
    words = line.split()
    assert words[-1] == "better"
    assert float(words[-2]) < -1
    assert float(words[4]) - float(words[7]) == pytest.approx(2 * math.log(2 * math.pi), abs=0.5)


def test_failed_runs_are_told_with_their_reason(checked: Bench, monkeypatch: pytest.MonkeyPatch):
    def fails(prior: Gaussian, z: Tensor) -> Tensor:
        raise ArithmeticError("the density is lost")

    monkeypatch.setattr(Gaussian, "log_prob", fails)
    status, said = checked()
    assert status == 1
    assert "failed: ArithmeticError: the density is lost" in said.partition("metric")[2]
    assert "7 rows: 5 vanished, 2 failed" in said


@pytest.mark.long
def test_update_makes_what_the_check_reads(checked: Bench):
    """A table of the suite's own columns; a wrong one is replaced; the same seeds give the same bytes."""
    good = checked.baseline.read_bytes()
    checked.edit(lambda frame: frame.assign(mean=frame["mean"] + 100))
    assert checked()[0] == 1
    assert checked("--update", "--seeds", *map(str, range(12)))[0] == 0
    assert checked.baseline.read_bytes() == good
    assert tuple(pd.read_csv(checked.baseline)) == COLUMNS
    assert set(pd.read_csv(checked.baseline)["n"]) == {12}


def test_baseline_of_few_seeds_is_refused(bench: Bench):
    status, said = bench("--update", "--seeds", "0", "1")
    assert status == 2
    assert said.endswith("error: A baseline takes 12 seeds, better 32, and these estimates are of 2.\n")
    assert not bench.baseline.exists()


def test_table_that_is_there(checked: Bench):
    """--read takes RESULTS/SUITE.csv and runs nothing; the papers' own rows are left aside."""
    table = pd.read_csv(checked.baseline)
    paper = table.head(1).assign(status="published", n=0, published=1.0)
    pd.concat([table, paper]).to_csv(checked.results / "tiny.csv", index=False)
    assert checked("--read") == (0, "5 rows: 5 same\n")
    table.assign(mean=-table["mean"]).to_csv(checked.results / "tiny.csv", index=False)
    status, said = checked("--read")
    assert status == 1
    assert "runs" not in said


@pytest.mark.parametrize("why", ["missing", "not a table", "empty"])
def test_baseline_that_cannot_be_read(why: str, bench: Bench):
    """One sentence that tells how to make one, before anything runs."""
    if why != "missing":
        bench.baseline.parent.mkdir(parents=True)
        bench.baseline.write_text("a,b\n1,2\n" if why == "not a table" else "", encoding="utf-8")
    status, said = bench()
    assert status == 2
    assert said.startswith("error: ")
    assert str(bench.baseline) in said
    assert said.endswith("make the baseline by the same command with --update.\n")
    assert said.count("\n") == 1


WRONG = {
    "no table": (["--read"], ["tiny.csv", "benchmarks.run --suite"]),
    "read and seeds": (["--read", "--seeds", "1"], ["--seeds"]),
    "workers": (["--workers=-1"], ["--workers -1"]),
    "level": (["--level", "0"], ["--level 0"]),
    "seeds": (["--seeds=-1"], ["--seeds -1"]),
    "suite": (["--suite", "smokee"], ["'smoke'"]),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_wrong_usage(arguments: list[str], words: list[str], checked: Bench):
    status, said = checked(*arguments)
    assert status == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    for word in words:
        assert word in said


def test_ctrl_c(checked: Bench):
    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    EXECUTORS.put("local", stopped)
    status, said = checked()
    assert status == 130
    assert said.endswith("\nStopped.\n")


@pytest.mark.long
def test_what_finished_earlier_is_not_taken(checked: Bench, monkeypatch: pytest.MonkeyPatch):
    """Finished runs of the suite in the results' folder are of the code as it was."""
    arguments = ["--suite", str(checked.folder / "tiny.toml"), "--results", str(checked.results)]
    assert run.main([*arguments, "--executor", "serial"]) == 0
    monkeypatch.setattr(Gaussian, "log_prob", wrong_constant)
    assert checked()[0] == 1
    assert checked("--read")[0] == 0


def test_defaults_are_told():
    """The help's number of seeds is the constant."""
    text = Path(check.__file__).read_text(encoding="utf-8")
    assert f"with --update 0 to {check.SEEDS - 1})" in text


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_other_seeds_really():
    """The smoke suite with 20 other pairs of seeds, trained and evaluated, against the project's baseline."""
    said = {first: main(smoke("--seeds", str(first), str(first + 1))) for first in range(1000, 1040, 2)}
    assert set(said.values()) == {0}, said


def smoke(*arguments: str) -> list[str]:
    return ["--suite", "smoke", "--baseline", str(SMOKE), *arguments]
