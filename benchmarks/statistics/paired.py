"""Comparisons of methods over seeds: summaries, paired tests, and which methods tie with the best.

A seed is the unit of inference, and methods are paired by seed: n counts seeds, never images. nan and infinite values
are refused: what a diverged seed counts for is the caller's choice. Comparisons over data sets are in `ranks`, how a
table tells of those here is in `standings`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from benchmarks.estimators.estimate import Direction

LEVEL = 0.05
"""Probability of a false positive that tests allow."""

PAIR_LEVEL = 0.002
"""The same of one pair of methods in a table of many: `compare` says what this is for the table."""

LEAST_PAIRS = 4
"""Seeds that a tie takes: the fewest with which a difference of three standard deviations of a run (3 / sqrt 2 of a
paired difference) gives p <= LEVEL with probability 80 %. With 3 seeds that is 51 %, with 5 it is 94 %."""

POWER = 0.8
"""Probability with which a difference of the size `detectable` is shown."""


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

    p is nan where the test cannot be made. note: why it cannot show a difference, or what it left out.
    """

    name: str
    statistic: float
    p: float
    n: int
    note: str = ""


def paired_t(a: ArrayLike, b: ArrayLike) -> PairedTest:
    """Student's paired t test: t = mean(a - b) / standard error, n - 1 degrees of freedom; (n,) each.

    It takes the differences as normal, which few seeds cannot show. p is nan, and the note says why, for one pair and
    where the differences are equal up to the rounding of `a` and `b`.
    Raises ValueError where lengths differ or a value is not finite.
    """
    a, b = numbers(a=a, b=b)
    n = len(a)
    if n < 2 or np.ptp(a - b) <= rounding(a, b):
        why = "one seed shows no spread: at least 2 are needed" if n < 2 else "the differences of all seeds are equal"
        return PairedTest("paired t", math.nan, math.nan, n, why)
    difference = summarise(a - b)
    t = difference.mean / difference.error
    return PairedTest("paired t", t, 2 * scipy.stats.t.sf(abs(t), n - 1).item(), n)


def rounding(a: np.ndarray, b: np.ndarray) -> float:
    """What differences of `a` and `b` may owe to floating point."""
    return (8 * np.finfo(float).eps * max(abs(a).max(), abs(b).max())).item()


def detectable(error: float, n: int, level: float = PAIR_LEVEL, power: float = POWER) -> float:
    """The difference that a paired t test at `level` shows with probability `power`, in the unit of `error`.

        delta error,  P(T_{n-1, delta} > t_{n-1}(1 - level / 2)) = power

    T is Student's noncentral law, error the standard error of the mean difference over n seeds, taken for the true one.
    At a level of 0.002 and 80 % delta is 408, 28, 12.8, 8.9, 6.0, 5.4 for n = 2, 3, 4, 5, 8, 10. nan below 2 seeds.
    """
    if n < 2:
        return math.nan
    quantile = scipy.stats.t.isf(level / 2, n - 1)
    return scipy.special.nctdtrinc(n - 1, 1 - power, quantile).item() * error


def wilcoxon(a: ArrayLike, b: ArrayLike, level: float = LEVEL) -> PairedTest:
    """Wilcoxon's signed-rank test of W = sum sign(d) rank(|d|), d = a - b without its zeros; (n,) each.

    Exact up to 50 seeds where no |d| are equal, and up to 13 where some are (from scipy 1.15); then the normal
    approximation. It takes the differences as symmetric. The note says so where n seeds cannot reach `level`.
    Raises ValueError where lengths differ or a value is not finite.
    """
    a, b = numbers(a=a, b=b)
    d = (a - b)[a != b]
    n = len(d)
    statistic = (np.sign(d) * scipy.stats.rankdata(abs(d))).sum().item()
    p = scipy.stats.wilcoxon(d).pvalue.item() if n else 1.0
    notes = [f"left out {len(a) - n} of {len(a)} seeds, without a difference"] if n < len(a) else []
    notes += [too_few(n, level)] if least_p(n) > level else []
    return PairedTest("Wilcoxon", statistic, p, n, "; ".join(notes))


def least_p(n: int) -> float:
    """2^(1-n): the smallest two-sided p of the signed-rank test, that of n differences which all have one sign."""
    return min(1.0, 2.0 ** (1 - n))


def least_seeds(level: float) -> int:
    """The smallest n with least_p(n) <= level: 6 for 0.05."""
    return math.ceil(1 - math.log2(level))


def too_few(n: int, level: float) -> str:
    """That n seeds cannot reach `level` by the signed-rank test."""
    seeds = "seed" if n == 1 else "seeds"
    return f"{n} {seeds} cannot give p below {least_p(n):g}: at least {least_seeds(level)} are needed"


# Several methods


class Comparison(NamedTuple):
    """A method against another, on the n seeds that both have: mean difference (method - other), its standard error,
    p of the paired t test, and the difference that it would have shown (`detectable`).

    against: the other method; empty, with n = 0, for the one that all are held against.
    verdict: 'best' has the best mean, which several may share. 'worse' and 'better' are told from the best at
    PAIR_LEVEL. 'tied' are those that LEAST_PAIRS seeds or more do not tell from it at LEVEL either, and those that
    equal it with every seed that they share, however few: not told apart, which proves no equality. 'undecided' is all
    else: PAIR_LEVEL < p <= LEVEL, too much for a tie and too little for a table of many, or what the note says.
    """

    against: str
    difference: float
    error: float
    p: float
    n: int
    detectable: float
    verdict: str
    note: str = ""


BEST = Comparison("", math.nan, math.nan, math.nan, 0, math.nan, "best")
"""Of the method that the others are held against."""


def compare(
    values: Mapping[str, Mapping[int, float]], direction: Direction, enough: int | None = None
) -> dict[str, Comparison]:
    """Every method against the one of the best mean, each by a paired t test on the seeds that the two share.

    The best is chosen among the methods that have the most seeds, or that have `enough` of them: two lucky seeds make
    no best, and more seeds than asked for give no claim. Level and seeds of a test are its own two methods', so that no
    verdict but its own moves when a method is added or removed that is not the best, whatever seeds it has.

    That the best is chosen by the values that are then tested is what PAIR_LEVEL is so low for. Of equal methods with
    normal values one or more is called worse, in 20,000 simulated tables each, in

        methods      3 seeds   5 seeds   8 seeds   20 seeds
            2         0.2 %     0.2 %     0.2 %     0.3 %
            5         1.2 %     1.3 %     1.4 %     1.8 %
           10         3.6 %     4.1 %     5.0 %     5.8 %
           20         8.8 %      12 %      14 %      17 %

    and in fewer where tails are heavy (2.5 % to 4.0 % of ten methods by Student's law with 4 degrees of freedom).

    values: by method, then seed.
    """
    better = sign(direction)
    least = min(max(map(len, values.values()), default=0), enough or math.inf)
    means = {method: math.fsum(own.values()) / len(own) for method, own in values.items() if len(own) >= least}
    chosen = max(means, key=lambda method: better * means[method], default="")
    found = {}
    for method, own in values.items():
        found[method] = BEST if method == chosen else against(own, values[chosen], chosen, better)
        if method in means and math.isclose(means[method], means[chosen], rel_tol=1e-12):  # none is best alone
            found[method] = found[method]._replace(verdict="best", note="")
    return found


def against(own: Mapping[int, float], others: Mapping[int, float], name: str, better: int) -> Comparison:
    """A method's values against those of the method `name`, by seed; better: 1 where higher is, -1 where lower is."""
    seeds = sorted({*own} & {*others})
    if not seeds:
        nothing = (math.nan, math.nan, math.nan, 0, math.nan)
        return Comparison(name, *nothing, "undecided", "it shares no seed with the best")
    a, b = (np.array([one[seed] for seed in seeds], dtype=float) for one in (own, others))
    test, difference = paired_t(a, b), summarise(a - b)
    shown = math.nan if math.isnan(test.p) else detectable(difference.error, test.n)
    same = abs(a - b).max() <= rounding(a, b)
    verdict = ("tied", "equal with every shared seed") if same else judge(test, better)
    return Comparison(name, difference.mean, difference.error, test.p, test.n, shown, *verdict)


def judge(test: PairedTest, better: int) -> tuple[str, str]:
    """Verdict and note on a method from its test against the best."""
    if test.p <= PAIR_LEVEL:
        return "better" if better * test.statistic > 0 else "worse", ""
    if math.isnan(test.p):
        return "undecided", test.note
    if test.n < LEAST_PAIRS:
        return "undecided", f"{test.n} seeds are too few for a tie: at least {LEAST_PAIRS} are needed"
    return "undecided" if test.p <= LEVEL else "tied", ""


def bold(means: ArrayLike, stds: ArrayLike, n: ArrayLike, direction: Direction, level: float = LEVEL) -> np.ndarray:
    """Which printed numbers are bold by the rule of Takahashi et al. (2019, section 5.3, Table 2), (m,) bool.

    Bold are the best mean and those that a "pair-wise t-test" at 5 % does not tell from it; theirs are of eight runs.
    Means and standard deviations do not say how runs pair, so this is the test of independent runs, two-sided, and
    Welch's, as their spreads differ. It reproduces Table 2's bold numbers, where Student's gives the same.

    Nothing is adjusted: of three equal methods with eight runs each, one or more is not bold in 11 % of tables, of ten
    methods in 57 %. Where the runs are at hand, `compare` pairs them, at a level for many.

    means, stds (n - 1), n: of each method, (m,), or one n for all, from 2.
    """
    means, stds = numbers(means=means, stds=stds)
    best = (sign(direction) * means).argmax()
    n = np.broadcast_to(n, means.shape)
    if n.min() < 2:
        raise ValueError(f"n must be at least 2 for every method, not {n.min()}: one run has no spread")
    p = scipy.stats.ttest_ind_from_stats(means, stds, n, means[best], stds[best], n[best], equal_var=False).pvalue
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
