"""In which arithmetic a training's products are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from benchmarks.common.errors import UsageError

AMPERE = 8
"""CUDA's major capability from which cards have products in bfloat16 and TF32."""


def within(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within, products are in this precision: of float32 numbers with 24 bits (float32), 11 (tf32), or 8 (bfloat16)."""
    if precision == "tf32":
        return tf32()
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def tf32() -> Iterator[None]:
    """Within, CUDA's products and convolutions of float32 numbers are in TF32."""
    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [one.allow_tf32 for one in switches]
    for one in switches:
        one.allow_tf32 = True
    try:
        yield
    finally:
        for one, was in zip(switches, before, strict=True):
            one.allow_tf32 = was


def demand(precision: str, device: torch.device) -> None:
    """Raises UsageError for a precision that the device has not got, where it would be slower or another."""
    if precision == "tf32" and device.type != "cuda":
        raise UsageError("training.precision = 'tf32' is a GPU's: take float32, or bfloat16.")
    if precision != "float32" and device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if major < AMPERE:
            raise UsageError(
                f"training.precision = {precision!r} needs a GPU of compute capability {AMPERE}.0 or above, and "
                f"{device} has {major}.{minor}: take float32."
            )
