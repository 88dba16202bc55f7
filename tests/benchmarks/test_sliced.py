"""The sliced Wasserstein distance against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from benchmarks.estimators.frechet import frechet, moments
from benchmarks.estimators.sliced import directions, mind, sliced_wasserstein


def test_directions_are_unit_vectors_from_the_random_state():
    found = directions(5, 100)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(100, dtype=torch.float64))
    torch.manual_seed(0)
    assert torch.equal(directions(5, 100), found)


def test_a_shift_is_its_root_mean_square_coordinate():
    """Exactly so along every axis; along random directions with the error of a mean of them."""
    x, v = torch.randn(50, 6), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, -1.0])
    expected = v.square().mean().sqrt().item()
    assert sliced_wasserstein(x + v, x, torch.eye(6)) == pytest.approx(expected, rel=1e-6)
    # (t.v)^2 / |v|^2 of D = 6 coordinates is Beta(1/2, 5/2): its variance is 2 (D - 1) / (D^2 (D + 2)).
    error = expected * math.sqrt(2 * 5 / (36 * 8) * 36 / 20_000) / 2
    assert sliced_wasserstein(x + v, x, directions(6, 20_000)) == pytest.approx(expected, abs=5 * error)


def test_closed_form_of_normals():
    """sqrt(|m - n|^2 / D + (s - r)^2). Of N points along a line, W_2^2 of one law is ln ln N / N at least and far below
    1e-2 at 4000; the means' own errors are 5 s / sqrt(N) at most."""
    n, m, s, r = 4000, torch.tensor([0.5, -0.5, 1.0, 0.0]), 1.5, 0.5
    a, b = m + s * torch.randn(n, 4), r * torch.randn(n, 4)
    expected = math.sqrt(m.square().sum().item() / 4 + (s - r) ** 2)
    assert sliced_wasserstein(a, b, directions(4, 500)) == pytest.approx(expected, abs=5 * s / math.sqrt(n))


def test_a_line_is_optimal_transport():
    """Against the assignment of least cost, which is the optimal plan by its definition."""
    x, y = torch.randn(20, 1, dtype=torch.float64), torch.rand(20, 1, dtype=torch.float64) ** 3
    cost = (x - y.T).square().numpy()
    least = cost[linear_sum_assignment(cost)].mean()
    assert sliced_wasserstein(x, y, torch.ones(1, 1)) == pytest.approx(math.sqrt(least), rel=1e-9)


def test_bias_and_order():
    """Two samples of one law are not at 0, and more points are nearer to it; the order of points does not count."""
    along = directions(8, 200)
    few, many = (sliced_wasserstein(torch.randn(n, 8), torch.randn(n, 8), along) for n in (30, 3000))
    assert 0 < many < few / 3
    x = torch.randn(30, 8)
    assert sliced_wasserstein(x, x.flip(0), along) == pytest.approx(0, abs=1e-12)


def test_sets_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"one shape .* \(3, 2\) and \(4, 2\)"):
        sliced_wasserstein(torch.zeros(3, 2), torch.zeros(4, 2), directions(2, 3))


def test_mind_of_a_shift_and_of_a_scale():
    """3 |v|^2 of a shift v, and 3 D (s - r)^2 of N(0, s^2 I) and N(0, r^2 I): along every direction both are exact."""
    x, along = torch.randn(500, 8, dtype=torch.float64), directions(8, 4000)
    v = torch.arange(8, dtype=torch.float64)
    assert mind(x, x + v, along) == pytest.approx(3 * v.square().sum().item(), rel=0.1)
    assert mind(x, 2 * x, along) == pytest.approx(3 * x.square().sum(1).mean().item(), rel=0.05)
    assert mind(x, x[torch.randperm(500)], along) == 0


def test_mind_sees_what_moments_do_not():
    """Ones and minus ones have the mean and covariance of a standard normal variable, so that Frechet's is at 0; along
    a coordinate W_2^2 is 2 - 2 E|x| = 2 - 2 sqrt(2 / pi)."""
    n = 20_000
    x = torch.randn(n, 1, dtype=torch.float64)
    y = torch.ones(n, 1, dtype=torch.float64)
    y[::2] = -1
    expected = 3 * (2 - 2 * math.sqrt(2 / math.pi))
    assert mind(x, y, directions(1, 10)) == pytest.approx(expected, abs=0.05)
    assert frechet(moments(x), moments(y)) < 0.001
