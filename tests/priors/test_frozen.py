"""A mixture as an evaluation asks for it: in the precision that it needs."""

from __future__ import annotations

import math

import pytest
import torch

from priors.parts.normal import EVALUATED, Frozen, NormalMixture


def mixture(log_variance: float, far: float = 2.0, components: int = 50, latent: int = 20) -> NormalMixture:
    mean, weight = far * torch.randn(components, latent), torch.rand(components)
    return NormalMixture(mean, torch.full((components, latent), log_variance), (weight / weight.sum()).log())


@pytest.mark.parametrize(("log_variance", "exact"), [(0.0, False), (-2.0, False), (-5.0, True), (-12.0, True)])
def test_precision_follows_the_rounding(log_variance: float, exact: bool):
    """Codes of the mixture have its log-density within EVALUATED nats, and within far less in float64, a millionth."""
    law = mixture(log_variance)
    frozen, z = Frozen(law), law.sample(200)
    assert (frozen.dtype == torch.float64) is exact
    expected = law.double().log_prob(z.double())
    torch.testing.assert_close(frozen(z), expected, rtol=0, atol=1e-6 if exact else EVALUATED)


@pytest.mark.parametrize("log_variance", [-2.0, -12.0])
def test_codes_far_from_every_component(log_variance: float):
    """The log-density is large there, and right to float32's steps of it; infinitely far it is no number above."""
    law = mixture(log_variance)
    z = 100 * torch.randn(50, 20)
    torch.testing.assert_close(Frozen(law)(z), law.double().log_prob(z.double()), rtol=1e-5, atol=0)


def test_centre_far_from_zero():
    """The centre is rounded once, for codes and components alike."""
    law = mixture(0.0)
    moved = NormalMixture(law.mean + 1000.1, law.log_variance, law.log_weight)
    z = moved.sample(100)
    torch.testing.assert_close(Frozen(moved)(z), moved.double().log_prob(z.double()), rtol=0, atol=EVALUATED)


def test_a_component_without_weight():
    law = mixture(0.0, components=2)
    law = NormalMixture(law.mean, law.log_variance, torch.tensor([0.0, -math.inf]))
    z = law.mean[:1]
    torch.testing.assert_close(Frozen(law)(z), law.double().log_prob(z.double()))


def test_gradients_are_the_laws_own():
    law = mixture(0.0)
    z = law.sample(5).requires_grad_()
    value = Frozen(law)(z)
    assert torch.equal(value, law.double().log_prob(z.double()))
    assert torch.autograd.grad(value.sum(), z)[0].isfinite().all()
