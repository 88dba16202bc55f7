"""The command `python -m benchmarks.check`: what it calls changed, what it does not, and how it says so."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from benchmarks import check, run
from benchmarks.check import COLUMNS, FINE, LEVEL, compare, main, tolerance
from benchmarks.executors import EXECUTORS, serial
from priors.gaussian import Gaussian
from priors.normal import log_standard_normal
from workbench import TINY, Workbench, write

SMOKE = Path(__file__).parent.parent / "results" / "baselines" / "smoke.csv"

SHORT = (
    TINY.replace(', "vampprior"', "")
    .replace('"nll"', '"nll", "active_units"')
    .replace("seeds = 1", "seeds = 2")
    .replace("epochs = 2", "epochs = 1")
)


def row(values: Any = (1.0, 2.0), **more: Any) -> dict[str, Any]:
    """A row of a table with these values over seeds."""
    values = np.asarray(values, dtype=float)
    std = values.std(ddof=1) if len(values) > 1 else math.nan
    plain = dict.fromkeys(COLUMNS, "") | {"metric": "nll", "estimator": "exact", "direction": "lower", "status": "ok"}
    numbers = {"mean": values.mean(), "std": std, "n": len(values), "stderr": std / math.sqrt(len(values))}
    return plain | numbers | more


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def verdicts(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    return [one.verdict for one in compare(old, new)]


BASE = np.random.default_rng(1).normal(10.0, 0.5, 20)
"""A figure over a baseline's seeds."""


# The test's level and power


@pytest.mark.long
@pytest.mark.parametrize(("many", "n"), [(4, 1), (8, 2), (8, 8)])
def test_false_alarms_of_a_figure(many: int, n: int):
    """Normal figures are outside the tolerance as often as the level says, of whatever mean and spread."""
    generator = np.random.default_rng(0)
    draws = generator.normal(3.0, 2.0, (4000, many + n))
    outside = 0
    for seeds in draws:
        old, new = row(seeds[:many]), row(seeds[many:])
        outside += abs(new["mean"] - old["mean"]) > tolerance(old, new, 0.1)
    assert outside / len(draws) == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / len(draws)))


@pytest.mark.long
@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_false_alarms_of_a_suite(shared: float):
    """Some of 20 figures is called changed in at most the level's share of tries, however they depend."""
    generator = np.random.default_rng(0)
    tries, alarms = 150, 0
    for _ in range(tries):
        z = math.sqrt(shared) * generator.normal(size=(10, 1)) + math.sqrt(1 - shared) * generator.normal(size=(10, 20))
        old, new = (frame(*(row(v, method=str(i)) for i, v in enumerate(part.T))) for part in (z[:8], z[8:]))
        alarms += any(one.verdict not in FINE for one in compare(old, new, 0.2))
    low = 0.1 if shared == 0 else 0.0  # Bonferroni is nearly exact where rows are independent
    assert low < alarms / tries < 0.2 + 3 * math.sqrt(0.16 / tries)


def test_heavy_tails_are_allowed_for():
    """However many seeds the baseline has, they are not a normal law's."""
    old, new = row([9.0, 11.0], std=1.0, n=2000), row([10.0, 10.0])
    quantile = 5.4079  # of Student's law with 7 degrees of freedom at 0.9995, from tables; the normal law's is 3.29
    assert tolerance(old, new, 1e-3) == pytest.approx(quantile * math.sqrt(1 / 2 + 1 / 2000), abs=2e-4)


@pytest.mark.long
def test_other_seeds_of_the_smoke_suite():
    """20 tables drawn from the laws that the baseline tells, and none is called changed; one with a shift is."""
    old = pd.read_csv(SMOKE)
    generator = np.random.default_rng(0)
    for _ in range(20):
        mean = old["mean"] + old["std"] / math.sqrt(2) * generator.normal(size=len(old))
        assert set(verdicts(old, old.assign(mean=mean, n=old["n"].clip(upper=2)))) == {"same"}
    nll = (old["metric"] == "nll") & (old["estimator"] != "exact")
    found = verdicts(old, old.assign(mean=old["mean"] + 10 * old["std"] * nll, n=old["n"].clip(upper=2)))
    assert [word == "worse" for word in found] == nll.tolist()
    assert nll.sum() == 36


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_other_seeds_really():
    """The smoke suite with 20 other pairs of seeds, trained and evaluated, against the project's baseline."""
    said = {first: main(smoke("--seeds", str(first), str(first + 1))) for first in range(1000, 1040, 2)}
    assert set(said.values()) == {0}, said


def smoke(*arguments: str) -> list[str]:
    return ["--suite", "smoke", "--baseline", str(SMOKE), *arguments]


def test_one_seed_that_explodes_is_seen():
    """Its own spread does not hide it."""
    assert verdicts(frame(row(BASE)), frame(row([10.0, 1000.0]))) == ["worse"]


# Verdicts


@pytest.mark.parametrize(
    ("direction", "up", "down"),
    [("lower", "worse", "better"), ("higher", "better", "worse"), ("none", "moved", "moved")],
)
def test_better_and_worse(direction: str, up: str, down: str):
    old = frame(row(BASE, direction=direction))
    found = [compare(old, frame(row([value, value], direction=direction)))[0] for value in (20.0, 0.0, 10.0)]
    assert [one.verdict for one in found] == [up, down, "same"]
    assert found[0].tolerances > 1
    assert found[1].tolerances < -1
    assert abs(found[2].tolerances) < 1


def test_tolerances_are_the_unit():
    """The difference is told in units of the tolerance, and the verdict turns at one."""
    old = row(BASE)
    edge = tolerance(old, row([10.0, 10.0]), LEVEL) + old["mean"]
    for factor, verdict in ((0.999, "same"), (1.001, "worse")):
        value = old["mean"] + factor * (edge - old["mean"])
        (one,) = compare(frame(old), frame(row([value, value])))
        assert one.verdict == verdict
        assert one.tolerances == pytest.approx(factor, abs=1e-4)


def test_exact_figures_move_by_rounding_alone():
    old = frame(row([19.534572] * 20))
    assert verdicts(old, frame(row([19.534573] * 2))) == ["same"]
    assert verdicts(old, frame(row([19.536] * 2))) == ["worse"]
    assert verdicts(frame(row([0.0] * 20)), frame(row([0.0] * 2))) == ["same"]
    assert verdicts(frame(row([0.0] * 20)), frame(row([1e-9] * 2))) == ["worse"]


def test_counts_without_spread_move_by_a_step():
    """An active unit less in one of two seeds is no change, in both it is; so with an image in a hundred."""
    units = {"unit": "dimensions", "direction": "none"}
    old = frame(row([3.0] * 20, **units))
    assert verdicts(old, frame(row([3.0, 2.0], **units))) == ["same"]
    assert verdicts(old, frame(row([2.0, 2.0], **units))) == ["moved"]
    share = {"unit": "share"}
    old = frame(row([0.0] * 20, **share))
    assert verdicts(old, frame(row([0.0, 0.01], **share))) == ["same"]
    assert verdicts(old, frame(row([0.02, 0.01], **share))) == ["worse"]


ROWS = {  # by what happened: the baseline's row, the new one, and the verdicts
    "vanished": (row(BASE), None, ["vanished"]),
    "new": (None, row(), ["new"]),
    "new and failed": (None, row(status="failed", n=0), ["failed"]),
    "failed": (row(BASE), row(status="failed", n=0, estimator=math.nan), ["vanished", "failed"]),
    "not finite": (row(BASE), row([1.0, math.nan], status="diverged"), ["ok, now diverged"]),
    "unsupported": (row(BASE), row(status="unsupported", n=0), ["ok, now unsupported"]),
    "as unsupported as before": (row(status="unsupported", n=0), row(status="unsupported", n=0), ["same"]),
    "supported": (row(status="unsupported", n=0, estimator=math.nan), row(), ["gone", "new"]),
    "data": (row(BASE, protocol="a"), row([10.0, 10.0], protocol="b"), ["another protocol"]),
    "one seed": (row([10.0]), row([10.0, 90.0]), ["untested"]),
}


@pytest.mark.parametrize(("old", "new", "expected"), ROWS.values(), ids=ROWS)
def test_rows(old: dict[str, Any] | None, new: dict[str, Any] | None, expected: list[str]):
    assert verdicts(*(frame(*(one for one in [part] if one)) for part in (old, new))) == expected


def test_a_lost_seed_is_seen():
    """Unless the baseline's row lacks one as well."""
    whole, part = row(BASE), row(BASE[:19], method="other")
    found = frame(row([10.0, 10.0]), row([10.0], method="other"))
    assert verdicts(frame(whole, part), found) == ["same", "same"]
    assert verdicts(frame(whole, row(BASE, method="other")), found) == ["same", "seeds missing"]


# The command


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXECUTORS, "local", serial)
        arguments = ["--suite", str(folder / "tiny.toml"), "--results", str(folder), "--update"]
        assert main([*arguments, "--seeds", *map(str, range(12))]) == 0
    return folder / "baselines" / "tiny.csv"


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(EXECUTORS, "local", serial)
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
    assert said.endswith("error: A baseline takes 12 seeds, better 32, and these figures are of 2.\n")
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


def test_ctrl_c(checked: Bench, monkeypatch: pytest.MonkeyPatch):
    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(EXECUTORS, "local", stopped)
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
