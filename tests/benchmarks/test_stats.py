"""Comparisons over seeds against scipy, enumeration, examples by hand, printed tables and simulated error rates."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics.paired import (
    LEAST_PAIRS,
    LEVEL,
    PAIR_LEVEL,
    POWER,
    Comparison,
    bold,
    compare,
    detectable,
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


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_a_detectable_difference_is_shown_as_often_as_said(random: np.random.Generator, n: int) -> None:
    """Differences with a standard deviation of 2, in 4000 tests."""
    effect = detectable(2 / math.sqrt(n), n)
    differences = effect + 2 * random.normal(size=(4000, n))
    p = stats.ttest_1samp(differences, 0, axis=1).pvalue
    assert np.mean(p <= PAIR_LEVEL) == pytest.approx(POWER, abs=4 * math.sqrt(0.16 / 4000))
    assert detectable(2 / math.sqrt(n), n, LEVEL) < effect


def test_a_tie_takes_seeds_that_would_show_three_deviations(random: np.random.Generator) -> None:
    """At LEVEL with probability 80 %, of two independent runs a seed."""
    reach = [math.sqrt(2) * detectable(1 / math.sqrt(n), n, LEVEL) for n in (LEAST_PAIRS - 1, LEAST_PAIRS)]
    assert reach == pytest.approx([4.62, 3.01], abs=0.01)
    assert math.isnan(detectable(1.0, 1))


@pytest.mark.parametrize(("direction", "best", "worst"), [("lower", "a", "c"), ("higher", "c", "a")])
def test_a_planted_difference_is_found(random: np.random.Generator, direction: str, best: str, worst: str) -> None:
    """a and b are alike, c is 5 standard deviations above; what seeds share is far larger, and pairing removes it."""
    table = random.normal(size=(3, 12)) + 100 * random.normal(size=12) + np.array([[-0.5], [0], [5]])
    result = compare(by_seed(table), direction)
    assert result[best].verdict == "best"
    assert result[worst].verdict == "worse"
    assert result[worst].difference == pytest.approx((table[2] - table[0]).mean() * (1 if worst == "c" else -1))
    assert result[worst].error == pytest.approx(stats.sem(table[2] - table[0]))
    assert result[worst].p == pytest.approx(stats.ttest_rel(table[2], table[0]).pvalue)
    assert result[worst].detectable == pytest.approx(detectable(result[worst].error, 12))
    assert result["b"].verdict == ("tied" if direction == "lower" else "worse")


def test_a_pair_is_tested_on_the_seeds_that_it_shares() -> None:
    values = {"a": {0: 2.0, 1: 2.0, 2: 4.0, 3: 1.0}, "b": {1: 3.0, 2: 5.5, 3: 2.5, 7: 90.0}, "c": {9: -9.0}}
    result = compare(values, "lower")
    assert [result[method].verdict for method in "abc"] == ["best", "undecided", "undecided"]
    assert result["b"][:3] == pytest.approx(("a", 4 / 3, stats.sem([1, 1.5, 1.5])))
    assert (result["a"].n, result["b"].n, result["c"].n) == (0, 3, 0)
    assert result["b"].note == "3 seeds are too few for a tie: at least 4 are needed"
    assert result["c"].note == "it shares no seed with the best"


def test_few_seeds_make_no_best_and_more_than_enough_no_claim() -> None:
    """Nor do they hide that they are better where they are held against the best."""
    values = {"a": {i: float(i) for i in range(5)}, "lucky": {0: -9.0, 1: -9.5}}
    lucky = compare(values, "lower")["lucky"]
    assert (lucky.verdict, lucky.n) == ("undecided", 2)
    better = {i: i - 9 + 0.01 * i**2 for i in range(4)}
    assert compare(values | {"lucky": better}, "lower")["lucky"].verdict == "better"
    many = {"many": {i: 50.0 + i**2 for i in range(9)}}
    assert compare(values | many, "lower")["many"].verdict == "best"
    assert compare(values | many, "lower", enough=5)["a"].verdict == "best"


def test_what_equals_the_best_has_its_mark() -> None:
    """Such as shares that are 0 for both, whatever their order in the table; what is equal on fewer seeds is tied with
    it, however few. A constant difference is none that a test can judge."""
    values = {"a": {0: 0.0, 1: 0.0}, "b": {0: 0.0, 1: 0.0}, "c": {0: 1.0, 1: 1.0}, "d": {1: 0.0}, "e": {1: 3.0}}
    for order in ("abcde", "edcba"):
        found = compare({method: values[method] for method in order}, "lower")
        assert [found[method].verdict for method in "abcde"] == ["best", "best", "undecided", "tied", "undecided"]
    assert found["d"].note == "equal with every shared seed"
    same_mean = compare({"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.3, 1: 0.1, 2: 0.2}, "c": {0: 1.0}}, "lower")
    assert [same_mean[method].verdict for method in "ab"] == ["best", "best"]


def test_between_the_levels_nothing_is_decided() -> None:
    """t of five seeds is 2.78 at 0.05 and 7.17 at 0.002."""
    noise = np.array([-1, -0.5, 0, 0.5, 1.0])
    scale = stats.sem(noise)
    for t, verdict in ((2.7, "tied"), (2.8, "undecided"), (7.1, "undecided"), (7.2, "worse")):
        found = compare(by_seed(np.stack([np.zeros(5), noise + t * scale])), "lower")["b"]
        assert (found.verdict, found.note) == (verdict, "")


def test_few_seeds_leave_open_what_is_not_worse(random: np.random.Generator) -> None:
    single = compare(by_seed(random.normal(size=(3, 1))), "lower")
    assert sorted(one.verdict for one in single.values()) == ["best", "undecided", "undecided"]
    assert "one seed shows no spread: at least 2 are needed" in {one.note for one in single.values()}
    three = by_seed(random.normal(size=(3, 3)) + np.array([[0], [1], [1e4]]))
    assert [one.verdict for one in compare(three, "lower").values()] == ["best", "undecided", "worse"]


def family(random: np.random.Generator) -> dict[str, dict[int, float]]:
    """Methods with seeds missing here and there, some values equal, around what their seeds share."""
    methods, seeds = random.integers(3, 13), random.integers(2, 10)
    shared, skill = 5 * random.normal(size=seeds), random.normal(size=methods) * random.choice([0, 1, 5])
    table = shared + skill[:, None] + random.normal(size=(methods, seeds))
    table = table.round(1) if random.uniform() < 0.3 else table
    there = random.uniform(size=table.shape) < 0.85
    there[0] = there[:, 0] = True
    return {f"m{i}": {j: table[i, j].item() for j in range(seeds) if there[i, j]} for i in range(methods)}


def told(found: dict[str, Comparison], *methods: str) -> dict[str, str]:
    return {method: str(found[method]) for method in methods}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_no_verdict_moves_with_what_else_is_in_the_table(seed: int, direction: str) -> None:
    """Methods that are not the best are left out one by one and all at once, and methods with fewer seeds are added,
    whatever they are worth: the others' differences, p, seeds and verdicts stay as they are."""
    random = np.random.default_rng(seed)
    values = family(random)
    found = compare(values, direction)
    (reference,) = (method for method, one in found.items() if not one.against)
    for method, one in found.items():
        if one.against:
            assert (one.against, one.n) == (reference, len({*values[method]} & {*values[reference]}))
            rest = {other: own for other, own in values.items() if other != method}
            assert told(compare(rest, direction), *rest) == told(found, *rest)
            alone = compare({name: values[name] for name in values if name in (reference, method)}, direction)
            assert told(alone, method) == told(found, method)
    fewer = len(values[reference]) - 1
    for size, shift in zip(random.integers(1, fewer + 1, size=8), 100.0 * random.normal(size=8), strict=True):
        added = {int(i): shift + random.normal() for i in random.choice(12, size, replace=False)}
        larger = compare({"new": added} | values | {"last": added}, direction)
        assert told(larger, *values) == told(found, *values)
        assert larger["new"].n == len({*added} & {*values[reference]})


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


@pytest.mark.long
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
        (lambda: compare({"a": {0: 1}}, "none"), "'lower' or 'higher', not 'none'"),
        (lambda: compare({"a": {0: 1}, "b": {0: math.nan}}, "lower"), "must be .* 1 nan"),
        (lambda: bold([1, 2], [1, 1], 1, "lower"), "at least 2 for every method, not 1"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
