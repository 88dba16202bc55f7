"""The measurement of matrix products notes all of them, and only them. No test here measures time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.common.errors import UsageError
from benchmarks.speed import scaling
from benchmarks.speed.products import Products, like
from benchmarks.speed.step import passes


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
    expanded = torch.randn(3).expand(5, 3)
    assert like(expanded).stride() == (0, 1)


@pytest.mark.long
def test_seeds_in_turn_and_together_are_told_or_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A line a method, and both in a file with the machine, beside a figure."""
    few = ("--seeds", "2", "--rounds", "1", "--workers", "1", "--compile", "off", "--data", str(tmp_path))
    assert scaling.main([*few, "--method", "gaussian", "pullback", "--results", str(tmp_path)]) == 0
    gaussian, pullback = (line for line in capsys.readouterr().out.splitlines() if line[:8] in ("gaussian", "pullback"))
    name, alone, _, together, _, gain, _ = gaussian.split()
    assert (name, float(gain) >= 1) == ("gaussian", True)
    assert max(float(together) / float(alone), 1) == pytest.approx(float(gain), rel=0.1)
    assert "Conv2d is not stacked" in pullback
    kept = json.loads((tmp_path / "speed-scaling.json").read_text())
    assert kept["rows"]["gaussian"]["in turn"] > 0
    assert kept["machine"]["processor"]
    assert (tmp_path / "speed-scaling.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_is_a_setting_with_values():
    assert scaling.overrides("a.b=1,2") == [("a.b=1",), ("a.b=2",)]
    with pytest.raises(UsageError, match="setting and its values"):
        scaling.overrides("a.b")


def test_adams_passes_read_and_write_28_bytes_a_weight():
    """Two sums of three arrays and a write, of four bytes a number."""
    with Watched() as watched:
        passes(10)()
    assert watched.numbers == 7 * 10


class Watched(TorchDispatchMode):
    """Counts numbers read and written."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "randn" not in str(function) and "unbind" not in str(function):
            given = [one for one in (*args, *(kwargs or {}).values()) if isinstance(one, torch.Tensor)]
            self.numbers += sum(one.numel() for one in given)
        return function(*args, **(kwargs or {}))
