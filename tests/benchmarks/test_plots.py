"""Plots of tables and training curves, the gallery that keeps them, and the command that draws them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.common import style
from benchmarks.config import suite
from benchmarks.plots import gallery
from benchmarks.plots.__main__ import main
from benchmarks.plots.base import PLOTS, Results, draws, telling
from benchmarks.runner.execute import execute
from benchmarks.runner.workspace import Workspace
from benchmarks.statistics.ranks import critical_difference
from priors.base import Unsupported

pytestmark = pytest.mark.long

SUITE = """
title = "Plots"
datasets = ["onehot", "moons"]
methods = ["gaussian", "mixture-2", "mixture-8", "mixture-32", "implicit"]
seeds = 2
metrics = ["nll", "reliability", "latent_w1", "prior"]

[model]
widths = [8]
latent_dim = 2
likelihood = "gaussian-fixed"

[training]
epochs = 4
warm_up = 2

[protocol]
samples = [5, 20]
images = 20

[prior.implicit]
widths = [8]
turns = 1
draws = 100

[method.mixture-2]
like = "mixture"
prior.mixture.components = 2

[method.mixture-8]
like = "mixture"
prior.mixture.components = 8

[method.mixture-32]
like = "mixture"
prior.mixture.components = 32
"""


@pytest.fixture(scope="module")
def results(cheap_metrics: None, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two data sets, five methods and two seeds, trained for four epochs."""
    folder = tmp_path_factory.mktemp("plots")
    (folder / "plots.toml").write_text(SUITE)
    chosen = suite.read(str(folder / "plots.toml"))
    runs, workspace = suite.expand(chosen), Workspace(folder / "results", folder)
    assert {execute(run, workspace).status for run in runs} == {"ok"}
    torch.set_flush_denormal(False)
    return Results(chosen, tuple(runs), workspace)


def drawing(results: Results, name: str, part: str = ""):
    return next(one for one in PLOTS[name].drawings(results) if one.part == part)


def test_headlines_are_one_estimator_a_metric(results: Results):
    rows = results.headlines()
    assert list(dict.fromkeys(zip(rows["metric"], rows["base"], strict=True))) == [
        ("nll", "is-20"),
        ("latent_w1", "ot-1000"),
    ]
    assert set(rows[rows["method"] == "implicit"]["estimator"]) == {"is-20+estimate", "ot-1000"}
    assert len(rows) == 2 * len(results.runs)


def test_a_method_that_is_unreliable_with_a_seed_has_no_headline(results: Results):
    """Not even of its other seeds."""
    figures = results.estimates.copy()
    one = (figures["estimator"] == "is-20+estimate") & (figures["seed"] == 1) & (figures["dataset"] == "moons")
    assert one.sum() > 0
    figures.loc[one, "estimator"] = "is-20+unreliable"
    doubtful = replace(results)
    doubtful.__dict__["estimates"] = figures
    rows, before = doubtful.headlines(), results.headlines()
    gone = (before["dataset"] == "moons") & (before["method"] == "implicit") & (before["metric"] == "nll")
    pd.testing.assert_frame_equal(rows, before[~gone].reset_index(drop=True))


def test_runs_without_figures_have_no_headlines(results: Results):
    none = replace(results, runs=())
    assert none.headlines().empty
    for name in ("cost", "sensitivity", "ranks", "training"):
        with pytest.raises(Unsupported):
            PLOTS[name].drawings(none)


def test_an_estimator_that_tells_nothing_stands_for_nothing():
    frame = pd.DataFrame({"base": ["a", "a", "b", "b"], "value": [0.0, 0.0, 1.0, 2.0]})
    assert telling(frame) == "b"
    assert (draws("is-5000"), draws("elbo"), draws("is-x")) == (5000, 0, 0)


def test_training_curves_are_means_over_seeds_from_the_warm_up_on(results: Results):
    part = results.on("moons")
    axes = drawing(part, "training").figure.axes[0]
    (curve,) = [one for one in axes.get_lines() if one.get_label() == "gaussian"]
    columns = [pd.read_csv(part.record(run).folder / "history.csv")["validation"] for run in part.of("gaussian")]
    assert curve.get_xdata().tolist() == [2, 3, 4]
    assert np.allclose(curve.get_ydata(), np.mean(columns, axis=0)[1:])


def test_losses_of_one_method_alone_are_a_drawing_of_their_own(results: Results):
    titles = {
        part: [axes.get_title() for axes in drawing(results.on("moons"), "training", part).figure.axes]
        for part in ("", "players")
    }
    assert titles == {
        "": ["vae.validation", "vae.reconstruction", "vae.kl"],
        "players": ["density-ratio.density_ratio", "log_z"],
    }


def test_costs_stand_under_the_figures_of_the_same_runs(results: Results):
    part = results.on("onehot")
    axes = drawing(part, "cost").figure.axes[0]
    assert axes.get_title() == "lower is better"
    rows = part.estimates[part.estimates["method"] == "implicit"]
    at = [
        rows[mask]["value"].mean()
        for mask in (rows["metric"] == "training_time", rows["estimator"] == "is-20+estimate")
    ]
    (point,) = [one for one in axes.containers if one.get_label() == "implicit"]
    assert np.allclose(np.ravel(point[0].get_data()), at)
    assert point[0].get_markerfacecolor() == "none"


def test_sensitivity_finds_the_number_in_which_methods_differ(results: Results):
    figure = drawing(results.on("moons"), "sensitivity", "prior.mixture.components").figure
    axes = figure.axes[0]
    assert axes.containers[0][0].get_xdata().tolist() == [2, 8, 32]
    assert {line.get_label() for line in axes.get_lines()} >= {"gaussian", "implicit"}
    with pytest.raises(Unsupported, match="one number"):
        drawing(replace(results, runs=(*results.of("gaussian"), *results.of("implicit"))), "sensitivity")


def test_ranks_are_of_means_over_seeds(results: Results):
    """Two data sets, exact densities alone: ranks by hand."""
    shown = drawing(results, "ranks", "nll")
    rows = results.estimates[results.estimates["estimator"] == "is-20"]
    rows = rows[rows["metric"] == "nll"]
    average = rows.groupby(["dataset", "method"])["value"].mean().unstack().rank(axis=1).mean()
    texts = {text.get_text().strip() for text in shown.figure.axes[0].texts}
    assert {f"{name} ({rank:.2f})" for name, rank in average.items()} <= texts
    assert "implicit" not in " ".join(texts)
    assert f"critical difference {critical_difference(4, 2):.2f}" in texts
    with pytest.raises(Unsupported, match="two data sets"):
        drawing(results.on("moons"), "ranks")


def test_every_axis_has_a_name(results: Results):
    for name in ("training", "cost", "sensitivity"):
        for one in PLOTS[name].drawings(results.on("onehot")):
            shown = [axes for axes in one.figure.axes if axes.axison]
            assert shown
            assert all(axes.get_xlabel() and axes.get_ylabel() for axes in shown)
            assert one.caption


def test_styles_differ_without_colour():
    styles = style.styles(map(str, range(24)))
    seen = {(one["linestyle"], one["color"]) for one in styles.values()}
    assert len(seen) == 24
    first = [*styles.values()][:10]
    assert len({one["marker"] for one in first}) == 10


def test_a_gallery_keeps_what_was_drawn_before(results: Results, tmp_path: Path):
    drawn = list(gallery.draw(results, tmp_path, ["training"]))
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")}
    assert set(files) == {f"{one.file}.svg" for one in drawn if one.file}
    assert all((tmp_path / f"{one.file}.png").is_file() for one in drawn)
    few = replace(results, runs=(*results.of("gaussian"), *results.of("mixture-2")))
    list(gallery.draw(few.on("moons"), tmp_path, ["training"]))
    left = {path.name for path in tmp_path.glob("*training*.svg")}
    assert left == set(files) - {"moons-training-players.svg"}
    list(gallery.draw(results, tmp_path, ["ranks", "training"]))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*training*.svg")} == files
    shown = gallery.read(tmp_path)
    assert len(shown) == len({(one.plot, one.dataset, one.file) for one in shown})
    assert {one.plot for one in shown} == {"ranks", "training"}


@pytest.mark.slow
def test_a_pdf_has_embedded_truetype_fonts_and_is_the_same_each_time(results: Results, tmp_path: Path):
    """LaTeX and publishers refuse Type 3; without --pdf none is left that shows something older."""
    few, kinds = results.on("moons"), gallery.ALL
    (shown, *_) = gallery.draw(few, tmp_path, ["cost"], kinds)
    path = tmp_path / f"{shown.file}.pdf"
    first = path.read_bytes()
    assert first.startswith(b"%PDF")
    assert b"/FontFile2" in first
    assert b"/Type3" not in first
    list(gallery.draw(few, tmp_path, ["cost"], kinds))
    assert path.read_bytes() == first
    list(gallery.draw(few, tmp_path, ["cost"]))
    assert not path.exists()


def test_a_trials_figures_say_so(results: Results, tmp_path: Path):
    told = {
        "preset": "quick",
        "overrides": ("training.epochs=4",),
        "trial": ("preset quick: seeds=1", "training.epochs=4"),
    }
    tried = tuple(run.model_copy(update=told) for run in results.runs)
    (shown,) = gallery.draw(replace(results, runs=tried).on("moons"), tmp_path, ["cost"])
    assert shown.caption.endswith("A trial: preset quick: seeds=1; training.epochs=4.")
    assert "trial: preset quick, training.epochs=4" in (tmp_path / f"{shown.file}.svg").read_text()


def test_the_command_draws_and_says_what_it_cannot(
    results: Results, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    folder = results.workspace.results
    where = ["--suite", str(folder.parent / "plots.toml"), "--results", str(folder)]
    assert main([*where, "--dataset", "moons", "--figure", "training", "ranks"]) == 0
    out = capsys.readouterr().out
    assert "moons-training.png" in out
    assert "no ranks: average ranks are over data sets" in out
    index = json.loads((folder / "figures" / "plots" / "figures.json").read_text())
    assert {one["plot"] for one in index} == {"training", "ranks"}
    assert main(["--suite", "smoke", "--results", str(tmp_path)]) == 2
    assert "run it first" in capsys.readouterr().err
    assert main([*where, "--figure", "trainig"]) == 2
    assert "Did you mean 'training'?" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert "critical-difference" in capsys.readouterr().out.lower()
