"""Figures of points and codes against closed forms: distances, off-manifold draws, and how prior and codes differ."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import wasserstein_distance

from benchmarks.datasets import Split
from benchmarks.estimators.codes import wasserstein_1
from benchmarks.estimators.neighbours import nearest
from benchmarks.metrics import METRICS, Evaluated
from benchmarks.metrics.protocol import ProtocolSettings
from priors.base import Prior, Unsupported
from priors.parts.normal import DiagonalNormal, mixture_of
from priors.registry import make
from priors.testing import toy_host


def test_wasserstein_distance_in_one_dimension_is_scipys():
    a, b = torch.randn(60, 1), 2 * torch.randn(60, 1) + 1
    assert wasserstein_1(a, b) == pytest.approx(wasserstein_distance(a[:, 0], b[:, 0]))


def test_wasserstein_distance_of_a_shift_is_its_length():
    a = torch.randn(40, 5)
    assert wasserstein_1(a, a[torch.randperm(40)] + torch.tensor([3.0, 0, 4, 0, 0])) == pytest.approx(5.0, rel=1e-5)


def made_of(q: DiagonalNormal, prior: object, **others: object) -> Evaluated:
    """A subject whose posteriors of test and training points are `q`."""
    made = Evaluated(
        SimpleNamespace(**others), ProtocolSettings(), seed=0, model=SimpleNamespace(decode=lambda z: z), prior=prior
    )
    made.q, made.aggregate = q, mixture_of(q, "test").double()
    return made


def subject(shape: tuple[int, ...] = (2,)) -> Evaluated:
    """Data and codes on two lines x1 = -1 and x1 = 1 of length 2; the decoder is the identity, the prior U(-2, 2)^2."""
    side = torch.linspace(-1, 1, 201)
    points = torch.cat([torch.stack([x1 * torch.ones_like(side), side], 1) for x1 in (-1.0, 1.0)])
    q = DiagonalNormal(points, torch.full_like(points, 2 * math.log(0.05)))
    test = points + 0.05 * torch.randn(402, 2)
    uniform = SimpleNamespace(sampler="", sample=lambda n: 4 * torch.rand(n, 2) - 2)
    return made_of(q, uniform, shape=shape, train=Split(points, 1.0), test=Split(test, 1.0))


@pytest.mark.long
def test_off_manifold_share_is_the_area_away_from_the_data():
    """The limit r is the largest distance of a test point: off is what lies outside two stadiums of radius r."""
    made = subject()
    figures = {(one.metric, str(one.estimator)): one for one in METRICS["off_manifold"](made)}
    r = nearest(made.data.test[:], made.data.train[:]).distance.max().item()
    near = 2 * (2 * 2 * r + math.pi * r**2) / 16
    share = figures["off_manifold", "prior"]
    assert abs(share.value - (1 - near)) < 4 * share.error + 1e-3
    assert figures["off_manifold", "low-posterior"].value == 1  # the corners, where q(z) is lowest
    assert figures["off_manifold", "pockets"].value <= share.value
    assert figures["manifold_distance", "low-posterior"].value > figures["manifold_distance", "prior"].value > 0


@pytest.mark.long
def test_a_prior_on_the_data_has_no_pockets():
    made = subject()
    made.prior = SimpleNamespace(sampler="", sample=lambda n: made.q.mean[torch.randint(402, (n,))])
    figures = {(one.metric, str(one.estimator)): one.value for one in METRICS["off_manifold"](made)}
    assert {value for (name, _), value in figures.items() if name == "off_manifold"} == {0.0}


def test_off_manifold_is_for_points_of_few_dimensions():
    with pytest.raises(Unsupported, match="16 dimensions"):
        METRICS["off_manifold"](subject((1, 28, 28)))


def test_latent_distance_stands_beside_its_floor():
    made = subject()
    made.prior = SimpleNamespace(sampler="", sample=lambda n: torch.randn(n, 2))
    made.q = DiagonalNormal(torch.randn(402, 2) + torch.tensor([3.0, 4.0]), torch.full((402, 2), -20.0))
    figures = {(one.metric, str(one.estimator)): one.value for one in METRICS["latent_w1"](made)}
    assert figures["latent_w1", "ot-402"] == pytest.approx(5.0, abs=0.3)
    assert 0 < figures["latent_w1", "ot-402-floor"] < 0.5
    assert figures["latent_spread", "codes"] == pytest.approx(math.sqrt(2), abs=0.2)


def latent_subject(prior: Prior | None = None) -> Evaluated:
    """A standard normal prior; every posterior is N(.3, .8 I) in two dimensions, so q(z) is that law too."""
    q = DiagonalNormal(torch.full((50, 2), 0.3), torch.full((50, 2), math.log(0.8)))
    return made_of(q, prior or make("gaussian", toy_host(latent_dim=2)))


@pytest.mark.long
def test_latent_fit_of_two_normals_is_the_closed_form():
    figures = {str(one.estimator): one for one in METRICS["skl"](latent_subject())}
    for name in ("direct-5000", "leave-one-out-5000"):
        assert abs(figures[name].value - 0.2525) < 4 * figures[name].error
        assert figures[name].error < 0.02
    assert figures["1-nn-5000"].value == pytest.approx(0.2525, abs=0.15)
    assert figures["1-nn-5000-floor"].value == pytest.approx(0, abs=0.1)


def test_leakage_of_two_normals_is_the_divergence_at_a_high_threshold():
    made = latent_subject()
    figures = {(one.metric, str(one.estimator)): one for one in METRICS["leakage"](made)}
    kl = 0.5 * (2 * (0.8 - 1 - math.log(0.8)) + 0.18)
    everywhere = figures["leakage", "tau=-1"]  # ln p(z) is below -1 for every z
    assert abs(everywhere.value - kl) < 4 * everywhere.error
    assert figures["leaking_codes", "tau=-1"].value == 1
    assert figures["leaking_codes", "tau=-90"].value == 0
    assert figures["leakage", "tau=-90"].error is None


def test_surgery_of_equal_posteriors_finds_no_information():
    figures = {one.metric: one.value for one in METRICS["elbo_surgery"](latent_subject())}
    assert figures["mutual_information"] == pytest.approx(0, abs=1e-6)
    assert figures["kl"] == pytest.approx(figures["marginal"])


@pytest.mark.long
def test_a_prior_without_a_density_has_the_nearest_neighbour_form_alone():
    made = latent_subject(make("pgen", toy_host(latent_dim=2), widths=(8,)))
    assert [str(one.estimator) for one in METRICS["skl"](made)] == ["1-nn-5000", "1-nn-5000-floor"]
    with pytest.raises(Unsupported, match="PGen"):
        METRICS["leakage"](made)


def test_frechet_distance_of_shifted_points_is_the_shift():
    """Squared, with equal spreads: generated points are the test points moved by (3, 4)."""
    points = torch.randn(500, 2)
    made = made_of(
        DiagonalNormal(points, torch.zeros(500, 2)),
        SimpleNamespace(sampler="", sample=lambda n: points[:n] + torch.tensor([3.0, 4.0])),
        shape=(2,), of_pictures=False, train=Split(torch.randn(1000, 2), 1.0), test=Split(points, 1.0),
    )  # fmt: skip
    distance, floor = METRICS["fd_data"](made)
    assert distance.value == pytest.approx(25, rel=1e-5)
    assert 0 < floor.value < 0.05
    made.data.of_pictures = True
    with pytest.raises(Unsupported, match="pictures"):
        METRICS["fd_data"](made)
