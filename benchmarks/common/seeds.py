"""Random streams named, not counted: adding one moves no other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_for(*names: str | int) -> int:
    """A 63-bit seed from a path of names, such as `seed_for(run_seed, "order", epoch)`.

    >>> seed_for(0, "order", 1) == seed_for(0, "order", 1), seed_for(0, "order", 1) == seed_for(0, "noise", 1)
    (True, False)
    """
    text = "/".join(map(str, names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def stream(*names: str | int) -> Iterator[None]:
    """Draws within come from the stream of this name; the one around goes on afterwards as if nothing had been drawn.

    >>> with stream(0, "codes"):
    ...     first = torch.rand(3)
    >>> with stream(0, "codes"):
    ...     bool((torch.rand(3) == first).all())
    True
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # to ask one would start CUDA
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed_for(*names))
        yield
