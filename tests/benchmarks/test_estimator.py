"""What prints as an estimator's name is read back as it was, whatever it is made of."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from benchmarks.estimators.estimator import Certainty, Estimator

RESULTS = Path(__file__).parents[2] / "results" / "reference"

KINDS = ("is", "1-nn", "one-draw", "inception-v3-compat", "c_t", "leave-one-out")


def test_every_estimator_is_read_back():
    made = [
        Estimator(kind, at, draws, of if draws else "", certainty, variant)
        for kind, at, draws, of, certainty, variant in product(
            KINDS,
            ("", "=-30", ">0.01"),
            ((), (5000,), (500, 8)),
            ("", "floor", "simulated-reverse"),
            get_args(Certainty),
            ("", "z-hat"),
        )
        if not (at and draws)
    ]
    assert len({str(one) for one in made}) == len({*made})
    for one in made:
        assert Estimator.parse(str(one)) == one


def test_committed_tables_have_none_that_is_lost():
    """Each is printed as it was read, and none of today's has numbers or a certainty hidden in its kind."""
    names = {
        name for path in RESULTS.glob("*.csv") for name in pd.read_csv(path).get("estimator", pd.Series()).dropna()
    }
    assert len(names) > 50
    for name in names:
        found = Estimator.parse(name)
        assert str(found) == name
        assert "+" not in found.kind
        assert not found.kind[-1].isdigit()


@pytest.mark.parametrize("name", ["my own", "a+b", "", "-5", "=3", "a--5", "is-5000+odd+estimate"])
def test_anybodys_name_is_kept(name: str):
    assert str(Estimator.parse(name)) == name


def test_what_is_unreliable_is_no_other_base():
    unreliable = Estimator("is", draws=(10,), certainty="unreliable")
    assert not unreliable.reliable
    assert unreliable.base == Estimator("is", draws=(10,))
