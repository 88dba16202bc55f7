"""The measurement of matrix products notes all of them, and only them. No test here measures time."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.speed.products import Products, like


def test_products_of_a_step_are_noted():
    """A linear layer and its backward pass: three products of 2 B I O flop, or two where x needs no gradient."""
    batch, inputs, outputs = 5, 7, 3
    for needs_gradient, count in ((False, 2), (True, 3)):
        x = torch.randn(batch, inputs, requires_grad=needs_gradient)
        with Products() as products:
            nn.Linear(inputs, outputs)(x).square().sum().backward()
        assert len(products.calls) == count
        assert products.flop == count * 2 * batch * inputs * outputs
        assert all(call().isfinite().all() for call in products.calls)


def test_operands_keep_their_layout():
    x = torch.randn(4, 6).T
    assert like(x).stride() == x.stride()
    assert like(x).shape == x.shape
