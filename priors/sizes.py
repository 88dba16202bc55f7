"""How much is computed at a time: what a processor's cache holds, or a share of an accelerator's memory."""

from __future__ import annotations

import torch

SHARE = 64
"""A chunk's largest array takes one part in so many of an accelerator's memory. A computation holds several such arrays
at once, and a card may have several workers (`benchmarks.runner.machine.WORKERS_A_GPU`)."""

BYTES = 8
"""Bytes of a number: the largest arrays are in float64."""

IMAGE = 2**14
"""About how many numbers a model computes for an image at once: 28 x 28 elements and twenty for each behind them."""


def rows(device: torch.device, numbers_a_row: int, on_cpu: int) -> int:
    """Rows of a chunk, at least one.

    On a CPU it is `on_cpu`, whatever the machine: results depend on the size of a chunk by rounding, and some by their
    draws, so it is a constant. On CUDA, where small chunks leave the device waiting for its next kernel, it is as many
    as a share of the device's memory holds. All of the memory is meant and not what is free of it just now, rounded
    down to a power of two: two runs on cards of one kind have the same chunks, and so the same results, whatever else
    goes on there.

    numbers_a_row: numbers that a row has in the chunk's largest array.
    """
    if device.type != "cuda":
        return on_cpu
    numbers = torch.cuda.get_device_properties(device).total_memory // (SHARE * BYTES)
    return max(1, (1 << numbers.bit_length() - 1) // numbers_a_row)
