"""The answer that a command ends with: one estimate of each kind, a word for every method, within the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.tables import front, table
from benchmarks.tables.headline import duration, headlines

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def read(name: str) -> pd.DataFrame:
    """A table of the project's own."""
    return table.read(REFERENCE / f"{name}.csv", "")[0]


def printed(frame: pd.DataFrame, width: int) -> list[str]:
    file = io.StringIO()
    front.show(Console(file=file, width=width), frame, frame.iloc[:0], "Title")
    return file.getvalue().splitlines()


def test_the_deciding_likelihood_is_that_of_the_most_draws():
    (one,) = headlines(read("quickstart"))
    assert one.deciding is not None
    assert (one.deciding.metric, one.deciding.estimator) == ("nll", "is-5000")
    assert [answer.metric for answer in one.answers] == ["nll", "skl", "fd_classifier", "data_copying"]


def test_every_method_has_a_word():
    """Also where there is no density, or nothing to be ranked with; estimates are no exact densities' best."""
    (one,) = headlines(read("table1"))
    words = {method: one.verdict(method)[0] for method in one.methods}
    assert all(words.values())
    assert words["vampprior"] == "best"
    assert words["implicit"].startswith("~")
    assert words["flexae-sr"] == "-"
    assert one.verdict("flexae-sr")[1]
    assert [method for method, word in words.items() if word == "best"] == ["vampprior"]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["quickstart", "table1", "dpvae-moons", "flexae-synthetic", "ground-truth"])
def test_it_fits_the_terminal(name: str, width: int):
    lines = printed(read(name), width)
    assert lines
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_no_number_is_cut():
    text = "\n".join(printed(read("table1"), 60))
    for number in ("23.135 ± 0.025", "~22.911 ± 0.030", "-1.21 ± 0.43"):
        assert number in text


def test_an_unreliable_estimate_is_called_so():
    frame = read("quickstart")
    one = (frame["method"] == "vampprior") & (frame["estimator"] == "is-5000")
    frame.loc[one, ["estimator", "standing", "standing_label", "remark"]] = ["is-5000+unreliable", "", "", "k-hat"]
    (headline,) = headlines(frame)
    assert headline.verdict("vampprior") == ("unreliable", "k-hat")
    assert "!" in "\n".join(printed(frame, 80))


def test_no_doubt_of_a_seed_is_left_out():
    """An estimate that is unreliable with some of its seeds is ranked, and marked."""
    frame = read("table1")
    some = (frame["method"] == "gaussian") & (frame["estimator"] == "is-5000") & (frame["metric"] == "nll")
    frame["alarm"] = frame["alarm"].astype(object).mask(some, "unreliable")
    lines = printed(frame, 120)
    assert "23.135 ± 0.025 !" in "\n".join(lines)
    assert any(line.strip().startswith("! unreliable") for line in lines)


def test_costs_have_one_column_and_a_share_is_marked():
    frame, costs = read("quickstart"), read("quickstart").iloc[:2]
    time = {"metric": "training_time", "unit": "s", "mean": 7.0, "stderr": 0.1, "n": 5, "note": ""}
    costs = costs.assign(**time, method=["gaussian", "vampprior"], estimator=["wall-clock", "wall-clock+shared"])
    (one,) = headlines(frame, costs)
    cells = one.answers[-1].cells
    assert one.answers[-1].question == "cost"
    assert {method: cell.mark for method, cell in cells.items()} == {"gaussian": "", "vampprior": "+"}
    file = io.StringIO()
    front.show(Console(file=file, width=120), frame, costs, "Title")
    assert "+ a share of the seconds of the seeds that were trained together" in file.getvalue()


def test_images_in_a_models_place_are_not_ranked():
    (one,) = headlines(read("metric-controls"))
    assert {one.verdict(method) for method in one.methods} == {("not ranked", "no model, but images in its place")}


def test_data_sets_without_an_estimate_have_none():
    frame = read("table1")
    assert [one.dataset for one in headlines(frame)] == ["digits"]


@pytest.mark.parametrize(("seconds", "said"), [(7.71, "7.7 s"), (99, "99 s"), (720, "12 min"), (11520, "3.2 h")])
def test_durations_are_said_as_people_do(seconds: float, said: str):
    assert duration(seconds) == said
