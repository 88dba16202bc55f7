"""What a person sees of runs that go on, and the order of a printed table."""

from __future__ import annotations

import pandas as pd

from benchmarks import display


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
