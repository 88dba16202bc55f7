"""Comparisons over data sets against scipy, Demsar's (2006) worked example and critical values, and enumeration."""

from __future__ import annotations

import math
from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics.ranks import cliques, critical_difference, friedman

DEMSAR = np.array(
    [
        *([4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1]),
        *([2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3]),
        [3, 1, 4, 2],
    ]
)
"""Ranks of four decision trees on 14 data sets (Demsar 2006, Table 6)."""


def test_demsars_example() -> None:
    """Average ranks, chi^2 = 9.28 and F = 3.69 as printed. These leave ties out of the variance, 63.5 of 14 x 5."""
    result = friedman(DEMSAR, "lower")
    assert result.average_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    printed = result.chi2 * 63.5 / 70
    assert printed == pytest.approx(9.28, abs=5e-3)
    assert 13 * printed / (14 * 3 - printed) == pytest.approx(3.69, abs=5e-3)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    assert critical_difference(4, 14, 0.1) == pytest.approx(1.12, abs=5e-3)


def test_demsars_groups() -> None:
    """At 10 % the plain tree (0) is worse than both with tuned m (1, 3), and that with tuned cf (2) could be of either
    group; at 5 % nothing is told apart."""
    ranks = friedman(DEMSAR, "lower").average_ranks
    assert cliques(ranks, critical_difference(4, 14, 0.1)) == [(3, 1, 2), (2, 0)]
    assert cliques(ranks, critical_difference(4, 14)) == [(3, 1, 2, 0)]


def test_demsars_critical_values() -> None:
    printed = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    found = [critical_difference(k, 1) / math.sqrt(k * (k + 1) / 6) for k in range(2, 11)]
    assert found == pytest.approx(printed, abs=1e-3)
    assert found[0] == pytest.approx(stats.norm.ppf(0.975))


@pytest.mark.parametrize("round_to", [0, 8])
def test_friedman_is_scipys_and_an_analysis_of_variance(round_to: int) -> None:
    """With ties and without. F is that of methods against what methods and data sets leave, over the ranks."""
    scores = np.random.default_rng(0).normal(size=(9, 5)).round(round_to)
    result = friedman(scores, "lower")
    assert result.chi2 == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)
    ranks = stats.rankdata(scores, axis=1)
    residual = ranks - ranks.mean(0) - ranks.mean(1, keepdims=True) + ranks.mean()
    f = 9 * ranks.mean(0).var(ddof=1) / ((residual**2).sum() / (4 * 8))
    assert result.f == pytest.approx(f)
    assert result.p == pytest.approx(stats.f.sf(f, 4, 32))


def test_direction_decides_which_rank_is_first() -> None:
    scores = [[1, 2, 3], [10, 20, 30], [5, 6, 6]]
    assert friedman(scores, "lower").average_ranks == pytest.approx([1, 13 / 6, 17 / 6])
    assert friedman(scores, "higher").average_ranks == pytest.approx([3, 11 / 6, 7 / 6])


def test_incomplete_data_sets_are_left_out() -> None:
    scores = np.random.default_rng(0).normal(size=(6, 3))
    holes = scores.copy()
    holes[1, 2] = holes[4] = math.nan
    result = friedman(holes, "lower")
    assert (result.left_out, result.datasets) == ((1, 4), 4)
    assert result.f == friedman(scores[[0, 2, 3, 5]], "lower").f


@pytest.mark.parametrize("datasets", [2, 3])
def test_full_agreement_has_the_p_of_permutations(datasets: int) -> None:
    """F is infinite there, but as many of the (k!)^N arrangements agree as there are orders, k!."""
    result = friedman([[1, 2, 3]] * datasets, "lower")
    chi2 = [
        stats.friedmanchisquare(*zip(*rows, strict=True)).statistic
        for rows in product(permutations([1, 2, 3]), repeat=datasets)
    ]
    assert result.f == math.inf
    assert result.p == pytest.approx(np.mean(np.array(chi2) > result.chi2 - 1e-9))


def test_ties_everywhere_show_nothing() -> None:
    result = friedman(np.ones((4, 3)), "lower")
    assert (result.chi2, result.f, result.p) == (0, 0, 1)


@pytest.mark.long
def test_equal_methods_are_told_apart_in_5_percent_of_tables() -> None:
    """By F, and by any pair of average ranks that is a critical difference apart."""
    tables = [friedman(scores, "lower") for scores in np.random.default_rng(0).normal(size=(2000, 15, 5))]
    apart = critical_difference(5, 15)
    noise = 4 * math.sqrt(0.05 * 0.95 / 2000)
    assert abs(np.mean([one.p <= 0.05 for one in tables]) - 0.05) < noise
    assert abs(np.mean([np.ptp(one.average_ranks) >= apart for one in tables]) - 0.05) < noise


def test_cliques_are_the_maximal_sets() -> None:
    """Of all subsets: those whose ranks are all within the difference, and that are in no larger one."""
    random = np.random.default_rng(0)
    for _ in range(50):
        ranks, apart = random.integers(0, 12, size=6) / 2, random.integers(0, 8) / 2
        near = [
            set(group)
            for size in range(2, 7)
            for group in combinations(range(6), size)
            if np.ptp(ranks[list(group)]) < apart
        ]
        maximal = [group for group in near if not any(group < other for other in near)]
        found = cliques(ranks, apart)
        assert sorted(map(sorted, found)) == sorted(map(sorted, maximal))
        assert all(list(group) == sorted(group, key=lambda i: (ranks[i], i)) for group in found)


@pytest.mark.parametrize(
    ("scores", "direction", "message"),
    [
        ([[1, 2, 3]], "lower", "not of 1, 3"),
        ([[1, 2, 3], [1, math.nan, 2]], "lower", "not of 1, 3"),
        ([[1, 2], [1, 2]], "lower", "not of 2, 2"),
        ([[1, 2, 3], [1, 2, 3]], "none", "'lower' or 'higher', not 'none'"),
    ],
)
def test_errors(scores: list[list[float]], direction: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        friedman(scores, direction)
