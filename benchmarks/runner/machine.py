"""The machine that runs are computed on: its devices, what a worker sets, and what is recorded of it.

Nothing here starts CUDA but what says so: a command's own process holds none, so that its workers have the cards alone.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.errors import UsageError

CPU = torch.device("cpu")

WORKERS_A_GPU = 4
"""Runs of networks as small as most are leave a card waiting for its next kernel: several share it."""

THREADS = 8
"""Most threads of a worker beside a GPU, for what is computed on the CPU there: eigenvalues, expectation maximisation,
assignments, the classifier."""

FREED = 31 * 2**20
"""A little below the 32 MiB beyond which glibc learns nothing from a block."""

PROBE = "import sys, torch; torch.zeros(1, device=sys.argv[1])"


# Devices


def device(name: str) -> str:
    """The device of this name, or for "auto" the best there is; UsageError for one that cannot be used.

    A GPU is tried in a process of its own, which ends.
    """
    if name == "auto":
        return "cuda" if torch.cuda.device_count() and not fault("cuda") else "cpu"
    if reason := fault(name):
        raise UsageError(f"--device {name} cannot be used here: {reason}; use cpu, or auto for the best there is.")
    return name


def fault(name: str) -> str:
    """What is wrong with a device, in a line; empty where nothing is."""
    try:
        kind = torch.device(name)
        if kind.type != "cuda":
            torch.zeros(1, device=kind)
            return ""
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    count = torch.cuda.device_count()  # by the driver's library where it can, which starts nothing
    if (kind.index or 0) >= count:
        return f"torch {torch.__version__} sees {count} GPUs"
    return probed(name)


@lru_cache
def probed(name: str) -> str:
    """The last line that a process says which puts a number onto the device; empty where it can."""
    done = subprocess.run([sys.executable, "-c", PROBE, name], capture_output=True, text=True)
    return (done.stderr.strip().splitlines() or ["no reason was given"])[-1] if done.returncode else ""


def device_of(name: str, worker: int) -> str:
    """A worker's device: of "cuda", all visible GPUs, one in turn; any other is everybody's.

    worker: its number from 0. Workers that live for one run are numbered by the place that they take, so that at any
    time all cards have equally many.
    """
    return f"cuda:{worker % max(1, torch.cuda.device_count())}" if name == "cuda" else name


def default_workers(name: str, a_gpu: int = WORKERS_A_GPU) -> int:
    """One a core on a CPU; on GPUs `a_gpu` a card, and no more than there are cores."""
    kind = torch.device(name).type
    if kind != "cuda":
        return cores() if kind == "cpu" else 1
    cards = max(1, torch.cuda.device_count()) if name == "cuda" else 1
    return min(a_gpu * cards, cores())


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# What a worker sets


def prepare_worker(name: str = "cpu", workers: int = 1, threads: int = 0) -> None:
    """What a process sets before it computes on a device as one of so many workers.

    threads: 0 means on a CPU one thread a worker, as more only get in each other's way; beside a GPU the cores are
    shared out.

    Products and convolutions are in full float32. Numbers below float32's normal range (1e-38) count as zero: the
    responsibilities of a mixture's far components give such gradients by the million, and a processor multiplies them
    more than ten times slower.
    """
    keep_freed_memory()
    on_gpu = torch.device(name).type == "cuda"
    threads = threads or (min(THREADS, max(1, cores() // workers)) if on_gpu else 1)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False  # the line above is of products alone
    if on_gpu:
        same_each_time()


def keep_freed_memory() -> None:
    """Has glibc keep up to twice FREED bytes that were freed, for the next who asks.

    It sets this bound by the largest block that was freed so far. With blocks of a megabyte it gives memory back to
    the system after every chunk of an evaluation, and takes it anew page by page: a third of the time was spent there.
    Other libraries of C, and memory that was never written to, are not concerned.
    """
    torch.empty(FREED, dtype=torch.uint8)


def same_each_time() -> None:
    """Has CUDA give the same estimates each time, as far as it can: before it is first used, as cuBLAS reads once.

    What has no such kernel (a spline's running sums) warns and goes on. Memory that is not initialised is left so.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set by its module


# What is recorded


def reset_peak_memory(where: torch.device = CPU) -> None:
    """Starts the peak anew, so that a run is not charged for the one before it: of the device's tensors on a GPU, of
    the process otherwise (on Linux; elsewhere it is)."""
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(where: torch.device) -> float:
    """MiB: of the device's tensors on a GPU, of the whole process otherwise."""
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where) / 2**20
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 2**10
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@lru_cache
def environment(name: str) -> dict[str, Any]:
    """What the estimates were computed with."""
    packages = ("torch", "numpy", "scipy", "pydantic")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "packages": {name: metadata.version(name) for name in packages},
        "threads": torch.get_num_threads(),
        "commit": commit(),
        **accelerator(name),
    }


def accelerator(name: str) -> dict[str, Any]:
    """The device by its name, and of a GPU, what else decides its estimates."""
    if torch.device(name).type != "cuda":
        return {"device": name}
    return {
        "device": torch.cuda.get_device_name(name),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "driver": driver(),
        "tf32": torch.get_float32_matmul_precision() != "highest" or torch.backends.cudnn.allow_tf32,
        "deterministic": torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic,
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model, where it is told, and the instructions that torch uses of it: another's kernels round
    otherwise."""
    found = None
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    model = found[1] if found else platform.processor()
    return f"{model or 'not known'}, {torch.backends.cpu.get_cpu_capability()}"


def driver(path: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version of NVIDIA's driver, where Linux tells it."""
    with suppress(OSError):
        found = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", path.read_text(encoding="utf-8"))
        return found and found[0]
    return None


@lru_cache
def commit() -> str | None:
    """The harness's own git commit, where it runs from a checkout: as it is when first asked for, before tables that
    git knows are written."""
    folder = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
