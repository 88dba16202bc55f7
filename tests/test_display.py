"""What a person sees of runs that go on, and the order of a printed table."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from benchmarks import display, suite, table
from benchmarks.workspace import Workspace


def test_losses_of_one_name_are_told_apart():
    losses = {"wae.reconstruction": 15.0, "latent-critic.gap": 3.114, "image-critic.gap": 1.3, "validation": 14.99}
    status = {"stage": "training", "epoch": 50, "epochs": 200, "seconds": 20.0, "losses": losses}
    assert display.describe(status) == (
        "epoch 50/200, 1 min 00 s left  "
        "reconstruction 15.00  latent-critic.gap 3.11  image-critic.gap 1.30  validation 14.99"
    )


def test_a_priors_own_estimators_stand_beside_the_plain_one():
    """Though they come later in the table; what has no estimator comes last of its metric."""
    estimators = ["is-10", "elbo", None, "is-10+estimate", "elbo+estimate", "is-10"]
    rows = pd.DataFrame({"metric": ["nll", "nll", "kl", "nll", "nll", "nll"], "estimator": estimators})
    found = [
        (row["metric"], display.text(row["estimator"])) for row in display.ordered(rows.assign(method=[*"aaabbc"]))
    ]
    assert found == [
        *[("nll", "is-10"), ("nll", "is-10"), ("nll", "is-10+estimate"), ("nll", "elbo"), ("nll", "elbo+estimate")],
        ("kl", ""),
    ]
    assert [row["metric"] for row in display.ordered(pd.DataFrame({"metric": ["kl"], "estimator": [None]}))] == ["kl"]


def test_there_is_a_letter_for_every_footnote():
    notes = display.Notes("")
    marks = [notes.mark(f"note {i}") for i in range(60)]
    assert marks[:2] + marks[25:28] + marks[51:53] == ["a", "b", "z", "aa", "ab", "az", "ba"]
    assert len({*marks}) == 60
    assert notes.mark("note 27") == "ab"


def shown(*rows: dict[str, Any]) -> str:
    """The table of rows, as it is printed."""
    base = {"dataset": "onehot", "metric": "nll", "estimator": "is-10", "direction": "lower", "status": "ok"}
    numbers = {"mean": 2.5, "std": 0.2, "n": 5, "stderr": 0.1, "note": "", "verdict": ""}
    console = Console(file=io.StringIO())
    display.show(console, pd.DataFrame([base | numbers | row for row in rows], columns=table.COLUMNS), "Made")
    return console.file.getvalue()


def test_standings_have_marks_and_a_legend():
    """What is worse has none; what is not there is not explained."""
    doubt = "3 seeds are too few for a tie: at least 4 are needed"
    found = shown(
        {"method": "a", "standing": "best"},
        {"method": "b", "standing": "tied; equal with every shared seed", "pairs": 5.0},
        {"method": "c", "standing": f"undecided; {doubt}", "pairs": 3.0},
        {"method": "d", "standing": "worse", "pairs": 5.0},
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
    alone = shown({"method": "a", "standing": "best"}, {"method": "b", "standing": "better", "pairs": 5.0})
    assert "+: better than it" in alone
    assert "pairs" not in alone
    assert "?:" not in alone
    assert "(" not in shown({"method": "a"})


def test_a_run_that_hangs_is_told(tmp_path: Path):
    """Since when nothing was heard of it; what an earlier command left does not count, and neither does rubbish."""
    run = suite.expand(suite.read("smoke"))[0]
    workspace = Workspace(tmp_path, tmp_path)
    record = workspace.record(run)
    record.folder.mkdir(parents=True)
    record.report(stage="starting")
    view = display.Display(Console(file=io.StringIO()), [run], workspace, 1)
    view.began -= 3600
    told = time.time() - 1000
    os.utime(record.folder / "status.json", (told, told))
    view.narrate()
    assert "seed 0: starting; nothing heard for 16 min" in view.console.file.getvalue()
    record.report(stage="starting")
    assert "nothing heard" not in display.describe(view.status(run))
    view.began = time.time() + 10
    assert view.status(run) is None
    (record.folder / "status.json").write_text("[1, 2")
    assert view.status(run) is None
