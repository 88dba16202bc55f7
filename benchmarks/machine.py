"""The machine that runs are computed on: what a worker sets, and what is recorded of it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def reset_peak_memory() -> None:
    """Starts the process's peak anew, so that a run is not charged for the one before it (Linux; elsewhere it is)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> float:
    """MiB: of the device's tensors on an accelerator, of the whole process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 2**10
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@lru_cache
def environment(device: str) -> dict[str, Any]:
    """What the figures were computed with."""
    packages = ("torch", "numpy", "scipy", "pydantic")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in packages},
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The harness's own git commit, where it runs from a checkout."""
    folder = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def prepare_worker() -> None:
    """One thread a worker (more only get in each other's way), and products in full float32.

    Numbers below float32's normal range (1e-38) count as zero: the responsibilities of a mixture's far components give
    such gradients by the million, and a processor multiplies them more than ten times slower.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("highest")
