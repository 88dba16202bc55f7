"""Distances between samples, and the figures made of them: off-manifold draws and the latent Wasserstein distance."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import wasserstein_distance
from sklearn.neighbors import NearestNeighbors

from benchmarks.datasets import Split
from benchmarks.evaluate import METRICS
from benchmarks.metrics.codes import nearest_distance, wasserstein_1
from priors.base import Unsupported
from priors.normal import DiagonalNormal, mixture_of


def test_nearest_distance_is_scikit_learns():
    points, reference = torch.randn(50, 3), torch.randn(80, 3)
    expected = NearestNeighbors(n_neighbors=1).fit(reference.numpy()).kneighbors(points.numpy())[0][:, 0]
    torch.testing.assert_close(nearest_distance(points, reference, rows=7), torch.as_tensor(expected).double())
    assert nearest_distance(reference[:5], reference).tolist() == [0.0] * 5


def test_wasserstein_distance_in_one_dimension_is_scipys():
    a, b = torch.randn(60, 1), 2 * torch.randn(60, 1) + 1
    assert wasserstein_1(a, b) == pytest.approx(wasserstein_distance(a[:, 0], b[:, 0]))


def test_wasserstein_distance_of_a_shift_is_its_length():
    a = torch.randn(40, 5)
    assert wasserstein_1(a, a[torch.randperm(40)] + torch.tensor([3.0, 0, 4, 0, 0])) == pytest.approx(5.0, rel=1e-5)


def subject(shape: tuple[int, ...] = (2,)) -> SimpleNamespace:
    """Data and codes on two lines x1 = -1 and x1 = 1 of length 2; the decoder is the identity, the prior U(-2, 2)^2."""
    side = torch.linspace(-1, 1, 201)
    points = torch.cat([torch.stack([x1 * torch.ones_like(side), side], 1) for x1 in (-1.0, 1.0)])
    q = DiagonalNormal(points, torch.full_like(points, 2 * math.log(0.05)))
    test = points + 0.05 * torch.randn(402, 2)
    return SimpleNamespace(
        data=SimpleNamespace(shape=shape, train=Split(points, 1.0), test=Split(test, 1.0)),
        prior=SimpleNamespace(sample=lambda n: 4 * torch.rand(n, 2) - 2),
        model=SimpleNamespace(decode=lambda z: z),
        q=q,
        aggregate=mixture_of(q, "test").double(),
        seed=0,
    )


def test_off_manifold_share_is_the_area_away_from_the_data():
    """The limit r is the largest distance of a test point: off is what lies outside two stadiums of radius r."""
    made = subject()
    figures = {(one.metric, one.estimator): one for one in METRICS["off_manifold"](made)}
    r = nearest_distance(made.data.test[:], made.data.train[:]).max().item()
    near = 2 * (2 * 2 * r + math.pi * r**2) / 16
    share = figures["off_manifold", "prior"]
    assert abs(share.value - (1 - near)) < 4 * share.error + 1e-3
    assert figures["off_manifold", "low-posterior"].value == 1  # the corners, where q(z) is lowest
    assert figures["off_manifold", "pockets"].value <= share.value
    assert figures["manifold_distance", "low-posterior"].value > figures["manifold_distance", "prior"].value > 0


def test_a_prior_on_the_data_has_no_pockets():
    made = subject()
    made.prior = SimpleNamespace(sample=lambda n: made.q.mean[torch.randint(402, (n,))])
    figures = {(one.metric, one.estimator): one.value for one in METRICS["off_manifold"](made)}
    assert {value for (name, _), value in figures.items() if name == "off_manifold"} == {0.0}


def test_off_manifold_is_for_points_of_few_dimensions():
    with pytest.raises(Unsupported, match="16 dimensions"):
        METRICS["off_manifold"](subject((1, 28, 28)))


def test_latent_distance_stands_beside_its_floor():
    made = subject()
    made.prior = SimpleNamespace(sample=lambda n: torch.randn(n, 2))
    made.q = DiagonalNormal(torch.randn(402, 2) + torch.tensor([3.0, 4.0]), torch.full((402, 2), -20.0))
    figures = {(one.metric, one.estimator): one.value for one in METRICS["latent_w1"](made)}
    assert figures["latent_w1", "ot-402"] == pytest.approx(5.0, abs=0.3)
    assert 0 < figures["latent_w1", "ot-402-floor"] < 0.5
    assert figures["latent_spread", "codes"] == pytest.approx(math.sqrt(2), abs=0.2)
