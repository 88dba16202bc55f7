"""Plots that show pictures: what stands in them, against what the trained models give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from scipy.spatial.distance import cdist
from torch import Tensor

from benchmarks.common import style
from benchmarks.common.seeds import stream
from benchmarks.config import suite
from benchmarks.datasets import Dataset
from benchmarks.plots import critic, neighbours, samples, traversals
from benchmarks.plots.base import PLOTS, Drawing, Results
from benchmarks.runner.execute import execute
from benchmarks.runner.workspace import Workspace
from priors.base import DataCritic, Unsupported
from priors.parts.normal import DiagonalNormal

pytestmark = pytest.mark.long

SUITE = """
title = "Pictures"
datasets = ["digits", "moons", "onehot"]
methods = ["data", "gaussian", "dp", "pullback", "flexae"]
seeds = 1
metrics = ["pms_train_train"]

[model]
widths = [16]
latent_dim = 6

[training]
epochs = 2

[prior.dpflow]
widths = [8]

[prior.pullback]
channels = [4]
width = 8
proposals = 8
draws = 200
particles = 64
moves = 5
mala_steps = 2
gan_steps = 5

[prior.pgen]
widths = [8]

[dataset.moons]
model = { latent_dim = 2, likelihood = "gaussian-fixed" }
"""

OURS = ("samples", "traversals", "neighbours", "critic")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Digits with all methods, and two data sets without pictures with one."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "pictures.toml").write_text(SUITE)
    chosen = suite.read(str(folder / "pictures.toml"))
    wanted = suite.Request(("digits",)), suite.Request(("moons", "onehot"), ("gaussian",))
    runs = tuple(run for request in wanted for run in suite.expand(chosen, request))
    workspace = Workspace(folder / "results", folder)
    assert {execute(run, workspace).status for run in runs} == {"ok"}
    torch.set_flush_denormal(False)
    return Results(chosen, runs, workspace)


@pytest.fixture(scope="module")
def digits(trained: Results) -> Results:
    return trained.on("digits")


@pytest.fixture(scope="module")
def drawn(digits: Results) -> dict[str, Drawing]:
    """Every drawing of the digits by plot and part."""
    return {f"{name} {one.part}".strip(): one for name in OURS for one in PLOTS[name].drawings(digits)}


def of(results: Results, method: str):
    return results.evaluated(results.first()[method])


def panels(drawing: Drawing) -> dict[str, Axes]:
    return {axes.get_title(): axes for axes in drawing.figure.axes if axes.axison}


def names(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def shown(axes: Axes) -> np.ndarray:
    """The 8 x 8 pictures in the axes' sheet, (rows, columns, 8, 8), between white lines of a pixel."""
    sheet = np.asarray(axes.images[0].get_array())
    assert (sheet == sheet[..., :1]).all()
    rows, columns = (side // 9 + 1 for side in sheet.shape[:2])
    assert (sheet[8::9] == 255).all()
    assert (sheet[:, 8::9] == 255).all()
    return np.array([[sheet[9 * i : 9 * i + 8, 9 * j : 9 * j + 8, 0] for j in range(columns)] for i in range(rows)])


@torch.no_grad()
def decoded(subject, z: Tensor) -> np.ndarray:
    return np.rint(255 * subject.model.decode(z).numpy())[:, 0]


# Samples


def test_samples_are_the_priors_draws_in_reading_order(digits: Results, drawn: dict[str, Drawing]):
    axes = panels(drawn["samples draws"])
    assert [*axes] == ["gaussian", "dp", "pullback", "flexae"]
    for method in axes:
        subject = of(digits, method)
        assert (shown(axes[method]).reshape(25, 8, 8) == decoded(subject, subject.draws[:25])).all()


def test_reconstructions_stand_below_their_test_images(digits: Results, drawn: dict[str, Drawing]):
    (axes,) = drawn["samples reconstructions"].figure.axes
    assert names(axes.yaxis) == ["test images", "gaussian", "dp", "pullback", "flexae"]
    found = shown(axes)
    assert (found[0] == 255 * of(digits, "gaussian").data.test[:12][:, 0].numpy()).all()
    flexae = of(digits, "flexae")
    assert (found[4] == decoded(flexae, flexae.q.mean[:12])).all()  # its encoder is deterministic


def test_low_posterior_draws_are_off_the_codes(digits: Results, drawn: dict[str, Drawing]):
    """Only methods with a density q(z) have them; a mixture written out finds them among the prior's draws."""
    axes = panels(drawn["samples low-posterior"])
    assert [*axes] == ["gaussian", "dp", "pullback"]
    subject = of(digits, "gaussian")
    with stream(subject.seed, "plot of low posteriors"):
        z = torch.randn(1000, 6)
    q = torch.distributions.Normal(subject.encoded.mean.double(), subject.encoded.log_variance.double().mul(0.5).exp())
    log_q = q.log_prob(z[:, None].double()).sum(-1).logsumexp(1)
    assert (shown(axes["gaussian"]).reshape(25, 8, 8) == decoded(subject, z[log_q.argsort()[:25]])).all()


def test_points_in_the_plane_are_scattered(trained: Results):
    parts = {one.part: one for one in PLOTS["samples"].drawings(trained.on("moons"))}
    assert set(parts) == {"draws", "reconstructions"}
    (axes,) = parts["reconstructions"].figure.axes
    test, again = (cloud.get_offsets() for cloud in axes.collections)
    assert np.allclose(test, of(trained.on("moons"), "gaussian").data.test[:1000])
    assert len(again) == 1000
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x1", "x2")


def test_points_beyond_the_panel_are_counted():
    """The test points' range is [0, 1] x [0, 2], with 0.4 of it on each side [-0.4, 1.4] x [-0.8, 2.8]."""
    test = torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.5, 1.0]])
    points = torch.tensor([[1.39, 2.79], [1.41, 0.0], [0.0, -0.81], [9.0, 9.0], [-0.39, -0.79]])
    (axes,) = samples.clouds({"wide": points}, test).axes
    assert axes.get_title() == "wide (3 beyond)"
    assert np.allclose([*axes.get_xlim(), *axes.get_ylim()], [-0.4, 1.4, -0.8, 2.8])
    (axes,) = samples.clouds({"narrow": points[:1]}, test).axes
    assert axes.get_title() == "narrow"


# Traversals


def test_pairs_are_of_different_classes_where_there_are_any(digits: Results):
    data = of(digits, "gaussian").data
    classes = data.labels[2]
    found = traversals.pairs(data)
    assert len(found) == 2
    assert len({int(classes[i]) for pair in found for i in pair}) == 4
    assert all(classes[i] not in classes[:i] for pair in found for i in pair)
    for count, pairs in ((9, [(0, 1), (2, 3)]), (3, [(0, 1)]), (1, [])):
        assert traversals.pairs(SimpleNamespace(labels=None, test=range(count))) == pairs
    assert traversals.pairs(labelled([7, 7, 3, 7, 3])) == [(0, 2)]


def labelled(classes: Sequence[int]) -> Dataset:
    return SimpleNamespace(labels=(None, None, torch.tensor(classes)))


def test_interpolations_go_from_code_to_code(digits: Results, drawn: dict[str, Drawing]):
    """Ends are test images, the middle is that of the codes, or the inverse of the middle between what a flow maps."""
    first = drawn["traversals interpolations"].figure.axes[0]
    rows = names(first.yaxis)
    assert rows == ["gaussian", "dp", "dp, in z0", "pullback", "flexae"]
    pictures = shown(first)
    a, b = traversals.pairs(of(digits, "gaussian").data)[0]
    for row, method in zip(pictures, ["gaussian", "dp", "dp", "pullback", "flexae"], strict=True):
        subject = of(digits, method)
        assert (row[[0, -1]] == 255 * subject.data.test[[a, b]][:, 0].numpy()).all()
        ends = decoded(subject, subject.q.mean[[a, b]])
        assert np.abs(row[[1, -2]] - ends).max() <= 1  # a flow's inverse rounds
    for index, method in ((0, "gaussian"), (1, "dp")):
        subject = of(digits, method)
        assert (pictures[index, 5] == decoded(subject, subject.q.mean[[a, b]].mean(0, keepdim=True))[0]).all()
    dp = of(digits, "dp")
    with torch.no_grad():
        middle = dp.prior.from_base(dp.prior.to_base(dp.q.mean[[a, b]]).mean(0, keepdim=True))
    assert np.abs(pictures[2, 5] - decoded(dp, middle)[0]).max() <= 1
    assert (pictures[2, 5] != pictures[1, 5]).any()


@pytest.mark.parametrize("method", ["gaussian", "flexae"])
def test_traversals_move_one_active_dimension_by_its_standard_deviations(
    method: str, digits: Results, drawn: dict[str, Drawing]
):
    subject = of(digits, method)
    dimensions, z = traversals.moved(subject)
    spread = subject.encoded.mean.var(0)
    assert dimensions == sorted(range(6), key=lambda d: -spread[d])[:5]
    assert z.shape == (5, 7, 6)
    draws = subject.encoded.sample((100,)).flatten(0, 1)  # 119,700 of the aggregate posterior
    for d, path in zip(dimensions, z, strict=True):
        others = [i for i in range(6) if i != d]
        assert (path[:, others] == subject.q.mean[0, others]).all()
        steps = (path[:, d] - subject.q.mean[0, d]) / draws[:, d].std()
        assert np.allclose(steps, range(-3, 4), rtol=0.02, atol=1e-6)
    axes = panels(drawn["traversals dimensions"])[method]
    assert names(axes.yaxis) == [f"z{d + 1}" for d in dimensions]
    assert names(axes.xaxis) == ["-3", "-2", "-1", "0", "+1", "+2", "+3"]
    assert (shown(axes)[2] == decoded(subject, z[2])).all()


# Neighbours


def test_neighbours_are_the_nearest_of_all_training_images(digits: Results, drawn: dict[str, Drawing]):
    axes = panels(drawn["neighbours"])
    assert [*axes] == ["test images", "gaussian", "dp", "pullback", "flexae"]
    data = of(digits, "gaussian").data
    test, training = (np.rint(255 / 16 * x.numpy()).reshape(-1, 64) for x in (data.test.grey.stored, data.train.stored))
    for name, one in axes.items():
        images, near = shown(one).reshape(2, 8, 64)
        distance = cdist(images, training)
        assert np.allclose([float(label) for label in names(one.xaxis)], distance.min(1) / 255, atol=0.0051)
        assert (near == training[distance.argmin(1)]).all()
        expected = (
            test[:8] if name == "test images" else decoded(of(digits, name), of(digits, name).draws[: neighbours.COUNT])
        )
        assert (images == expected.reshape(8, 64)).all()


# The critic


class Squares(DataCritic):
    """D(x) = ||x||^2."""

    def sample(self, n: int) -> Tensor:
        pytest.fail("the plot needs no draws")

    def criticise_data(self, x: Tensor) -> Tensor:
        return x.square().sum(-1)


def test_critic_goes_along_straight_lines_between_codes_of_two_images():
    """Codes 0, 1, 2, ... in one dimension without spread: D at t is (2 i + t)^2 for G(z) = z."""
    z = torch.arange(200.0)[:, None]
    q = DiagonalNormal(z, torch.full_like(z, -100))
    subject = SimpleNamespace(seed=0, q=q, prior=Squares(), model=SimpleNamespace(decode=lambda z: z))
    values = critic.criticised(subject, critic.between(subject))
    t = np.arange(25) / 24
    expected = (2 * np.arange(64)[:, None] + t) ** 2
    assert np.allclose(values, expected, rtol=1e-5, atol=1e-6)
    (axes,) = style.panels(1)[1]
    critic.lines(axes, values)
    curves = {line.get_label(): line for line in axes.get_lines()}
    assert len(curves) == 65
    assert np.allclose(curves["mean"].get_ydata(), expected.mean(0), rtol=1e-5)
    assert np.allclose(curves["pair 2"].get_ydata(), expected[1], rtol=1e-5)
    (band,) = axes.collections
    x, y = band.get_paths()[0].vertices.T
    error = expected.std(0, ddof=1) / 8
    assert np.allclose([np.ptp(y[abs(x - one) < 1e-3]) for one in t], 2 * error, rtol=1e-4)


def test_pictures_stand_below_their_place_on_the_line(digits: Results, drawn: dict[str, Drawing]):
    above, below = drawn["critic"].figure.axes
    assert above.get_title() == "pullback"
    assert "lower is more real" in above.get_ylabel()
    subject = of(digits, "pullback")
    curve = next(line.get_ydata() for line in above.get_lines() if line.get_label() == "pair 3")
    pictures = shown(below)
    assert pictures.shape[:2] == (3, 9)
    with torch.no_grad():  # what is shown is rounded to grey levels
        again = subject.prior.criticise_data(torch.from_numpy(pictures[2] / 255).float()[:, None])
    assert np.allclose(curve[::3], again, atol=0.02 * np.abs(curve).max())


# All of them


def test_what_these_plots_cannot_show(trained: Results):
    digits = trained.on("digits")
    for name, part, reason in (
        ("samples", trained.on("onehot"), "neither of pictures nor of points"),
        ("traversals", trained.on("moons"), "not made of pictures"),
        ("neighbours", trained.on("onehot"), "not made of pictures"),
        ("critic", trained.on("moons"), "not made of pictures"),
        ("critic", Results(digits.suite, digits.of("gaussian"), digits.workspace), "critic of data"),
        *((name, Results(digits.suite, digits.of("data"), digits.workspace), "has a model") for name in OURS),
    ):
        with pytest.raises(Unsupported, match=reason):
            PLOTS[name].drawings(part)


def test_every_axis_has_a_name_and_every_drawing_a_caption(drawn: dict[str, Drawing]):
    assert all(one.caption.endswith(".") and "seed 0" in one.caption.lower() for one in drawn.values())
    for name in ("traversals interpolations", "traversals dimensions", "neighbours"):
        assert all(axes.get_xlabel() for axes in drawn[name].figure.axes if axes.axison)


def test_the_same_runs_make_the_same_bytes(digits: Results, drawn: dict[str, Drawing], tmp_path: Path):
    torch.rand(3)  # the state around is no part of it
    again = Results(digits.suite, digits.runs, digits.workspace)
    for name in OURS:
        for one in PLOTS[name].drawings(again):
            pair = (drawn[f"{name} {one.part}".strip()].figure, one.figure)
            files = [style.write(figure, tmp_path / str(i), ("svg",))[0] for i, figure in enumerate(pair)]
            assert files[0].read_bytes() == files[1].read_bytes()
