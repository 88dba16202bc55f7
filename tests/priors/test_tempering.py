"""ln Z and draws by sequential Monte Carlo, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from priors.parts import tempering
from priors.parts.log_z import log_z_of
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.parts.tempering import Step, along, annealed, measured, move, next_temperature, path, resample


def normal(n: int, dim: int = 40) -> Tensor:
    return torch.randn(n, dim)


def shifted(z: Tensor) -> Tensor:
    """e^5 times a normal, 4 from the origin, of deviation 0.5."""
    law = DiagonalNormal(
        torch.full(z.shape[-1:], 4 / math.sqrt(z.shape[-1])), torch.full(z.shape[-1:], -2 * math.log(2))
    )
    return 5 + law.log_prob(z)


@pytest.mark.long
def test_log_z_and_draws_of_a_shifted_normal():
    found = annealed(shifted, normal, 1024, 16, 300)
    estimate = log_z_of(found.log_z)
    assert abs(estimate.value - 5) < 4 * estimate.error < 0.4
    assert found.z.shape == (1024, 40)
    assert found.z.mean().item() == pytest.approx(4 / math.sqrt(40), abs=0.02)
    assert found.z.std(0).mean().item() == pytest.approx(0.5, abs=0.03)


def test_where_nothing_is_to_be_annealed_there_is_one_step_and_no_error():
    found = annealed(lambda z: log_standard_normal(z) + 3, normal, 64, 16, 64)
    assert len(path(lambda z: log_standard_normal(z) + 3, normal(64), 64)) == 1
    torch.testing.assert_close(found.log_z, torch.full((16,), 3.0, dtype=torch.float64))


def test_a_fixed_path_is_unbiased_even_where_it_is_poor():
    """Three temperatures, clumsy steps and 8 particles a group: single estimates are off by far, their mean is not."""
    steps = [Step(0.3, 1.5), Step(0.6, 0.01), Step(1.0, 0.2)]
    f = lambda z: log_standard_normal(z) - 1.5 * z.square().sum(-1)  # noqa: E731
    log_z = along(f, steps, normal(8 * 4000, 2), 4000, 8 * 4000).log_z
    weight = log_z.exp()
    assert log_z.std() > 0.2
    assert abs(weight.mean().item() - 1 / 4) < 4 * weight.std().item() / math.sqrt(4000)


def test_moves_leave_the_tempered_density_alone():
    b = 0.5
    f = lambda z: log_standard_normal(z) - 1.5 * z.square().sum(-1)  # noqa: E731
    z = torch.randn(20_000, 2) / math.sqrt(1 + 3 * b)
    cloud = measured(f, z, 20_000)
    for _ in range(5):
        cloud, accepted = move(f, cloud, Step(b, 0.4), 20_000)
    assert 0.5 < accepted < 1
    assert cloud.z.var().item() == pytest.approx(1 / (1 + 3 * b), rel=0.03)
    assert (cloud.z != z).any(1).float().mean() > 0.5
    torch.testing.assert_close(cloud.log_f, f(cloud.z))


def test_a_proposal_where_the_density_is_no_number_is_rejected():
    def inside(z: Tensor) -> Tensor:
        return torch.where(z[:, 0] > 2, torch.nan, log_standard_normal(z))

    z = torch.randn(500, 2).clamp(max=1.9)
    cloud, _ = move(inside, measured(inside, z, 500), Step(1.0, 1.0), 500)
    assert cloud.z.isfinite().all()
    assert (cloud.z[:, 0] <= 2).all()


def test_systematic_resampling_within_groups():
    log_weight = torch.log(torch.tensor([[1.0, 2.0, 1.0, 4.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64))
    counts = torch.stack([torch.bincount(resample(log_weight), minlength=8) for _ in range(2000)]).double()
    torch.testing.assert_close(counts.mean(0), torch.tensor([0.5, 1, 0.5, 2, 1, 1, 1, 1]).double(), rtol=0, atol=0.06)
    assert (counts[:, 4:] == 1).all()


def test_the_next_temperature_has_the_effective_share():
    ratio = 30 * torch.randn(5000)
    b = next_temperature(ratio, 0.2)
    weight = ((b - 0.2) * ratio.double()).softmax(0)
    assert 1 / (5000 * weight.square().sum().item()) == pytest.approx(tempering.COUNTED, abs=1e-3)
    assert next_temperature(torch.zeros(10), 0.2) == 1.0


def test_a_path_ends_whatever_the_density(monkeypatch):
    monkeypatch.setattr(tempering, "MOST", 5)
    assert [step.b for step in path(lambda z: -1e6 * (z - 3).abs().sum(-1), normal(64), 64)][-1] == 1.0
