"""The likelihood of black and white pixels, multiplied in groups."""

from __future__ import annotations

import pytest
import torch

from models import bits
from models.bits import log_prob_of_bits
from models.likelihoods import Bernoulli

SHAPE = (1, 28, 28)


@pytest.fixture
def law() -> Bernoulli:
    return Bernoulli(SHAPE)


@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("images", [1, 3])
def test_score_is_the_log_probability(law: Bernoulli, scale: float, images: int):
    """Within float32's rounding of 784 factors, 5e-5 nats, whatever is certain of its pixel."""
    x = torch.randint(2, (images, *SHAPE)).float()
    out = scale * torch.randn(20, images, 1, *SHAPE)
    out = torch.where(torch.rand_like(out) < 0.98, out.abs() * (2 * x[:, None] - 1), out)  # mostly right
    expected = law.log_prob(x.double(), out.double())
    assert log_prob_of_bits(x.flatten(1), out.flatten(2)) is not None
    torch.testing.assert_close(law.score(x, out).double(), expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("change", ["grey", "impossible", "prime", "float64"])
def test_where_there_is_no_such_way_it_is_the_sum(change: str):
    """Grey pixels, a group less likely than float32 knows, 127 pixels, and another type: `log_prob` itself."""
    shape = (127,) if change == "prime" else SHAPE
    law, x = Bernoulli(shape), torch.randint(2, (2, *shape)).float()
    out = torch.randn(5, 2, 1, *shape)
    if change == "grey":
        x[0].view(-1)[3] = 0.5
    if change == "impossible":
        out[0] = -50 * (2 * x[:, None] - 1)
    if change == "float64":
        x, out = x.double(), out.double()
    assert torch.equal(law.score(x, out), law.log_prob(x, out))
    assert law.score(x, out).isfinite().all()


def test_no_number_below_the_normal_ones_is_trusted():
    """98 pixels of probability 1/e each have a product of e^-98, where float32 has few digits or none."""
    x, logits = torch.ones(1, 98), torch.full((3, 1, 98), -0.5413)
    assert log_prob_of_bits(x, logits) is None
    assert log_prob_of_bits(x, logits + 0.3) is not None


def test_it_changes_neither_argument_and_records_no_gradient():
    x, logits = torch.randint(2, (1, 98)).float(), torch.randn(4, 1, 98, requires_grad=True)
    before = logits.detach().clone()
    value = log_prob_of_bits(x, logits)
    assert value is not None
    assert not value.requires_grad
    assert torch.equal(logits, before)


def test_groups_divide_the_pixels():
    for pixels in (64, 560, 784, 3072, 12288):
        group = bits.group_of(pixels)
        assert group is not None
        assert pixels % group == 0
    assert bits.group_of(127) is None
