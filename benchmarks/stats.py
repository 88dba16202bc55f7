"""Comparisons of methods over seeds: summaries, paired tests, and which methods tie with the best.

A seed is the unit of inference, and methods are paired by seed: n counts seeds, never images. nan and infinite values
are refused: what a diverged seed counts for is the caller's choice. Comparisons over data sets are in `ranks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from benchmarks.errors import unknown
from benchmarks.metrics.figure import Direction

LEVEL = 0.05
"""Probability of a false positive that tests allow."""


class Summary(NamedTuple):
    """Mean of n values, their standard deviation (n - 1), and the mean's standard error; nan where n = 1 shows none."""

    mean: float
    std: float
    error: float
    n: int


def summarise(values: ArrayLike) -> Summary:
    """Mean, standard deviation s = sqrt(sum (v - mean)^2 / (n - 1)) and standard error s / sqrt(n) over seeds, (n,)."""
    (values,) = numbers(values=values)
    n = len(values)
    std = values.std(ddof=1).item() if n > 1 else math.nan
    return Summary(values.mean().item(), std, std / math.sqrt(n), n)


def paired_images(a: ArrayLike, b: ArrayLike) -> Summary:
    """a - b over the images of one test set, by two models of one seed, (n,) each; `error` is over images.

    It is conditional on the two trained models: it tells whether these two differ on images of this law, not whether
    the methods that trained them do, which another seed may answer otherwise. It replaces no seeds.
    """
    a, b = numbers(a=a, b=b)
    return summarise(a - b)


# Tests of two methods


class PairedTest(NamedTuple):
    """A two-sided paired test of a - b. `statistic` is positive where `a` is larger; n counts the pairs that it used.

    least: the smallest p that it gives to n pairs, 1 where it cannot be made (p is then nan).
    note: why it cannot show a difference, or what it left out.
    """

    name: str
    statistic: float
    p: float
    n: int
    least: float
    note: str = ""


def paired_t(a: ArrayLike, b: ArrayLike) -> PairedTest:
    """Student's paired t test: t = mean(a - b) / standard error, n - 1 degrees of freedom; (n,) each.

    It takes the differences as normal, which few seeds cannot show. p is nan, and the note says why, for one pair and
    where the differences are equal up to the rounding of `a` and `b`.
    Raises ValueError where lengths differ or a value is not finite.
    """
    a, b = numbers(a=a, b=b)
    n = len(a)
    rounding = 8 * np.finfo(float).eps * max(abs(a).max(), abs(b).max())
    if n < 2 or np.ptp(a - b) <= rounding:
        why = "one seed shows no spread: at least 2 are needed" if n < 2 else "the differences of all seeds are equal"
        return PairedTest("paired t", math.nan, math.nan, n, 1.0, why)
    difference = summarise(a - b)
    t = difference.mean / difference.error
    return PairedTest("paired t", t, 2 * stats.t.sf(abs(t), n - 1).item(), n, 0.0)


def wilcoxon(a: ArrayLike, b: ArrayLike, level: float = LEVEL) -> PairedTest:
    """Wilcoxon's signed-rank test of W = sum sign(d) rank(|d|), d = a - b without its zeros; (n,) each.

    Exact up to 50 seeds where no |d| are equal, and up to 13 where some are (from scipy 1.15); then the normal
    approximation. It takes the differences as symmetric. The note says so where n seeds cannot reach `level`.
    Raises ValueError where lengths differ or a value is not finite.
    """
    a, b = numbers(a=a, b=b)
    d = (a - b)[a != b]
    n = len(d)
    statistic = (np.sign(d) * stats.rankdata(abs(d))).sum().item()
    p = stats.wilcoxon(d).pvalue.item() if n else 1.0
    notes = [f"left out {len(a) - n} of {len(a)} seeds, without a difference"] if n < len(a) else []
    notes += [too_few(n, level)] if least_p(n) > level else []
    return PairedTest("Wilcoxon", statistic, p, n, least_p(n), "; ".join(notes))


def least_p(n: int) -> float:
    """2^(1-n): the smallest two-sided p of the signed-rank test, that of n differences which all have one sign."""
    return min(1.0, 2.0 ** (1 - n))


def least_seeds(level: float) -> int:
    """The smallest n with least_p(n) <= level: 6 for 0.05."""
    return math.ceil(1 - math.log2(level))


def too_few(n: int, level: float, family: int = 1) -> str:
    """That n seeds cannot reach `level` by the signed-rank test, in a family of comparisons."""
    among = f" among {family} comparisons" if family > 1 else ""
    least = min(1.0, family * least_p(n))
    seeds, needed = "seed" if n == 1 else "seeds", least_seeds(level / family)
    return f"{n} {seeds} cannot give p below {least:g}{among}: at least {needed} are needed"


# Several methods


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's (1979) adjusted p values, (m,): rejecting those <= level makes any error with probability <= level.

    In ascending order max_{j <= i} min(1, (m - j + 1) p_(j)), whatever the tests' dependence. nan, a test that could
    not be made, stays nan and does not count in m.
    """
    p = np.asarray(p, dtype=float)
    order = p.argsort()  # nan last
    factors = np.isfinite(p).sum() - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(factors * p[order]).clip(max=1)
    return adjusted


class Comparison(NamedTuple):
    """A method against the reference: mean difference (method - reference), its standard error, adjusted p, n seeds.

    verdict: of the reference itself, untested, 'best' (by its mean) or 'reference' (named); 'worse' or 'better' where
    adjusted p <= level; 'tied' where the values are the same, or the test could have shown a difference and did not,
    which proves no equality (`error` tells how much it may have missed); 'undecided' where it could not have: the note
    says why.
    """

    difference: float
    error: float
    p: float
    n: int
    verdict: str
    note: str = ""


def compare(
    values: Mapping[str, Mapping[int, float]],
    direction: Direction,
    reference: str | None = None,
    test: Callable[[ArrayLike, ArrayLike], PairedTest] = paired_t,
    level: float = LEVEL,
) -> dict[str, Comparison]:
    """Every method against the one of the best mean, or against `reference`, over the seeds that all methods have.

    Some method that is as good as the reference is called worse or better with probability <= level. The best is chosen
    by the values that are then tested, so p is adjusted over all m (m - 1) / 2 pairs: over the m - 1 with the best
    alone, 5 % would be 12 % for ten equal methods. A reference named in advance takes m - 1.

    values: by method, then seed. Raises ValueError for an unknown reference and where methods share no seed.
    """
    better, scores = sign(direction), on_common_seeds(values)
    if reference is not None and reference not in scores:
        raise unknown("method", reference, scores)
    chosen = reference or max(scores, key=lambda method: better * scores[method].mean())
    others = [method for method in scores if method != chosen]
    pairs = [(method, chosen) for method in others] + ([] if reference else list(combinations(others, 2)))
    tests = [test(scores[a], scores[b]) for a, b in pairs]
    adjusted = holm([one.p for one in tests]).tolist()
    n = len(scores[chosen])
    result = {chosen: Comparison(0.0, math.nan, math.nan, n, "reference" if reference else "best")}
    for method, one, p in zip(others, tests, adjusted, strict=False):  # pairs of others count in the family only
        difference = summarise(scores[method] - scores[chosen])
        same = (scores[method] == scores[chosen]).all()
        verdict = ("tied", "equal with every seed") if same else judge(one, p, better, len(tests), level)
        result[method] = Comparison(difference.mean, difference.error, p, n, *verdict)
    return result


def judge(test: PairedTest, p: float, better: int, family: int, level: float) -> tuple[str, str]:
    """Verdict and note on a method from its test against the reference, its adjusted p and the number of tests."""
    if p <= level:
        return "better" if better * test.statistic > 0 else "worse", ""
    if family * test.least <= level:
        return "tied", ""
    return "undecided", test.note if math.isnan(p) else too_few(test.n, level, family)


def bold(means: ArrayLike, stds: ArrayLike, n: ArrayLike, direction: Direction, level: float = LEVEL) -> np.ndarray:
    """Which printed figures are bold by the rule of Takahashi et al. (2019, section 5.3, Table 2), (m,) bool.

    Bold are the best mean and those that a "pair-wise t-test" at 5 % does not tell from it; theirs are of eight runs.
    Means and standard deviations do not say how runs pair, so this is the test of independent runs, two-sided, and
    Welch's, as their spreads differ. It reproduces Table 2's bold figures, where Student's gives the same.

    Nothing is adjusted: of three equal methods with eight runs each, one or more is not bold in 11 % of tables, of ten
    methods in 57 %. Where the runs are at hand, `compare` pairs them and holds that at `level`.

    means, stds (n - 1), n: of each method, (m,), or one n for all, from 2.
    """
    means, stds = numbers(means=means, stds=stds)
    best = (sign(direction) * means).argmax()
    n = np.broadcast_to(n, means.shape)
    if n.min() < 2:
        raise ValueError(f"n must be at least 2 for every method, not {n.min()}: one run has no spread")
    p = stats.ttest_ind_from_stats(means, stds, n, means[best], stds[best], n[best], equal_var=False).pvalue
    return ~(p < level)


# Input


def sign(direction: Direction) -> int:
    """1 where higher is better, -1 where lower is."""
    if direction not in ("lower", "higher"):
        raise ValueError(f"direction must be 'lower' or 'higher', not '{direction}': without one there is no best")
    return 1 if direction == "higher" else -1


def numbers(**named: ArrayLike) -> list[np.ndarray]:
    """Values as float64, (n,) each. Raises ValueError where there are none, or not finite, or of different lengths."""
    arrays = {name: np.asarray(values, dtype=float) for name, values in named.items()}
    for name, array in arrays.items():
        bad = array.size - np.isfinite(array).sum()
        if array.ndim != 1 or not array.size or bad:
            found = f"has shape {array.shape} with {bad} nan or infinite"
            raise ValueError(f"{name} must be a list of finite numbers, one at least, but {found}: leave these out")
    if len({array.shape for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} has {array.size}" for name, array in arrays.items())
        raise ValueError(f"paired values must be of the same length and order, but {lengths}")
    return list(arrays.values())


def on_common_seeds(values: Mapping[str, Mapping[int, float]]) -> dict[str, np.ndarray]:
    """Every method's values at the seeds that all have, in one order."""
    seeds = sorted(set.intersection(*map(set, values.values()))) if values else []
    if not seeds:
        raise ValueError(f"values must share a seed to be paired, but {', '.join(values) or 'no methods'} share none")
    return {method: np.array([by_seed[seed] for seed in seeds]) for method, by_seed in values.items()}
