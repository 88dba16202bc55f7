"""Comparisons over seeds against scipy, enumeration, examples by hand, printed tables and simulated error rates."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from benchmarks.stats import (
    bold,
    compare,
    holm,
    least_p,
    least_seeds,
    paired_images,
    paired_t,
    summarise,
    wilcoxon,
)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def by_seed(table: np.ndarray) -> dict[str, dict[int, float]]:
    """Values (methods, seeds) as `compare` takes them; methods are called a, b, c, ..."""
    return {chr(97 + i): dict(enumerate(row.tolist())) for i, row in enumerate(table)}


def enumerated(d: np.ndarray) -> float:
    """Two-sided p of W = sum sign(d) rank(|d|) over all 2^n signs, for differences without zeros."""
    ranks = stats.rankdata(abs(d))
    law = np.array([np.dot(signs, ranks) for signs in product((-1, 1), repeat=len(d))])
    return np.mean(abs(law) >= abs(np.sign(d) @ ranks)).item()


def test_summary_by_hand() -> None:
    assert summarise([1, 2, 6]) == pytest.approx((3, math.sqrt(7), math.sqrt(7 / 3), 3))


def test_one_seed_has_no_spread() -> None:
    assert summarise([2.5]) == pytest.approx((2.5, math.nan, math.nan, 1), nan_ok=True)


def test_images_of_two_models() -> None:
    """Mean and standard error of the differences, which the images' own spread is not in."""
    assert paired_images([10, 21, 32, 43], [9, 20, 30, 43]) == pytest.approx((1, math.sqrt(2 / 3), math.sqrt(1 / 6), 4))


@pytest.mark.parametrize("n", [2, 5, 40])
def test_paired_t_is_scipys(random: np.random.Generator, n: int) -> None:
    a, b = random.normal(size=(2, n))
    test, expected = paired_t(a, b), stats.ttest_rel(a, b)
    assert (test.statistic, test.p, test.n) == pytest.approx((expected.statistic, expected.pvalue, n), rel=1e-12)
    assert paired_t(b, a).statistic == -test.statistic


@pytest.mark.parametrize("n", [1, 5, 8, 30])
def test_wilcoxon_is_scipys(random: np.random.Generator, n: int) -> None:
    """The smaller of the rank sums, which scipy gives, is (n (n + 1) / 2 - |W|) / 2."""
    a, b = random.normal(size=(2, n))
    test, expected = wilcoxon(a, b), stats.wilcoxon(a, b, method="exact")
    assert test.p == pytest.approx(expected.pvalue)
    assert (n * (n + 1) / 2 - abs(test.statistic)) / 2 == expected.statistic
    assert wilcoxon(b, a).statistic == -test.statistic


@pytest.mark.parametrize("d", [[1, 2, 3, -4, 5, 6], [1, 1, 2, -2, 3, 3, 3], [0, 0, 1, 2, 3, 4, 5, 6], [-1, -1, 0, -1]])
def test_wilcoxon_is_exact_with_ties_and_zeros(d: list[int]) -> None:
    test, rest = wilcoxon(d, np.zeros(len(d))), np.array([x for x in d if x])
    assert (test.p, test.n) == (pytest.approx(enumerated(rest)), len(rest))


@pytest.mark.parametrize("n", range(1, 9))
def test_least_p_is_reached_where_all_signs_agree(n: int) -> None:
    assert wilcoxon(range(1, n + 1), [0] * n).p == pytest.approx(least_p(n)) == min(1, 2 / 2**n)


def test_least_seeds() -> None:
    for level in (1, 0.5, 0.0625, 0.05, 0.05 / 45, 1e-6):
        n = least_seeds(level)
        assert least_p(n) <= level
        assert n == 1 or least_p(n - 1) > level


def test_a_test_without_power_says_so() -> None:
    assert wilcoxon(range(5), [9] * 5).note == "5 seeds cannot give p below 0.0625: at least 6 are needed"
    assert wilcoxon(range(6), [9] * 6).note == ""
    without = wilcoxon([0, 1, 2, 3, 4, 5], [0] * 6)
    assert without.note.startswith("left out 1 of 6 seeds, without a difference; 5 seeds cannot give p below 0.0625")
    assert wilcoxon([1, 2], [1, 2]).p == 1
    assert wilcoxon([1], [2]).note.startswith("1 seed cannot")


@pytest.mark.parametrize(("a", "b"), [([1], [2]), ([1, 2, 3], [1, 2, 3]), ([0.1, 0.2, 0.7], [0.3, 0.4, 0.9])])
def test_t_without_spread_is_nan_with_a_note(a: list[float], b: list[float]) -> None:
    test = paired_t(a, b)
    assert math.isnan(test.p)
    assert test.note


def test_holm_by_hand() -> None:
    """Ordered .01, .02, .022, .09: times 4, 3, 2, 1 is .04, .06, .044, .09, and the third may not be below the second.
    Above 1 they are cut, and a test that was not made counts for nothing."""
    assert holm([0.022, 0.01, 0.09, 0.02]) == pytest.approx([0.06, 0.04, 0.09, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([math.nan, 0.01, 0.04]) == pytest.approx([math.nan, 0.02, 0.04], nan_ok=True)


def test_holm_rejects_what_its_definition_does(random: np.random.Generator) -> None:
    """Step down: go on while the smallest p left is at most level / (number left)."""
    for p in random.uniform(size=(200, 6)) ** 4:
        left, rejected = list(range(6)), set()
        while left and p[i := min(left, key=p.__getitem__)] <= 0.05 / len(left):
            left.remove(i)
            rejected.add(i)
        assert set(np.flatnonzero(holm(p) <= 0.05).tolist()) == rejected


@pytest.mark.parametrize(("direction", "best", "worst"), [("lower", "a", "c"), ("higher", "c", "a")])
@pytest.mark.parametrize("test", [paired_t, wilcoxon])
def test_a_planted_difference_is_found(random: np.random.Generator, direction, best, worst, test) -> None:
    """a and b are alike, c is 3 standard deviations above; what seeds share is far larger, and pairing removes it."""
    table = random.normal(size=(3, 12)) + 100 * random.normal(size=12) + np.array([[-0.5], [0], [3]])
    result = compare(by_seed(table), direction, test=test)
    assert result[best].verdict == "best"
    assert result[worst].verdict == "worse"
    assert result[worst].difference == pytest.approx((table[2] - table[0]).mean() * (1 if worst == "c" else -1))
    assert result[worst].error == pytest.approx(stats.sem(table[2] - table[0]))
    assert result["b"].verdict == ("tied" if direction == "lower" else "worse")


def test_p_is_adjusted_over_all_pairs_unless_the_reference_was_named(random: np.random.Generator) -> None:
    table = random.normal(size=(4, 10)) + 0.7 * np.arange(4)[:, None]
    every = {pair: stats.ttest_rel(*table[list(pair)]).pvalue for pair in combinations(range(4), 2)}
    adjusted = dict(zip(every, holm(list(every.values())), strict=True))
    result = compare(by_seed(table), "higher")
    assert [result[m].p for m in "abc"] == pytest.approx([adjusted[i, 3] for i in range(3)])
    named = compare(by_seed(table), "higher", reference="a")
    assert [named[m].p for m in "bcd"] == pytest.approx(holm([every[0, i] for i in (1, 2, 3)]))
    assert (named["a"].verdict, named["d"].verdict) == ("reference", "better")
    assert compare(by_seed(table), "lower", reference="a")["d"].verdict == "worse"


def test_only_common_seeds_are_compared() -> None:
    values = {"a": {3: 1.0, 1: 2.0, 2: 4.0, 9: -999.0}, "b": {1: 3.0, 2: 5.5, 3: 2.5}}
    result = compare(values, "lower")
    assert (result["a"].verdict, result["b"].n) == ("best", 3)
    assert result["b"][:2] == pytest.approx((4 / 3, stats.sem([1, 1.5, 1.5])))


def test_what_equals_the_best_with_every_seed_is_tied() -> None:
    """Such as shares that are 0 for both; a constant difference is none that a test can judge."""
    found = compare({"a": {0: 0.0, 1: 0.0}, "b": {0: 0.0, 1: 0.0}, "c": {0: 1.0, 1: 1.0}}, "lower")
    assert [found[method].verdict for method in "abc"] == ["best", "tied", "undecided"]


def test_too_few_seeds_leave_everything_undecided() -> None:
    table = 10.0 * np.arange(5)[:, None] + np.random.default_rng(1).normal(size=(5, 8))
    short = compare(by_seed(table), "lower", test=wilcoxon)
    assert [short[m].verdict for m in "abcde"] == ["best"] + 4 * ["undecided"]
    assert short["e"].note == "8 seeds cannot give p below 0.078125 among 10 comparisons: at least 9 are needed"
    assert compare(by_seed(table), "lower", "a", test=wilcoxon)["e"].verdict == "worse"  # 4 / 128 is within reach
    single = compare(by_seed(table[:, :1]), "lower")
    assert {single[m].verdict for m in "bcde"} == {"undecided"}
    assert single["b"].note == "one seed shows no spread: at least 2 are needed"


@pytest.mark.parametrize(("methods", "low", "high"), [(2, 0.036, 0.064), (5, 0.02, 0.06)])
def test_equal_methods_are_called_worse_in_5_percent_of_tables(random, methods: int, low: float, high: float) -> None:
    """Any of them, in 1,500 tables of 8 seeds. Of five, it would be 27 % unadjusted and 8.5 % adjusted over 4 pairs."""
    tables = random.normal(size=(1500, methods, 8)) + random.normal(size=(1500, 1, 8))
    verdicts = [{one.verdict for one in compare(by_seed(table), "lower").values()} for table in tables]
    assert low < np.mean(["worse" in found for found in verdicts]) < high


TABLE_2 = {
    "mnist": ([-85.84, -83.90, -83.21], [0.07, 0.08, 0.13], [False, False, True]),
    "omniglot": ([-111.39, -110.53, -108.48], [0.11, 0.09, 0.16], [False, False, True]),
    "freyfaces": ([1382.53, 1392.62, 1396.27], [3.57, 6.25, 2.75], [False, True, True]),
    "histopathology": ([1081.53, 1083.11, 1087.42], [0.70, 2.10, 0.60], [False, False, True]),
}
"""Takahashi et al. (2019): standard, VampPrior and implicit optimal prior, eight runs, and what is printed bold."""


@pytest.mark.parametrize("dataset", TABLE_2)
def test_bold_figures_are_the_papers(dataset: str) -> None:
    means, stds, printed = TABLE_2[dataset]
    assert bold(means, stds, 8, "higher").tolist() == printed
    assert bold(-np.array(means), stds, [8, 8, 8], "lower").tolist() == printed


def test_bold_is_welchs_test_of_runs(random: np.random.Generator) -> None:
    runs = random.normal(size=(200, 2, 5)) * [[1], [4]] + [[0], [4]]
    expected = [stats.ttest_ind(*pair, equal_var=False).pvalue >= 0.05 for pair in runs]
    found = [bold(pair.mean(1), pair.std(1, ddof=1), 5, "lower").all() for pair in runs]
    assert found == expected
    assert found != [stats.ttest_ind(*pair).pvalue >= 0.05 for pair in runs]


def test_bold_of_runs_without_spread() -> None:
    assert bold([1, 1, 2], [0, 0, 0], 3, "lower").tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_t([1, 2], [1]), "same length and order, but a has 2, b has 1"),
        (lambda: wilcoxon([1, math.nan], [1, 2]), r"a must be .* \(2,\) with 1 nan"),
        (lambda: paired_images([1, 2], [1, math.inf]), "b must be .* with 1 nan"),
        (lambda: summarise([]), r"one at least, but has shape \(0,\)"),
        (lambda: summarise([[1, 2]]), r"has shape \(1, 2\)"),
        (lambda: compare({"a": {0: 1}, "b": {1: 1}}, "lower"), "a, b share none"),
        (lambda: compare({}, "lower"), "no methods share none"),
        (lambda: compare({"a": {0: 1}}, "none"), "'lower' or 'higher', not 'none'"),
        (lambda: compare({"vampprior": {0: 1}}, "lower", "vamp"), "Unknown method 'vamp'. Did you mean 'vampprior'"),
        (lambda: bold([1, 2], [1, 1], 1, "lower"), "at least 2 for every method, not 1"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
