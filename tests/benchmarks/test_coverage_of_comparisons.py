"""How often comparisons are right, by simulation: intervals of paired differences, tables of equal methods, verdicts
beside papers, and repeats under an unchanged law."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.config import suite
from benchmarks.config.suite import Request
from benchmarks.statistics.paired import LEVEL, compare
from benchmarks.tables import drift
from benchmarks.tables.drift import COLUMNS, FINE

pytestmark = pytest.mark.slow

Draw = Callable[..., np.ndarray]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


LAWS: dict[str, Callable[[np.random.Generator], Draw]] = {
    "normal": lambda random: random.standard_normal,
    "heavy tails": lambda random: lambda size: random.standard_t(4, size),
    "tails": lambda random: lambda size: random.standard_t(drift.TAILS, size),
}


def by_seed(table: np.ndarray) -> dict[str, dict[int, float]]:
    """Values (methods, seeds) as `compare` takes them."""
    return {f"m{i}": dict(enumerate(row.tolist())) for i, row in enumerate(table)}


# Paired differences


@pytest.mark.parametrize("law", ["normal", "heavy tails"])
@pytest.mark.parametrize("n", [3, 5, 8])
def test_intervals_cover_the_difference(random: np.random.Generator, law: str, n: int):
    """difference ± t s.e. as a table has them, at 95 %, of two methods that are 2 apart, in 400 tables."""
    draw, quantile, covered = LAWS[law](random), stats.t.isf(0.025, n - 1), 0
    for _ in range(400):
        shared, table = 10 * draw(size=n), draw(size=(2, n)) + np.array([[0], [2]])
        (found,) = (one for one in compare(by_seed(shared + table), "lower").values() if one.against)
        truth = 2 if found.against == "m0" else -2
        covered += abs(found.difference - truth) <= quantile * found.error
    assert 0.88 <= covered / 400 <= 0.99


@pytest.mark.parametrize("law", ["normal", "heavy tails"])
@pytest.mark.parametrize("n", [3, 5, 8])
def test_ten_equal_methods(random: np.random.Generator, law: str, n: int):
    """One or more is called worse in 5 % of 2000 tables at most, as `compare` says, but for the simulation's error, and
    ten others that are bad change nothing of it. At 5 % a pair it would be half of the tables."""
    draw = LAWS[law](random)
    alarms, apart = 0, 0
    for i in range(2000):
        equal = draw(size=(10, n)) + 5 * draw(size=n)
        found = compare(by_seed(equal), "lower")
        worse = {method for method, one in found.items() if one.verdict == "worse"}
        alarms += bool(worse)
        apart += any(one.p <= LEVEL for one in found.values())
        if i < 200:
            again = compare(by_seed(np.concatenate([equal, draw(size=(10, n)) + 100])), "lower")
            assert worse == {method for method in found if again[method].verdict == "worse"}
    assert alarms / 2000 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
    assert apart / 2000 > 0.35


@pytest.mark.parametrize(("methods", "n", "effect", "most"), [(3, 3, 5.0, 0.0), (10, 5, 3.0, 0.2), (3, 5, 3.0, 0.2)])
def test_ties_are_not_said_for_want_of_seeds(random: np.random.Generator, methods: int, n: int, effect: float, most):
    """One of the methods is `effect` standard deviations of a run worse: how often it is called tied in 1000 tables."""
    tied = 0
    for _ in range(1000):
        table = random.normal(size=(methods, n)) + 5 * random.normal(size=n)
        table[-1] += effect
        tied += compare(by_seed(table), "lower")[f"m{methods - 1}"].verdict == "tied"
    assert tied / 1000 <= most


# Beside a paper


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("runs", [0, 3, 8])
def test_verdicts_under_equality(random: np.random.Generator, n: int, runs: int):
    """A paper's figure of our own law, with a spread over its runs or (0) without: `differs` is said of about 5 %."""
    source = suite.read("iop-table2").published[0].model_copy(update={"runs": max(1, runs)})
    (run, *_) = suite.expand(suite.read("iop-table2"), Request(datasets=("freyfaces",), methods=("gaussian",)))
    differs = 0
    for _ in range(4000):
        ours, theirs = random.normal(size=n), random.normal(size=max(1, runs))
        std = ours.std(ddof=1)
        row = {"status": "ok", "n": n, "mean": ours.mean(), "std": std, "stderr": std / math.sqrt(n)}
        printed = {"metric": "log_likelihood", "value": theirs.mean(), "decimals": 6, "note": ""}
        printed["std"] = theirs.std(ddof=1) if runs else math.nan
        differs += source.judged(printed, run, row)["verdict"] == "differs"
    assert 0.025 < differs / 4000 < 0.075


# Against a baseline


@pytest.mark.parametrize("law", ["normal", "tails"])
@pytest.mark.parametrize(("many", "n"), [(32, 2), (32, 5), (12, 2)])
def test_repeats_of_an_unchanged_suite(random: np.random.Generator, law: str, many: int, n: int):
    """60 independent figures, and the level of which an unchanged suite may be called changed: it is no more than that,
    in 400 repeats."""
    draw, level, alarms = LAWS[law](random), 0.05, 0
    for _ in range(400):
        seeds = draw(size=(60, many + n))
        found = drift.compare(frame(seeds[:, :many]), frame(seeds[:, many:]), level)
        alarms += any(one.verdict not in FINE for one in found)
    assert alarms / 400 < level + 3 * math.sqrt(level * (1 - level) / 400)


def frame(values: np.ndarray) -> pd.DataFrame:
    """A table of figures over seeds, (figures, seeds)."""
    plain = dict.fromkeys(COLUMNS, "") | {"metric": "nll", "direction": "lower", "status": "ok", "n": values.shape[1]}
    std = values.std(axis=1, ddof=1)
    table = pd.DataFrame([plain] * len(values)).assign(mean=values.mean(axis=1), std=std, estimator=range(len(values)))
    return table.assign(stderr=std / math.sqrt(values.shape[1]))
