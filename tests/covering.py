"""Which part of a product every call of the tests tries: methods times data sets are minutes long."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Set

import pytest
from _pytest.mark.structures import ParameterSet

from benchmarks.config import methods


def parts_of(method: str) -> frozenset[str]:
    """What a method is made of, as the catalogue has it: its prior with its settings, its model, its regularisers."""
    one = methods.definition(method)
    prior, model = one.prior.get(one.use, {}), one.model
    settings = [f"{key} = {value}" for key, value in {**prior, **model}.items()]
    return frozenset([f"prior {one.use}", *settings, *(f"regulariser {name}" for name in one.regularisers)])


def covering(cases: Sequence[str], parts: Callable[[str], Set[str]] = parts_of) -> list[str]:
    """Cases that have among them every part that any case has: always the one with the most parts still missing."""
    missing = set().union(*map(parts, cases))
    chosen = []
    while missing:
        chosen.append(max(cases, key=lambda case: len(parts(case) & missing)))
        missing -= parts(chosen[-1])
    return chosen


def slow_but(tried: Collection[str], cases: Sequence[str]) -> list[ParameterSet]:
    """All cases as parameters of a test; those that not every call of the tests tries are `slow`."""
    return [pytest.param(case, marks=[pytest.mark.slow] * (case not in tried)) for case in cases]
