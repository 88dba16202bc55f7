"""Clipped density and coverage: their formula by plain loops, and their calibration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from benchmarks.estimators.clipped import clipped, clipped_means, expected_counts
from benchmarks.estimators.manifold import manifold_means

K = 5


def normal(n: int, dimensions: int = 8) -> Tensor:
    return torch.randn(n, dimensions, dtype=torch.float64)


def by_loops(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Clipped density, and the mean clipped count of coverage before its calibration, as the definition reads."""
    among = cdist(y, y)
    radius = np.sort(among, axis=1)[:, K]
    narrow, across = np.minimum(radius, np.median(radius)), cdist(x, y)
    own = [min(1, sum(among[m, i] <= narrow[i] for i in range(len(y)) if i != m) / K) for m in range(len(y))]
    fair = [min(1, sum(across[j, i] <= narrow[i] for i in range(len(y))) / K) for j in range(len(x))]
    reached = [min(1, sum(across[j, i] <= radius[i] for j in range(len(x))) / K) for i in range(len(y))]
    return float(np.mean(fair) / np.mean(own)), float(np.mean(reached))


def test_against_the_definition():
    x, y = 1.2 * normal(60, 3), normal(41, 3)  # an odd number: the median is a radius
    density, reached = by_loops(x.numpy(), y.numpy())
    found = clipped(x, y)
    assert found.clipped_density == pytest.approx(density, abs=1e-12)
    share = np.interp(reached, expected_counts(120, 41, K), np.arange(121)) / 60
    assert found.clipped_coverage == pytest.approx(share, abs=1e-12)


def test_the_law_of_the_count_in_a_ball():
    """Uniform points on a line: the mass of a ball to the k-th of M - 1 others is Beta(k, M - k), by simulation."""
    random, m, s = np.random.default_rng(0), 40, 30
    mass = np.sort(random.uniform(size=(20_000, m - 1)), axis=1)[:, K - 1]
    simulated = np.minimum(random.binomial(s, mass) / K, 1)
    error = simulated.std() / len(simulated) ** 0.5
    assert expected_counts(s, m, K)[s] == pytest.approx(simulated.mean(), abs=4 * error)


@pytest.mark.parametrize("bad", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("n", [400, 1000])
def test_a_share_of_bad_samples_lowers_both_by_that_share(bad: float, n: int):
    """Means over twelve pairs of sets within four standard errors, which are about 0.01."""
    found = []
    for _ in range(12):
        x, y = normal(n), normal(1000)
        x[: round(bad * n)] += 100
        found.append(clipped(x, y))
    values = torch.tensor(found, dtype=torch.float64)
    error = values.std(0) / len(values) ** 0.5
    assert error.max() < 0.02
    assert ((values.mean(0) - (1 - bad)).abs() < 4 * error + 0.01).all(), values.mean(0)


def test_missing_data_lower_coverage_alone():
    y = normal(1000)
    y[:500, 0] += 100
    found = clipped(normal(1000), y)
    assert found.clipped_coverage == pytest.approx(0.5, abs=0.06)
    assert found.clipped_density == pytest.approx(1, abs=0.1)


def test_outliers_among_the_real_points_do_not_make_bad_samples_good():
    """Density counts noise in the balls of a few far real points many times over; clipped density does not."""
    y, noise = normal(500), 20 * normal(500)
    y[:20] *= 20
    assert clipped(noise, y).clipped_density < 0.02
    x = y[:20].repeat(25, 1) + normal(500)
    assert manifold_means(x, y)["density"].value > 0.3
    assert clipped(x, y).clipped_density < 0.1


def test_errors_are_those_of_drawing_both_sets():
    values = torch.tensor([clipped(normal(200), normal(200)) for _ in range(60)], dtype=torch.float64)
    found = clipped_means(normal(200), normal(200))
    for one, spread in zip(found.values(), values.std(0).tolist(), strict=True):
        assert 0.5 < one.error / spread < 1.8


def test_too_few_points():
    with pytest.raises(ValueError, match="more than 5 points"):
        clipped(normal(5), normal(50))
