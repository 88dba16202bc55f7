"""MMD against loops, scikit-learn and the closed form for Gaussians."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor

from models.regularisers.mmd import Kernel, imq, mmd2, rbf

SCALES = (0.1, 0.2, 0.5, 1, 2, 5, 10)


def one_rbf(a: Tensor, b: Tensor) -> float:
    return math.exp(-sum((a - b) ** 2) / 3.0)


def one_imq(a: Tensor, b: Tensor) -> float:
    r2 = float(sum((a - b) ** 2))
    return sum(2 * len(a) * s / (2 * len(a) * s + r2) for s in SCALES)


@pytest.mark.parametrize(("kernel", "one"), [(rbf(3.0), one_rbf), (imq(3), one_imq)])
def test_double_loop(kernel: Kernel, one) -> None:
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64) + 0.5
    same_x = sum(one(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    same_y = sum(one(y[i], y[j]) for i in range(4) for j in range(4) if i != j) / (4 * 3)
    cross = sum(one(a, b) for a in x for b in y) / (5 * 4)
    assert mmd2(x, y, kernel).item() == pytest.approx(same_x + same_y - 2 * cross, rel=1e-12)


def test_against_sklearn() -> None:
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randn(20, 4, dtype=torch.float64) * 2
    xx, yy, xy = (rbf_kernel(a.numpy(), b.numpy(), gamma=1 / 16) for a, b in ((x, x), (y, y), (x, y)))
    expected = (xx.sum() - 30) / (30 * 29) + (yy.sum() - 20) / (20 * 19) - 2 * xy.mean()
    assert mmd2(x, y, rbf(16.0)).item() == pytest.approx(expected, rel=1e-10)


def expected_rbf(mean: float, variance: float, bandwidth2: float, dimensions: int) -> float:
    """E exp(-||u||^2 / c) for u ~ N(mean, variance I)."""
    wide = bandwidth2 + 2 * variance
    return (bandwidth2 / wide) ** (dimensions / 2) * math.exp(-dimensions * mean**2 / wide)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.7, 0.5)])
def test_unbiased_for_gaussians(shift: float, scale: float) -> None:
    """The mean over many small samples is MMD^2 itself, 0 where the laws are the same."""
    d, c = 3, 2.0
    exact = expected_rbf(0, 2, c, d) + expected_rbf(0, 2 * scale**2, c, d) - 2 * expected_rbf(shift, 1 + scale**2, c, d)
    x = torch.randn(2000, 6, d, dtype=torch.float64)
    y = shift + scale * torch.randn(2000, 8, d, dtype=torch.float64)
    estimates = torch.stack([mmd2(a, b, rbf(c)) for a, b in zip(x, y, strict=True)])
    error = estimates.std().item() / math.sqrt(2000)
    assert estimates.mean().item() == pytest.approx(exact, abs=4 * error)
    assert error < 0.005  # the biased estimate is off by more than 0.1
    assert exact == 0 or exact > 20 * error


@pytest.mark.parametrize("kernel", [rbf(2.0), imq(2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_with_gradient(kernel: Kernel, dtype: torch.dtype) -> None:
    """For samples of one, for points that coincide and far from the origin."""
    for x in (torch.ones(1, 2), torch.ones(4, 2), 1e4 + torch.randn(4, 2)):
        x = x.to(dtype).requires_grad_()
        value = mmd2(x, x.detach().roll(1, 0) + 0.5, kernel)
        (gradient,) = torch.autograd.grad(value, x)
        assert value.dtype == dtype
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_distances_are_exact_far_from_the_origin() -> None:
    x, y = torch.randn(6, 3), torch.randn(5, 3)
    near = mmd2(x.double(), y.double(), rbf(6.0))
    x, y = (x.double() + 1024).float(), (y.double() + 1024).float()
    assert mmd2(x, y, rbf(6.0)).item() == pytest.approx(near.item(), abs=1e-3)


def test_gradient_pulls_the_samples_together() -> None:
    x, y = torch.randn(50, 2, requires_grad=True), torch.randn(50, 2) + 3
    (gradient,) = torch.autograd.grad(mmd2(x, y, imq(2)), x)
    assert (gradient.mean(0) < 0).all()
