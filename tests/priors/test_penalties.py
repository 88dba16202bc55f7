"""Gradient penalties against slopes computed by hand, of linear critics and of quadratic ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from priors.parts.penalties import PENALTIES, interpolate, slope, wgan_div_1, wgan_div_2, wgan_gp

BY_SLOPE = {
    "wgan-gp": lambda s: 10 * (s - 1).square().mean(),
    "wgan-div-1": lambda s: 2 * s.pow(6).mean(),
    "wgan-div-2": lambda s: 2 * s.pow(6).mean(),
}


def pairs(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(7, *shape, dtype=torch.float64), 3 + torch.randn(7, *shape, dtype=torch.float64)


def quadratic(a: Tensor | float) -> Callable[[Tensor], Tensor]:
    """D(x) = a ||x||^2 / 2: its slope at x is a ||x||."""
    return lambda x: a * x.flatten(1).square().sum(1) / 2


@pytest.mark.parametrize("length", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("name", PENALTIES)
def test_of_a_linear_critic(name, length):
    real, fake = pairs(3)
    w = torch.randn(3, dtype=torch.float64)
    w = (w * length / w.norm()).requires_grad_()
    value = PENALTIES[name](lambda x: x @ w + 0.3, real, fake)
    expected = {"wgan-gp": 10 * (length - 1) ** 2}.get(name, 2 * length**6)
    assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    (gradient,) = torch.autograd.grad(value, w)
    along_w = {"wgan-gp": 20 * (length - 1) / length}.get(name, 12 * length**4)
    torch.testing.assert_close(gradient, along_w * w.detach(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["wgan-gp", "wgan-div-1"])
def test_is_taken_at_one_interpolate_of_every_pair(name):
    real, fake = pairs(1, 2, 2)
    torch.manual_seed(5)
    value = PENALTIES[name](quadratic(0.4), real, fake)
    torch.manual_seed(5)
    share = torch.rand(7, 1, 1, 1, dtype=torch.float64)
    points = fake + share * (real - fake)
    torch.testing.assert_close(value, BY_SLOPE[name](0.4 * points.flatten(1).norm(dim=1)), rtol=1e-9, atol=0)
    at_ends = BY_SLOPE[name](0.4 * torch.cat([real, fake]).flatten(1).norm(dim=1))
    assert abs(value - at_ends) > 0.1 * at_ends  # or the points would not matter


def test_wgan_div_2_is_taken_at_the_points_themselves():
    real, fake = pairs(1, 2, 2)
    at_real, at_fake = (0.4 * points.flatten(1).norm(dim=1) for points in (real, fake))
    expected = 2 * (at_real.pow(6).mean() + at_fake.pow(6).mean()) / 2
    torch.testing.assert_close(wgan_div_2(quadratic(0.4), real, fake), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_in_the_critic_is_that_of_finite_differences(name):
    real, fake = pairs(4)

    def penalty(a: Tensor) -> Tensor:
        torch.manual_seed(1)
        return PENALTIES[name](quadratic(a), real, fake)

    a, h = torch.tensor(0.3, dtype=torch.float64, requires_grad=True), 1e-5
    (gradient,) = torch.autograd.grad(penalty(a), a)
    with torch.no_grad():
        lower, upper = a - h, a + h
    difference = (penalty(upper) - penalty(lower)) / (2 * h)
    torch.testing.assert_close(gradient, difference.detach(), rtol=1e-6, atol=0)


def test_interpolates_fill_the_segment_evenly_one_for_every_pair():
    real, fake = torch.ones(20_000, 2, dtype=torch.float64), torch.zeros(20_000, 2, dtype=torch.float64)
    points = interpolate(real, fake)
    assert torch.equal(points[:, 0], points[:, 1])
    share = points[:, 0]
    error = share.std() / len(share) ** 0.5
    assert abs(share.mean() - 1 / 2) < 4 * error
    assert abs(share.square().mean() - 1 / 3) < 4 * share.square().std() / len(share) ** 0.5


def test_weights_and_powers_are_settings():
    real, fake = pairs(3)
    w = torch.tensor([0.0, 2.0, 0.0], dtype=torch.float64)
    assert wgan_gp(lambda x: x @ w, real, fake, weight=3.0).item() == pytest.approx(3.0)
    for divergence in (wgan_div_1, wgan_div_2):
        assert divergence(lambda x: x @ w, real, fake, weight=5.0, power=3.0).item() == pytest.approx(40.0)


@pytest.mark.parametrize("name", PENALTIES)
def test_of_a_flat_critic_has_a_finite_gradient(name):
    real, fake = pairs(3)
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(PENALTIES[name](lambda x: x @ w, real, fake), w)
    assert gradient.isfinite().all()


def test_no_gradient_reaches_the_points():
    real, fake = (points.requires_grad_() for points in pairs(3))
    a = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert slope(quadratic(a), interpolate(real, fake)).requires_grad
    for name in PENALTIES:
        PENALTIES[name](quadratic(a), real, fake).backward()
    assert real.grad is None
    assert fake.grad is None
