"""How much is computed at a time: constants on a CPU, a share of the memory elsewhere."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from priors import sizes
from priors.parts import importance

CARD = torch.device("cuda", 1)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A card whose memory a test may change."""
    card = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", {CARD: card}.__getitem__)
    return card


def test_on_a_cpu_it_is_the_constant():
    assert sizes.rows(torch.device("cpu"), 10**9, 512) == 512


def test_elsewhere_it_is_a_share_of_the_memory_and_a_power_of_two(memory: SimpleNamespace):
    assert sizes.rows(CARD, 1, 512) == 2**27  # 1 GiB in float64, of 80
    assert sizes.rows(CARD, 2**14, 512) == 2**13
    memory.total_memory += 123_456_789  # as cards of one kind differ
    assert sizes.rows(CARD, 1, 512) == 2**27


def test_it_is_one_at_least(memory: SimpleNamespace):
    memory.total_memory = 2**20
    assert sizes.rows(CARD, 2**30, 512) == 1


def test_draws_from_more_categories_than_multinomial_takes(monkeypatch: pytest.MonkeyPatch):
    """As often as the weights say, which need not sum to 1; none without weight, at the ends neither."""
    monkeypatch.setattr(importance, "CATEGORIES", 4)
    weight = torch.tensor([0.0, 1.0, 0.0, 3.0, 2.0, 0.0])
    found = importance.drawn(weight, 60_000)
    share = found.bincount(minlength=6) / 60_000
    torch.testing.assert_close(share, weight / 6, atol=0.01, rtol=0)
    assert (share[weight == 0] == 0).all()


def test_draws_are_multinomials_up_to_there():
    weight = torch.rand(50)
    torch.manual_seed(3)
    expected = torch.multinomial(weight, 20, replacement=True)
    torch.manual_seed(3)
    assert torch.equal(importance.drawn(weight, 20), expected)
