"""What a metric is said to have seen of a control."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from benchmarks import run
from benchmarks.common.errors import UsageError
from benchmarks.metrics import METRICS
from benchmarks.metrics.controls import CONTROLS
from benchmarks.tables.controls import verdicts
from workbench import Workbench

CLEAN = (1.0, 1.2, 0.9, 1.1, 1.0)

SUITE = """
title = "Tiny controls"
datasets = ["digits"]
methods = ["plain", "noisy", "repeated"]
seeds = 2
metrics = ["sliced_pixels", "copying"]
model.latent_dim = 4
protocol.generated = 100
method.plain.control = "clean"
method.noisy.control = "outliers"
method.repeated.control = "copies"
"""


def rows(metric: str, estimator: str, direction: str, values: dict[str, tuple[float, ...]]) -> list[dict[str, object]]:
    asked = next(name for name in METRICS if metric in (name, *METRICS[name].rows) and METRICS[name].sees)
    head = {"dataset": "digits", "asked": asked, "metric": metric, "estimator": estimator, "direction": direction}
    return [
        head | {"control": name, "seed": seed, "value": value}
        for name, of in values.items()
        for seed, value in enumerate(of)
    ]


def word(metric: str, estimator: str, direction: str, control: str, values: tuple[float, ...]) -> str:
    given = {"clean": CLEAN[: len(values)], control: values}
    (found,) = verdicts(rows(metric, estimator, direction, given), "t")["word"]
    return found


UP, DOWN = (2.0, 2.3, 1.9, 2.0, 2.1), (0.5, 0.6, 0.5, 0.55, 0.4)


@pytest.mark.parametrize(
    ("metric", "estimator", "direction", "control", "values", "expected"),
    [
        ("sliced_pixels", "slices-1000x300", "lower", "blur", UP, "sees it"),
        ("sliced_pixels", "slices-1000x300", "lower", "blur", CLEAN, "blind"),
        ("sliced_pixels", "slices-1000x300", "lower", "blur", DOWN, "the wrong way"),
        ("sliced_pixels", "slices-1000x300", "lower", "copies", DOWN, "moves without cause"),
        ("sliced_pixels", "slices-1000x300", "lower", "copies", CLEAN, "unmoved"),
        ("precision", "classifier-300", "higher", "outliers", DOWN, "sees it"),
        ("precision", "classifier-300", "higher", "dropped-mode", DOWN, "moves without cause"),
        ("recall", "classifier-300", "higher", "outliers", DOWN, "may move"),
        ("recall", "classifier-300", "higher", "outliers", UP, "the wrong way"),
        ("recall", "classifier-300", "higher", "outliers", CLEAN, "unmoved"),
        ("data_copying", "c_t-300", "none", "copies", DOWN, "sees it"),
        ("data_copying", "c_t-300", "none", "copies", UP, "the wrong way"),
        ("copies", "third-300", "none", "copies", UP, "sees it"),
        ("sliced_pixels", "slices-1000x150", "lower", "half", UP, "moves without cause"),
        ("sliced_pixels", "slices-1000x300", "lower", "blur", (9.0,), ""),
    ],
)
def test_words(
    metric: str, estimator: str, direction: str, control: str, values: tuple[float, ...], expected: str
) -> None:
    assert word(metric, estimator, direction, control, values) == expected


def test_numbers_are_those_of_a_paired_t_test():
    (line,) = verdicts(rows("precision", "classifier-9", "higher", {"clean": CLEAN, "blur": DOWN}), "t").to_dict(
        "records"
    )
    test = ttest_rel(DOWN, CLEAN)
    assert (line["z"], line["p"]) == pytest.approx((-test.statistic, test.pvalue))
    assert line["move"] == pytest.approx(sum(DOWN) / 5 - sum(CLEAN) / 5)


def test_a_p_value_is_compared_by_its_logarithm():
    values = {"clean": (0.5, 1.0, 1.0, 0.6, 0.5), "few-copies": (1e-6, 1e-7, 1e-5, 0.0, 1e-6)}
    (line,) = verdicts(rows("copies_p", "fisher-9x9", "none", values), "t").to_dict("records")
    assert line["row"] == "log10 copies_p"
    assert line["move"] < -60  # the mean of -6, -7, -5, -300, -6


def test_only_seeds_that_both_have_are_paired_and_a_constant_move_is_infinite():
    values = {"clean": CLEAN, "copies": (0.0,) * 3, "blur": CLEAN}
    found = verdicts(rows("copies", "third-9", "none", values | {"clean": (1.0,) * 5}), "t").set_index("control")
    assert found["seeds"].to_dict() == {"blur": 5, "copies": 3}
    assert found["z"]["copies"] == -math.inf
    same = verdicts(rows("copies", "third-9", "none", {"clean": CLEAN, "blur": CLEAN}), "t")
    assert same[["z", "p", "word"]].to_numpy().tolist() == [[0.0, 1.0, "unmoved"]]


def test_estimates_of_a_floor_or_of_another_control_are_no_part_of_it():
    floor = rows("sliced_pixels", "slices-1000x300-floor", "none", {"clean": CLEAN, "blur": UP})
    assert verdicts(floor, "t").empty


def test_without_a_clean_control_nothing_is_said():
    with pytest.raises(UsageError, match="no runs of the control 'clean'"):
        verdicts(rows("copies", "third-9", "none", {"blur": CLEAN}), "t")


def test_every_row_that_a_metric_is_to_see_has_a_direction_or_says_where_worse_is():
    for name, metric in METRICS.items():
        for one in metric.sees:
            assert one.row in (name, *(row.partition(" ")[0] for row in metric.rows))
    assert next(iter(CONTROLS)) == "clean"


@pytest.mark.long
def test_a_table_prints_its_verdict_and_a_plot_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from benchmarks.plots import __main__ as plots

    bench = Workbench(tmp_path, capsys, SUITE)
    assert bench.ask(run.main, *bench.about("tiny.toml"), "--executor", "serial").status == 0
    asked = ("table", "--suite", "tiny", "--results", str(bench.results), "--verdict")
    told = list(csv.DictReader(io.StringIO(bench.ask(run.main, *asked, "--format", "csv").out)))
    found = {(one["row"], one["control"]): one for one in told}
    assert found["copies", "copies"]["word"] == "sees it"
    assert found["sliced_pixels", "outliers"]["expected"] == "worse"
    assert {one["control"] for one in told} == {"outliers", "copies"}
    text = bench.ask(run.main, *asked, "--metric", "copying").out
    assert "| copies | " in text
    assert "sliced_pixels" not in text
    for wrong, said in (
        (("--format", "latex"), "no format latex"),
        (("--metric", "copyin"), "Did you mean 'copying'?"),
    ):
        answer = bench.ask(run.main, *asked, *wrong)
        assert answer.status == 2
        assert said in answer.err
    drawn = bench.ask(plots.main, *bench.about("tiny.toml"), "--figure", "controls")
    assert drawn.status == 0, drawn.err
    assert (bench.results / "figures" / "tiny" / "digits-controls.png").is_file()
