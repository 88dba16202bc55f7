"""Plots of latent spaces: what stands in them, against densities and shares that are computed here."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from benchmarks.common import style
from benchmarks.common.seeds import stream
from benchmarks.config import suite
from benchmarks.datasets import Split
from benchmarks.estimators.latent import draw_codes
from benchmarks.metrics import Evaluated
from benchmarks.plots import latent, leakage, plane, posteriors
from benchmarks.plots.base import PLOTS, Drawing, Results
from benchmarks.runner.execute import execute
from benchmarks.runner.workspace import Workspace
from priors.base import Unsupported

pytestmark = pytest.mark.long

SUITE = """
title = "Two dimensions"
datasets = ["moons", "onehot"]
methods = ["data", "gaussian", "dp", "ae-gmm", "flexae"]
seeds = 1
metrics = ["pms_train_train"]

[model]
widths = [16]
latent_dim = 2
likelihood = "gaussian-fixed"

[training]
epochs = 1
batch_size = 500

[prior.dpflow]
widths = [8]
couplings = 3

[prior.pgen]
widths = [8]

[dataset.onehot]
model = { likelihood = "bernoulli" }
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two moons with all methods, the unit vectors with two."""
    folder = tmp_path_factory.mktemp("plane")
    (folder / "plane.toml").write_text(SUITE)
    chosen, workspace = suite.read(str(folder / "plane.toml")), Workspace(folder / "results", folder)
    runs = [run for run in suite.expand(chosen) if run.dataset == "moons" or run.method in ("gaussian", "flexae")]
    assert {execute(run, workspace).status for run in runs} == {"ok"}
    return Results(chosen, tuple(runs), workspace)


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids that take no time."""
    monkeypatch.setattr(plane, "SIDE", 60)


@pytest.fixture
def moons(trained: Results) -> Results:
    return trained.on("moons")


def draw(name: str, results: Results) -> list[Drawing]:
    return PLOTS[name].drawings(results)


def of(results: Results, method: str) -> Evaluated:
    return results.evaluated(results.first()[method])


def only(results: Results, *methods: str) -> Results:
    return replace(results, runs=tuple(run for run in results.runs if run.method in methods))


def clouds(axes: Axes) -> list[np.ndarray]:
    """What is scattered in a panel, (n, 2) each, without the legend's entries."""
    return [np.asarray(one.get_offsets()) for one in axes.collections if len(one.get_offsets()) > 1]


def labels(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


def mixture(subject: Evaluated) -> MixtureSameFamily:
    """q(z) written out."""
    q = posteriors_of(subject)
    return MixtureSameFamily(Categorical(logits=q.mean.new_zeros(len(q.mean))), q)


def posteriors_of(subject: Evaluated) -> Independent:
    """q(z|x) of all training points, in float64."""
    q = subject.encoded
    return Independent(Normal(q.mean.double(), (0.5 * q.log_variance.double()).exp()), 1)


def log_q(subject: Evaluated, z: Tensor) -> Tensor:
    return torch.cat([mixture(subject).log_prob(part.double()) for part in z.split(1000)])


def log_p(z: Tensor) -> Tensor:
    """Of N(0, I)."""
    return Normal(0.0, 1.0).log_prob(z.double()).sum(-1)


# Laws on the plane


def test_regions_of_a_normal_law():
    """The smallest region that holds a share a of N(0, I) in the plane is the disc with r^2 = -2 ln(1 - a)."""
    z = torch.randn(200_000, 2, dtype=torch.float64)
    expected = [math.log(1 - mass) - math.log(2 * math.pi) for mass in (0.99, 0.9, 0.5)]
    assert plane.levels(plane.Law(z, log_p(z), log_p)) == pytest.approx(expected, abs=0.05)


def test_grid_has_the_second_coordinate_in_its_rows():
    x, y, values = plane.on_grid(plane.Law(torch.zeros(1, 2), None, lambda z: z @ torch.tensor([1.0, 10.0])), WINDOW)
    assert (x[0], x[-1], y[0], y[-1]) == (-1, 1, 2, 6)
    assert torch.allclose(values, x[None] + 10 * y[:, None])


WINDOW = torch.tensor([[-1.0, 1.0], [2.0, 6.0]])


def test_windows_hold_the_points():
    points = torch.tensor([[0.0, 1.0], [10.0, 3.0]])
    assert torch.allclose(plane.around(points), torch.tensor([[-0.5, 10.5], [0.5, 3.5]]))
    assert torch.allclose(plane.square(points), torch.tensor([[-0.5, 10.5], [-3.5, 7.5]]))
    many = torch.arange(1001.0)[:, None].expand(-1, 2)
    assert torch.allclose(plane.within(many), torch.tensor([[1.0, 1.0], [999.0, 999.0]]))


@torch.no_grad()
def test_generation_space_by_the_maps_jacobian(moons: Results):
    """ln f(z) - ln |det dg/dz| with the determinant by automatic differentiation; of the prior it is N(0, I)."""
    subject = of(moons, "dp")
    space = latent.generation_space(latent.latent_space(subject), subject.prior)
    z = subject.draws[:20]
    z0 = subject.prior.to_base(z)
    jacobian = torch.stack([torch.autograd.functional.jacobian(subject.prior.to_base, one) for one in z])
    expected = log_q(subject, z) - jacobian.double().det().abs().log()
    assert torch.allclose(space.codes.log_prob(z0), expected, atol=2e-3)
    assert torch.allclose(space.prior.log_prob(z0), log_p(z0), atol=1e-3)
    assert torch.allclose(space.prior.at_draws, log_p(space.prior.draws), atol=1e-3)
    codes = subject.codes[0][:20].float()
    assert torch.allclose(space.codes.draws[:20], subject.prior.to_base(codes))
    assert torch.allclose(space.codes.at_draws[:20], space.codes.log_prob(space.codes.draws[:20]), atol=2e-3)


# The drawings


@pytest.fixture
def columns(moons: Results) -> dict[str, list[Axes]]:
    """By method its panels, from above."""
    (drawing,) = draw("latent", moons)
    grid = np.array(drawing.figure.axes).reshape(3, 4).T
    return {column[0].get_title(): [axes for axes in column if axes.axison] for column in grid}


def test_a_column_a_method(columns: dict[str, list[Axes]]):
    """The data on a plane below, then the generation space of a flow; what a law lacks is left out."""
    names = {method: [axes.get_xlabel() for axes in column] for method, column in columns.items()}
    plain = ["$z_{1}$", "$x_{1}$"]
    assert names == {"gaussian": plain, "dp": [*plain, "$z_{01}$"], "ae-gmm": plain, "flexae": plain}
    assert labels(columns["gaussian"][0]) == ["prior p(z)", "aggregate posterior q(z)", "pockets", "leaks"]
    assert labels(columns["dp"][2]) == labels(columns["gaussian"][0])
    assert labels(columns["ae-gmm"][0]) == ["prior p(z)", "codes of test points"]
    assert labels(columns["flexae"][0]) == ["draws of the prior", "codes of test points"]


def test_grey_areas_are_the_priors_regions(columns: dict[str, list[Axes]]):
    """Discs for N(0, I), by draws: of 5000, 50 are outside of the widest, hence the tolerance."""
    filled = columns["gaussian"][0].collections[0]
    for path, mass in zip(filled.get_paths(), (0.99, 0.9, 0.5), strict=True):
        radius = np.linalg.norm(path.vertices, axis=1).max()
        assert radius == pytest.approx(math.sqrt(-2 * math.log(1 - mass)), abs=0.15)


@torch.no_grad()
def test_pockets_and_leaks_are_the_extremes(moons: Results, columns: dict[str, list[Axes]]):
    """Of 1000 draws those with the lowest mixture density, of 1000 codes those furthest out, and these decoded."""
    subject = of(moons, "gaussian")
    with stream(subject.seed, "plot of latent spaces"):
        subject.q[:500].sample()
        draws, (codes, _) = torch.randn(1000, 2), draw_codes(subject.aggregate, 1000)
    pockets = draws[log_q(subject, draws).argsort()[:5]]
    leaks = codes[codes.norm(dim=1).argsort(descending=True)[:5]].float()
    *_, found_pockets, found_leaks = clouds(columns["gaussian"][0])
    assert np.allclose(found_pockets, pockets)
    assert np.allclose(found_leaks, leaks)
    test, drawn, *extremes = clouds(columns["gaussian"][1])
    assert np.allclose(test, subject.data.test[:500])
    for found, z in zip((drawn, *extremes), (subject.draws[:500], pockets, leaks), strict=True):
        assert np.allclose(found, subject.model.decode(z), atol=1e-6)


@torch.no_grad()
def test_laws_without_a_density_are_points(moons: Results, columns: dict[str, list[Axes]]):
    subject = of(moons, "flexae")
    drawn, codes = clouds(columns["flexae"][0])
    assert np.allclose(drawn, subject.draws[:500])
    assert np.allclose(codes, subject.model.encode(subject.data.test[:500]).mean)


def test_many_methods_make_several_drawings(moons: Results, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(latent, "ACROSS", 3)
    drawings = draw("latent", moons)
    titles = [[axes.get_title() for axes in one.figure.axes if axes.get_title()] for one in drawings]
    assert titles == [["gaussian", "dp", "ae-gmm"], ["flexae"]]
    assert [one.part for one in drawings] == ["1", "2"]
    assert "generation space" in drawings[0].caption
    assert "generation space" not in drawings[1].caption


def test_posteriors_of_distinct_points(trained: Results):
    """Each unit vector's draws lie where its posterior is, with its spread, in a window of each panel's own."""
    results = trained.on("onehot")
    (drawing,) = draw("posteriors", results)
    first, second = drawing.figure.axes
    assert labels(first)[:2] == ["prior p(z)", "x = (1, 0, 0, 0)"]
    q = of(results, "gaussian").model.encode(torch.eye(4))
    drawn = torch.from_numpy(np.stack(clouds(first)[-4:]))
    assert drawn.shape == (4, 250, 2)
    spread = q.variance.detach().sqrt()
    assert ((drawn.mean(1) - q.mean.detach()).abs() < 5 * spread / 250**0.5).all()
    assert ((drawn.std(1) / spread - 1).abs() < 0.25).all()
    codes = of(results, "flexae").model.encode(torch.eye(4)).mean.detach()
    assert np.allclose(np.stack(clouds(second)[-4:]), codes[:, None].expand(-1, 250, -1), atol=1e-6)
    for axes in (first, second):
        everything = np.concatenate(clouds(axes)[-4:])
        low, high = zip(axes.get_xlim(), axes.get_ylim(), strict=True)
        assert ((everything > low) & (everything < high)).all()
    assert np.ptp(first.get_xlim()) > 2 * np.ptp(second.get_xlim())


def test_distinct_points():
    x = torch.eye(4, dtype=torch.uint8).repeat(600, 1)
    assert posteriors.distinct(Split(x, 1.0)).tolist() == torch.eye(4).tolist()
    with pytest.raises(Unsupported, match="more than 10 distinct"):
        posteriors.distinct(Split(torch.arange(1011)[:, None] // 100, 1.0))
    assert posteriors.names(torch.tensor([[0.5, -1.0]])) == ["x = (0.5, -1)"]
    assert posteriors.names(torch.zeros(2, 1, 3, 3)) == ["point 1", "point 2"]


# Leakage


@torch.no_grad()
def test_densities_at_codes_and_draws(trained: Results):
    """By a mixture written out; a code's own posterior is subtracted from it where it is left out."""
    subject = of(trained.on("onehot"), "gaussian")
    found, (codes, j), n = leakage.densities(subject), subject.codes, len(subject.encoded.mean)
    q, each = log_q(subject, codes), posteriors_of(subject).base_dist
    own = Normal(each.loc[j], each.scale[j]).log_prob(codes).sum(-1)
    without = (n * q.exp() - own.exp()).log() - math.log(n - 1)
    expected = (log_p(codes), q, without, log_p(subject.draws), log_q(subject, subject.draws))
    for ours, theirs, tolerance in zip(found, expected, (1e-5, 1e-6, 1e-6, 1e-5, 1e-6), strict=True):
        assert (ours - theirs).abs().max() < tolerance


@pytest.fixture
def found() -> dict[str, leakage.Densities]:
    """Log-densities that are all unlike each other; at ten codes of one method ln p is far below all others."""
    values = torch.randn(2, 5, 5000, dtype=torch.float64)
    values[1, 0, :10] -= 30
    return dict(zip("ab", (leakage.Densities(*(part + torch.arange(5)[:, None])) for part in values), strict=True))


def line(figure: Figure, panel: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    return next(one.get_data() for one in figure.axes[panel].lines if one.get_label() == method)


@pytest.mark.parametrize("method", "ab")
def test_leakage_score_over_thresholds(method: str, found: dict[str, leakage.Densities]):
    """Means over codes, over all methods' range; the mean over few leaking codes is not drawn."""
    figure = leakage.score(found, style.styles("ab"))
    p, q = found[method].p_at_codes.numpy(), found[method].q_at_codes.numpy()
    thresholds, score = line(figure, 0, method)
    _, among = line(figure, 1, method)
    assert thresholds[0] == pytest.approx(min(np.quantile(one.p_at_codes, 0.001) for one in found.values()))
    assert thresholds[-1] == pytest.approx(max(one.p_at_codes.max() for one in found.values()))
    leaks = p < thresholds[:, None]
    assert np.allclose(score, (leaks * (q - p)).mean(1))
    many = leaks.sum(1) >= 10
    assert 0 < many.sum() < len(many)
    assert np.allclose(among[many], [(q - p)[row].mean() for row in leaks[many]])
    assert np.isnan(among[~many]).all()


@pytest.mark.parametrize("method", "ab")
def test_shares_at_quantiles(method: str, found: dict[str, leakage.Densities]):
    """Leaks: ln p at codes against ln p at draws. Pockets: ln q at draws against ln q at codes, their own left out."""
    p_at_codes, _, without, p_at_draws, q_at_draws = found[method]
    figure = leakage.share(found, style.styles("ab"))
    for panel, other, own in ((0, p_at_codes, p_at_draws), (1, q_at_draws, without)):
        levels, share = line(figure, panel, method)
        assert (levels[0], levels[-1]) == pytest.approx((1e-3, 1))
        expected = (other.numpy() < np.quantile(own, levels)[:, None]).mean(1)
        assert np.allclose(np.nan_to_num(share), expected, atol=2.1e-4)  # a draw: quantiles' last digits differ


def test_no_share_is_not_drawn():
    other, own, levels = torch.tensor([5.0, 2.0]), torch.arange(5.0), torch.tensor([0.25, 0.5, 0.75])
    assert leakage.below(other, own, levels).tolist() == pytest.approx([math.nan, math.nan, 0.5], nan_ok=True)


def test_band_holds_what_fits():
    """Two sets of 5000 draws of one law, 300 times: the share stays within the band at 95 % or so."""
    levels = torch.tensor([0.01, 0.1, 0.5])
    axes = Figure().subplots()
    leakage.diagonal(axes, levels)
    corners = axes.collections[0].get_paths()[0].vertices
    low, high = ([pick(corners[np.isclose(corners[:, 0], one), 1]) for one in levels] for pick in (min, max))
    shares = np.array([leakage.below(*torch.randn(2, 5000), levels).numpy() for _ in range(300)])
    inside = ((shares > low) & (shares < high)).mean(0)
    assert ((inside > 0.91) & (inside < 0.985)).all()


def test_what_has_no_density_is_left_out_and_named(trained: Results):
    drawings = draw("leakage", trained.on("onehot"))
    assert [one.part for one in drawings] == ["score", "share"]
    for one in drawings:
        assert one.caption.endswith("Here left out, without a density of codes or prior: flexae.")
        assert "onehot, seed 0." in one.caption
        assert [label for label in labels(one.figure.axes[0]) if label != "a prior that fits"] == ["gaussian"]


# Where there is no such figure, and the same twice


@pytest.mark.parametrize("name", ["latent", "posteriors", "leakage"])
def test_none_without_a_model(name: str, moons: Results):
    with pytest.raises(Unsupported, match="model"):
        draw(name, only(moons, "data"))


@pytest.mark.parametrize("name", ["latent", "posteriors"])
def test_none_in_three_dimensions(name: str, moons: Results):
    runs = [run.model_copy(update={"model": run.model.model_copy(update={"latent_dim": 3})}) for run in moons.runs]
    with pytest.raises(Unsupported, match="two dimensions"):
        draw(name, replace(moons, runs=tuple(runs)))


def test_no_posteriors_of_many_points(moons: Results):
    with pytest.raises(Unsupported, match="more than 10 distinct"):
        draw("posteriors", only(moons, "gaussian"))


def test_no_leakage_of_deterministic_encoders(moons: Results):
    with pytest.raises(Unsupported, match="posterior"):
        draw("leakage", only(moons, "ae-gmm", "flexae"))


@pytest.mark.parametrize(("name", "dataset"), [("latent", "moons"), ("posteriors", "onehot"), ("leakage", "onehot")])
def test_the_same_runs_the_same_bytes(name: str, dataset: str, trained: Results, tmp_path: Path):
    results, written = only(trained.on(dataset), "gaussian"), []
    for folder in ("first", "second"):
        torch.rand(3)
        drawings = draw(name, replace(results, recalled={}))
        files = [style.write(one.figure, tmp_path / folder / one.part, ("png", "svg")) for one in drawings]
        written.append([file.read_bytes() for both in files for file in both])
    assert written[0] == written[1]
