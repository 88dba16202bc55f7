"""Networks' parts that priors share."""

from __future__ import annotations

import pytest
import torch

from priors.parts.networks import dropout


def test_dropout_keeps_the_mean():
    """Its numbers are 0 or h / (1 - share), and 0 in that share of cases, within five standard errors."""
    count, share = 40_000, 0.3
    kept = dropout(torch.full((count,), 7.0), share)
    torch.testing.assert_close(kept.unique(), torch.tensor([0.0, 7 / 0.7]))
    assert (kept == 0).float().mean().item() == pytest.approx(share, abs=5 * (share * (1 - share) / count) ** 0.5)


def test_dropout_of_nothing_draws_nothing():
    before = torch.random.get_rng_state()
    h = torch.randn(0)
    assert dropout(h, 0.0) is h
    torch.testing.assert_close(torch.random.get_rng_state(), before)
