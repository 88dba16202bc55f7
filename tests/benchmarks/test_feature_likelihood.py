"""The likelihood's gap between training and test points under a mixture around generated ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from torch import Tensor

from benchmarks.estimators import feature_likelihood
from benchmarks.estimators.feature_likelihood import likelihood_gap


def normal(n: int, dimensions: int = 6) -> Tensor:
    return torch.randn(n, dimensions, dtype=torch.float64)


def log_likelihood(x: np.ndarray, centres: np.ndarray, variance: np.ndarray) -> float:
    """By scipy's own normal law."""
    terms = [multivariate_normal(c, v).logpdf(x) for c, v in zip(centres, variance, strict=True)]
    return float(logsumexp(terms, axis=0).mean() - np.log(len(centres)))


def test_against_a_descent_in_scipy(monkeypatch: pytest.MonkeyPatch):
    """The same optimum found by another method on another implementation of the density."""
    monkeypatch.setattr(feature_likelihood, "STEPS", 2000)
    g, x, y = (one.numpy() for one in (normal(3, 2), normal(80, 2), normal(50, 2)))
    mean, scale = x.mean(0), x.std(0, ddof=1)
    a, b, c = ((one - mean) / scale for one in (g, x, y))
    best = minimize(lambda t: -log_likelihood(b, a, np.exp(t)), np.zeros(3), method="BFGS", tol=1e-10)
    expected = -best.fun - log_likelihood(c, a, np.exp(best.x))
    assert likelihood_gap(*map(torch.tensor, (g, x, y))).value == pytest.approx(expected, abs=1e-4)


def test_copies_open_the_gap_and_new_points_less():
    train, test = normal(400), normal(400)
    new, few, all_copies = normal(200), normal(200), train[:200]
    few[:40] = train[:40]
    gaps = [likelihood_gap(one, train, test).value for one in (new, few, all_copies)]
    assert gaps[0] < gaps[1] < gaps[2]
    assert gaps[0] < 1 < gaps[2]


def test_the_variance_around_a_copy_is_bounded():
    """Its gain is finite, and that of the least variance that is allowed."""
    train = normal(100)
    x = ((train - train.mean(0)) / train.std(0)).numpy()
    square = cdist(x, x) ** 2
    np.fill_diagonal(square, np.inf)
    floor = feature_likelihood.LEAST * np.median(square.min(1)) / 6
    seen = log_likelihood(x, x, np.full(100, floor))
    found = feature_likelihood.fitted(torch.tensor(cdist(x, x) ** 2), 6, floor)
    assert found.min().item() == pytest.approx(floor)
    assert torch.isfinite(found).all()
    assert log_likelihood(x, x, found.numpy()) == pytest.approx(seen, rel=0.05)


def test_a_coordinate_that_no_training_point_moves_in_is_not_blown_up():
    """A test point that differs there in the fifth digit was 10^10 nats away."""
    g, x, y = normal(50), normal(100), normal(100)
    before = likelihood_gap(g, x, y).value
    more = [torch.cat([one, torch.full((len(one), 1), 0.5)], 1) for one in (g, x, y)]
    more[2][0, -1] += 1e-5
    assert likelihood_gap(*more).value == pytest.approx(before, rel=0.5, abs=0.5)


def test_training_points_that_are_met_twice_leave_the_gap_a_number():
    x = normal(50).repeat(3, 1)
    found = likelihood_gap(x[:80], x, normal(60))
    assert 1 < found.value < 1000
    one = torch.ones(20, 6, dtype=torch.float64)
    assert math.isfinite(likelihood_gap(one, one, one).value)


def test_scale_does_not_matter():
    g, x, y = normal(50), normal(100), normal(100)
    scale = torch.tensor([1e-3, 1, 10, 100, 1e4, 3], dtype=torch.float64)
    plain, scaled = likelihood_gap(g, x, y), likelihood_gap(*(one * scale + 7 for one in (g, x, y)))
    assert scaled.value == pytest.approx(plain.value, rel=1e-6)
