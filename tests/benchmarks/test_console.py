"""A table on a terminal: the order of its rows, its marks and its footnotes."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from rich.console import Console

from benchmarks.tables import notes, table
from benchmarks.tables.console import ordered, show
from benchmarks.tables.notes import Notes


def test_a_priors_own_estimators_stand_beside_the_plain_one():
    """Though they come later in the table; what has no estimator comes last of its metric."""
    estimators = ["is-10", "elbo", None, "is-10+estimate", "elbo+estimate", "is-10"]
    rows = pd.DataFrame({"metric": ["nll", "nll", "kl", "nll", "nll", "nll"], "estimator": estimators})
    found = [(row["metric"], notes.text(row["estimator"])) for row in ordered(rows.assign(method=[*"aaabbc"]))]
    assert found == [
        *[("nll", "is-10"), ("nll", "is-10"), ("nll", "is-10+estimate"), ("nll", "elbo"), ("nll", "elbo+estimate")],
        ("kl", ""),
    ]
    assert [row["metric"] for row in ordered(pd.DataFrame({"metric": ["kl"], "estimator": [None]}))] == ["kl"]


def test_there_is_a_letter_for_every_footnote():
    found = Notes()
    rows = [dict.fromkeys(notes.PARTS, "") | {"remark": f"note {i}"} for i in range(60)]
    marks = [found.mark(row) for row in rows]
    assert marks[:2] + marks[25:28] + marks[51:53] == ["a", "b", "z", "aa", "ab", "az", "ba"]
    assert len({*marks}) == 60
    assert found.mark(rows[27]) == "ab"


def shown(*rows: dict[str, Any]) -> str:
    """The table of rows, as it is printed."""
    base = {"dataset": "onehot", "metric": "nll", "estimator": "is-10", "direction": "lower", "status": "ok"}
    numbers = {"mean": 2.5, "std": 0.2, "n": 5, "stderr": 0.1, "note": "", "verdict": ""}
    console = Console(file=io.StringIO())
    show(console, pd.DataFrame([base | numbers | row for row in rows], columns=table.COLUMNS), "Made")
    return console.file.getvalue()


def test_standings_have_marks_and_a_legend():
    """What is worse has none; what is not there is not explained."""
    doubt = "3 seeds are too few for a tie: at least 4 are needed"
    found = shown(
        {"method": "a", "standing_label": "best"},
        {"method": "b", "standing_label": "tied", "standing_reason": "equal with every shared seed", "pairs": 5.0},
        {"method": "c", "standing_label": "undecided", "standing_reason": doubt, "pairs": 3.0},
        {"method": "d", "standing_label": "worse", "pairs": 5.0},
        {"method": "e", "estimator": "is-10+unreliable"},
    )
    lines = {line.split("0.10")[0].split()[-2]: line.split("0.10")[1].split() for line in found.splitlines()[2:7]}
    assert lines == {
        "a": ["*", "5"],
        "b": ["=", "5", "5", "a"],
        "c": ["?", "5", "3", "b"],
        "d": ["5", "5"],
        "e": ["!", "5"],
    }
    assert "  (*: best mean, =: not told from it" in found
    assert "?: undecided, 0.002 < p <= 0.05 or too few seeds, !: unreliable, and not ranked)" in found
    assert f"b  {doubt}" in found
    assert "+:" not in found
    alone = shown({"method": "a", "standing_label": "best"}, {"method": "b", "standing_label": "better", "pairs": 5.0})
    assert "+: better than it" in alone
    assert "pairs" not in alone
    assert "?:" not in alone
    assert "(" not in shown({"method": "a"})
