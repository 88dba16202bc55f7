"""Tables are traceable, and keep the rows of runs that are not on this disk."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from test_run import Bench, forget_plugins

from benchmarks.tables import ledger, table
from benchmarks.tables.spent import spent
from workbench import TINY

pytestmark = pytest.mark.long

__all__ = ["forget_plugins"]  # a fixture

SEEDS = TINY.replace("seeds = 1", "seeds = 2")

OF_DISK = ["note", "left_out", "difference_images"]
"""What a row says of the disk, and what takes every image's value."""


@pytest.fixture
def bench(tmp_path, capsys) -> Bench:
    """A table whose runs are gone."""
    bench = Bench(tmp_path, capsys)
    bench.suite(SEEDS)
    assert bench().status == 0
    shutil.rmtree(bench.results / "runs")
    return bench


def test_a_part_of_a_suite_keeps_the_rows_of_runs_that_are_elsewhere(bench: Bench):
    """One seed is made anew, three runs are not here: nothing moves but what is said of it."""
    before = bench.table()
    assert bench("--method", "vampprior", "--seeds", "0").status == 0
    after = bench.table()
    pd.testing.assert_frame_equal(after.drop(columns=OF_DISK), before.drop(columns=OF_DISK))
    told = after.set_index("method")["left_out"]
    assert set(told["gaussian"]) == {"2 of 2 runs are not on this disk"}
    assert set(told["vampprior"]) == {"1 of 2 runs are not on this disk"}
    assert len(ledger.read(bench.results / "tiny")) == 4


def test_methods_that_a_suite_no_longer_has_are_former(bench: Bench):
    before = bench.table()
    bench.suite(SEEDS.replace('["gaussian", "vampprior"]', '["gaussian"]').replace("components = 4", "components = 5"))
    assert bench("--limit", "0").status == 0
    after = bench.table()
    assert set(after[after["method"] == "gaussian"]["status"]) == {"ok"}
    rows, earlier = (frame[frame["method"] == "vampprior"].reset_index(drop=True) for frame in (after, before))
    assert set(rows["status"]) == {"former"}
    pd.testing.assert_series_equal(rows["mean"], earlier["mean"])
    assert set(rows["standing"]) == {""}
    assert set(rows["note"]) == {"of settings that the suite no longer has, or of a plug-in that was not named"}
    bench.suite(SEEDS)
    assert bench("--limit", "0").status == 0
    assert set(bench.table()["status"]) == {"ok"}, "the suite has them again"


def test_what_is_on_the_disk_leaves_the_table_with_its_method(tmp_path, capsys):
    bench = Bench(tmp_path, capsys)
    assert bench().status == 0
    bench.suite(TINY.replace('["gaussian", "vampprior"]', '["gaussian"]').replace("components = 4", "components = 5"))
    assert bench().status == 0
    assert set(bench.table()["method"]) == {"gaussian"}
    assert len(ledger.read(bench.results / "tiny")) == 1


def test_other_settings_are_no_seeds_of_the_same_row(bench: Bench):
    bench.suite(SEEDS.replace("components = 4", "components = 5"))
    assert bench("--method", "vampprior", "--seeds", "0").status == 0
    rows = bench.table().query("method == 'vampprior'")
    assert set(zip(rows["status"], rows["n"], strict=True)) == {("ok", 1), ("former", 2)}


def test_a_table_without_a_ledger_is_set_aside(bench: Bench):
    before = bench.csv()
    for path in ledger.files(bench.results / "tiny"):
        path.unlink()
    answer = bench("--method", "gaussian", "--seeds", "0")
    assert answer.status == 0
    assert "it is tiny.earlier.csv from now on" in answer.out
    assert (bench.results / "tiny.earlier.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["tiny.runs.csv", "tiny.runs.json"])
def test_a_damaged_ledger_stops_the_command_before_anything_is_lost(name: str, bench: Bench):
    before = bench.csv()
    path = bench.results / name
    path.write_text(path.read_text()[:200])
    answer = bench("--method", "gaussian")
    assert answer.status == 2
    assert "not as they were written" in answer.err
    assert bench.csv() == before


def test_what_is_written_is_read(bench: Bench):
    """To the last digit."""
    target = bench.results / "tiny"
    known = ledger.read(target)
    contents = [path.read_bytes() for path in ledger.files(target)]
    ledger.write(known, target)
    assert [path.read_bytes() for path in ledger.files(target)] == contents
    assert {one.environment["device"] for one in known.values()} == {"cpu"}
    assert all(len(one.weights) == len(one.data) == 64 and one.ended.endswith("+00:00") for one in known.values())


def test_what_was_spent_is_known_without_the_table_of_costs(bench: Bench):
    costs = table.read(bench.results / "tiny-cost.csv", "")[0].set_index(["method", "metric"])
    found = spent(ledger.read(bench.results / "tiny")).set_index(["method", "metric"])
    trained = costs[costs.index.get_level_values("metric") != "evaluation_time"]
    assert set(found.index) == set(trained.index)
    pd.testing.assert_series_equal(found.loc[trained.index]["mean"], trained["mean"], rtol=1e-6)


def test_show_traces_a_number_and_holds_it_against_another_folders(bench: Bench):
    """One seed is remade in another folder: it is equal to the last digit, and the table is left alone."""
    before = bench.csv()
    where = bench.results
    bench.results = bench.folder / "mine"
    assert bench("--method", "vampprior", "--seeds", "0").status == 0
    asked = ("show", "--suite", "tiny", "--method", "vampprior", "--seeds", "0", "--metric", "nll")
    asked += ("--results", str(bench.results))
    answer = bench.main(*asked, "--against", str(where))
    assert answer.status == 0, answer.err
    assert "4 of 4 estimates are in both: 4 equal to the last digit" in answer.out
    assert "processor" in answer.out
    bench.results = where
    assert bench.csv() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "vamprior"], "Unknown method 'vamprior'. Did you mean 'vampprior'"),
        (["--metric", "nnl"], "Did you mean 'nll'"),
        (["--seeds", "7"], "Unknown seed '7'"),
        (["--results", "nowhere"], "There is no nowhere/tiny.runs.json"),
    ],
)
def test_show_names_what_there_is(arguments: list[str], words: str, bench: Bench):
    where = [] if "--results" in arguments else ["--results", str(bench.results)]
    answer = bench.main("show", "--suite", "tiny", *where, *arguments)
    assert answer.status == 2
    assert words in answer.err
