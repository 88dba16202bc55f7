"""In which arithmetic trainings make their products, and what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch

from benchmarks.common.errors import UsageError
from benchmarks.runner import arithmetic

CPU, CARD = torch.device("cpu"), torch.device("cuda:0")


def test_tf32_is_on_within_and_as_before_afterwards():
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [one.allow_tf32 for one in switches]
    with suppress(ZeroDivisionError), arithmetic.within("tf32", CARD):
        assert all(one.allow_tf32 for one in switches)
        raise ZeroDivisionError
    assert [one.allow_tf32 for one in switches] == before


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_products_are_in_the_precision(precision: str, dtype: torch.dtype):
    with arithmetic.within(precision, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_tf32_is_a_gpus():
    with pytest.raises(UsageError, match="tf32' is a GPU's"):
        arithmetic.demand("tf32", CPU)
    arithmetic.demand("bfloat16", CPU)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_cards_before_ampere_are_refused_what_they_have_not(monkeypatch: pytest.MonkeyPatch, precision: str):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UsageError, match=r"has 7\.5: take float32"):
        arithmetic.demand(precision, CARD)
    arithmetic.demand("float32", CARD)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    arithmetic.demand(precision, CARD)
