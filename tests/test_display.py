"""What a person sees of runs that go on, and the order of a printed table."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pandas as pd
from rich.console import Console

from benchmarks import display, suite
from benchmarks.execute import Place


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


def test_a_run_that_hangs_is_told(tmp_path: Path):
    """Since when nothing was heard of it; what an earlier command left does not count, and neither does rubbish."""
    run = suite.expand(suite.read("smoke"))[0]
    place = Place(tmp_path, tmp_path)
    record = place.record(run)
    record.folder.mkdir(parents=True)
    record.report(stage="starting")
    view = display.Display(Console(file=io.StringIO()), [run], place, 1)
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
