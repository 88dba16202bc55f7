"""The measurement of matrix products notes all of them, and only them. No test here measures time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.speed import scaling
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


@pytest.mark.long
def test_seeds_in_turn_and_together_are_told_or_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A line a method."""
    few = ("--seeds", "2", "--rounds", "1", "--data", str(tmp_path))
    assert scaling.main([*few, "--method", "gaussian", "pullback"]) == 0
    *_, gaussian, pullback = capsys.readouterr().out.splitlines()
    name, alone, together, ratio, *_ = gaussian.split()
    assert (name, float(ratio) > 0) == ("gaussian", True)
    assert float(together) / float(alone) == pytest.approx(float(ratio), rel=0.1)
    assert pullback.split(maxsplit=1) == ["pullback", "Conv2d is not stacked"]
