"""When a table has moved from its baseline: the test's level and power, and the verdict on every kind of row."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.tables import LEVEL
from benchmarks.tables.drift import COLUMNS, FINE, compare, tolerance

SMOKE = Path(__file__).parents[2] / "results" / "baselines" / "smoke.csv"


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
