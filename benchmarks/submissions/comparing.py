"""What is claimed beside what was measured anew, estimate by estimate, and a word on each.

Runs that the same kind of machine makes anew come to the same numbers, to rounding. Is it of the same kind? By what the
claim says of it; or, whatever it says, because a run's weights or half of the estimates come out the same to the last
digit, which another processor's do not. All the others are then held to that: an edited number among honest ones is
told.

On another machine trainings drift apart, as those of other seeds do, so that means are compared: see `apart`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import scipy

from benchmarks.config.published import welch
from benchmarks.tables import LEVEL
from benchmarks.tables.drift import ROUNDING, tolerance
from benchmarks.tables.ledger import Entry, Ledger

AGREES, DIFFERS, NOT_REMADE, NOT_CLAIMED = WORDS = ("agrees", "differs", "not remade", "not claimed")

MACHINE = ("processor", "device", "threads", "python")
"""Of an environment: what a kind of machine is, beside its versions of torch and numpy."""

NUMBERS = ("torch", "numpy")

Key = tuple[str, str, str, str]
"""Data set, method, metric, estimator."""

Kept = Mapping[str, Any]
"""An estimate as a record has it, with the hash of its protocol and the suite's name of its metric."""

Seeds = Mapping[int, Kept]
"""An estimate of every seed."""


class Summary(NamedTuple):
    """Of an estimate over seeds: mean, standard deviation (None of one seed) and their number."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Row:
    """An estimate. deviation: claimed less measured mean, in standard errors of their difference; None where there is
    none. reason: what the word rests on."""

    dataset: str
    method: str
    metric: str
    estimator: str
    unit: str
    claimed: Summary | None
    measured: Summary | None
    deviation: float | None
    word: str
    reason: str


def rows(claimed: Ledger, measured: Ledger, failed: Mapping[str, str]) -> list[Row]:
    """Every estimate that is claimed or measured. failed: what ended a run that was tried anew, by its name."""
    theirs, ours = by_estimate(claimed), by_estimate(measured)
    pairs = [(one, ours[key][seed]) for key in ours for seed, one in theirs.get(key, {}).items() if seed in ours[key]]
    exact = same_machine(claimed, measured) or repeated(pairs)
    level = LEVEL / max(1, 2 * len(ours))
    older = sources(claimed) != sources(measured)
    found = []
    for key in dict.fromkeys((*theirs, *ours)):
        a, b = theirs.get(key, {}), ours.get(key, {})
        if a and not b:
            word, reason = without(key, next(iter(a.values()))["asked"], claimed, measured, failed)
        elif older and not a:
            word, reason = NOT_CLAIMED, "the claim was made by other sources of the project, which may have no such"
        else:
            word, reason = judged(a, b, exact, level, tried(key, claimed, {*measured, *failed}))
        unit = str(next(iter((*a.values(), *b.values())))["unit"])
        found.append(Row(*key, unit, summary(a), summary(b), deviation(a, b), word, reason))
    return found


def by_estimate(known: Ledger) -> dict[Key, dict[int, Kept]]:
    """Estimates by what they are of and their seeds."""
    found: dict[Key, dict[int, Kept]] = {}
    for entry in known.values():
        for asked, metric in entry.metrics.items():
            for one in metric.get("figures", ()):
                key = (*cell(entry), one["metric"], one["estimator"])
                found.setdefault(key, {})[entry.seed] = {**one, "protocol": entry.protocol, "asked": asked}
    return found


def cell(entry: Entry) -> tuple[str, str]:
    return entry.dataset, entry.method


def tried(key: Key, claimed: Ledger, names: Set[str]) -> set[int]:
    """The seeds of an estimate's claimed runs that were made anew, or failed. names: of these."""
    return {one.seed for name, one in claimed.items() if cell(one) == key[:2] and name in names}


# The machine


def same_machine(claimed: Ledger, measured: Ledger) -> bool:
    """Is what the claim says of machine, versions, sources and turns the same for all runs that were made anew? Or has
    one of them the same weights?"""
    pairs = [(claimed[name], measured[name]) for name in measured if name in claimed]
    if any(one.weights and one.weights == other.weights for one, other in pairs):
        return True
    return bool(pairs) and all(kind(one) == kind(other) for one, other in pairs)


def kind(entry: Entry) -> tuple[Any, ...]:
    """All that decides a run's last digits."""
    environment = entry.environment
    packages = environment.get("packages") or {}
    how = (*(environment.get(key) for key in MACHINE), *(packages.get(key) for key in NUMBERS))
    return (*how, entry.sources, entry.training.get("turns"))


def sources(known: Ledger) -> set[str]:
    """Digests of the project's sources that made these runs."""
    return {entry.sources for entry in known.values()}


def repeated(pairs: Sequence[tuple[Kept, Kept]]) -> bool:
    """Are half of the estimates the same to the last digit? Whole numbers, which often are, do not count."""
    telling = [(a["value"], b["value"]) for a, b in pairs if not float(b["value"]).is_integer()]
    return bool(telling) and 2 * sum(a == b for a, b in telling) >= len(telling)


# The word


def judged(a: Seeds, b: Seeds, exact: bool, level: float, anew: set[int]) -> tuple[str, str]:
    """(word, reason) of an estimate that was measured. anew: the claimed seeds that were tried here."""
    if missing := sorted(({*b} & anew) - {*a}):
        return DIFFERS, f"left out of the claim for {told(missing)}"
    if missing := sorted(({*a} & anew) - {*b}):
        return DIFFERS, f"not there for {told(missing)}, made anew"
    if wrong := next(labels(a, b), ""):
        return DIFFERS, wrong
    shared = sorted({*a} & {*b})
    off = [seed for seed in shared if not alike(a[seed], b[seed])]
    if off and exact:
        return DIFFERS, f"seed {off[0]}: {first_difference(a[off[0]], b[off[0]])}, on a machine of the same kind"
    same = f"{told(shared)}: the same to rounding" if shared and not off else ""
    rest = {seed: one for seed, one in a.items() if off or seed not in shared}
    word, reason = apart(values(rest), values(b), str(next(iter(b.values()))["unit"]), level) if rest else (AGREES, "")
    word = AGREES if same and word == NOT_REMADE else word  # of the others there is nothing to say
    return word, "; ".join(filter(None, (same, f"the others: {reason}" if same and reason else reason)))


def labels(a: Seeds, b: Seeds) -> Iterator[str]:
    """Where the two call an estimate otherwise, a sentence each."""
    ours = next(iter(b.values()))
    for name in ("protocol", "unit", "direction"):
        if wrong := {str(one[name]) for one in a.values()} - {str(ours[name])}:
            remedy = ": run the suite as it is now, and claim that" if name == "protocol" else ""
            yield f"{name} {min(wrong)} is claimed, and here it is {ours[name]}{remedy}"


def alike(a: Kept, b: Kept) -> bool:
    """Are value and error the same, to rounding, and the same alarm and remarks told?"""
    return said(a) == said(b) and all(near(a[name], b[name]) for name in ("value", "error"))


def said(one: Kept) -> tuple[Any, ...]:
    """What a reader is told of an estimate, in words."""
    return one["alarm"], *(remark[:1] for remark in one.get("remarks", ()))


def near(a: float | None, b: float | None) -> bool:
    """The same to the rounding of float32."""
    if a is None or b is None:
        return a is b
    return a == b or abs(a - b) <= ROUNDING * max(abs(a), abs(b))


def first_difference(a: Kept, b: Kept) -> str:
    """`error 0.1 is claimed, and 0.2 was measured`."""
    unlike = [name for name in ("value", "error") if not near(a[name], b[name])]
    name = next(iter(unlike), "alarm" if a["alarm"] != b["alarm"] else "remarks")
    one, other = (f"{each[name]:.10g}" if isinstance(each[name], float) else f"{each[name]!r}" for each in (a, b))
    return f"{'' if name == 'value' else f'{name} '}{one} is claimed, and {other} was measured"


def apart(a: Sequence[float], b: Sequence[float], unit: str, level: float) -> tuple[str, str]:
    """(word, reason) of means over seeds whose values are not the same ones, claimed and measured.

    Two tests, at `level` each. Welch's takes both spreads as they are. But a number that was edited widens the claim's
    spread as fast as it moves the mean, so that Welch's t of n seeds, one of them edited, never passes 1: the other
    asks how far the claim's mean may lie by the spread of what was measured alone (`drift.tolerance`).
    """
    if len(b) < 2:
        return NOT_REMADE, "one seed made anew shows no spread to hold others against"
    claimed, measured = summarised(a), summarised(b)
    difference = claimed.mean - measured.mean
    old = {"mean": measured.mean, "std": measured.std, "n": measured.n, "unit": unit}
    if abs(difference) > tolerance(old, {"mean": claimed.mean, "n": claimed.n, "unit": unit}, level):
        return DIFFERS, "further from the measured mean than the measured spread over seeds allows"
    if claimed.std is not None and measured.std is not None and not near(claimed.mean, measured.mean):
        error, freedom = welch(claimed.std, claimed.n, measured.std, measured.n, 0.0)
        if error and abs(difference / error) > scipy.special.stdtrit(freedom, 1 - level / 2):
            return DIFFERS, "the means are further apart than both spreads over seeds allow"
    return AGREES, "within what other seeds explain"


def without(key: Key, asked: str, claimed: Ledger, measured: Ledger, failed: Mapping[str, str]) -> tuple[str, str]:
    """(word, reason) of a claimed estimate that was not measured. asked: the suite's name of its metric."""
    for name, why in failed.items():
        if cell(claimed[name]) == key[:2]:
            return DIFFERS, f"its run fails here: {why}"
    anew = [one for one in measured.values() if cell(one) == key[:2]]
    if not anew:
        return NOT_REMADE, "its runs were not asked for, or their data are not here"
    if all(one.training["status"] == "ok" and asked not in one.metrics for one in anew):
        return NOT_REMADE, "it needs what is not on this machine, such as Inception's weights"
    return DIFFERS, "the runs made anew have no such estimate"


# Numbers


def values(seeds: Seeds) -> list[float]:
    return [float(one["value"]) for one in seeds.values()]


def summary(seeds: Seeds) -> Summary | None:
    return summarised(values(seeds)) if seeds else None


def summarised(numbers: Sequence[float]) -> Summary:
    std = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Summary(math.fsum(numbers) / len(numbers), std, len(numbers))


def deviation(a: Seeds, b: Seeds) -> float | None:
    """Claimed less measured mean, in standard errors of the difference."""
    one, other = summary(a), summary(b)
    if one is None or other is None:
        return None
    difference = one.mean - other.mean
    error = math.hypot(*((each.std or 0.0) / math.sqrt(each.n) for each in (one, other)))
    return difference / error if error else None if difference else 0.0


def told(seeds: Sequence[int]) -> str:
    """`seed 3`, `seeds 0, 1 and 2`."""
    *first, last = map(str, seeds)
    return f"seeds {', '.join(first)} and {last}" if first else f"seed {last}"
