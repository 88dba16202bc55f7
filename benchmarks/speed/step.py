"""A training step on MNIST, and how calls are timed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.config import suite
from benchmarks.config.suite import Request
from benchmarks.runner.build import build
from benchmarks.runner.record import Record
from benchmarks.runner.train import Trainer
from benchmarks.runner.workspace import Workspace


def make_trainer(method: str, data: Path, *overrides: str) -> Trainer:
    """Of the suite iop-table2's networks and settings: D = 40, gated layers 500-500, batches of 100, one thread."""
    request = Request(datasets=("mnist",), methods=(method,), seeds=(0,), overrides=overrides)
    (run,) = suite.expand(suite.read("iop-table2"), request)
    dataset = Workspace(Path(tempfile.gettempdir()), data).dataset(run)
    model, prior = build(run, dataset)
    record = Record(Path(tempfile.mkdtemp(prefix="priorbench-")))
    return Trainer(model, prior, dataset, run.training, run.seed, record)


def passes(numbers: int) -> Callable[[], object]:
    """What reads and writes as many bytes as Adam does for so many weights: seven passes over arrays of their size."""
    a, b, c = torch.randn(3, numbers).unbind()

    def call() -> None:
        torch.add(a, b, out=c)
        torch.add(b, c, out=a)
        a.zero_()

    return call


def in_turns(sides: Mapping[str, Sequence[Callable[[], object]]], rounds: int) -> dict[str, list[float]]:
    """The processor's seconds of each side's calls, one after another, in every round; a first round warms up."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, calls in sides.items():
            found[name].append(timed(calls))
    return {name: times[1:] for name, times in found.items()}


def timed(calls: Sequence[Callable[[], object]]) -> float:
    """The processor's seconds of all calls one after another."""
    start = time.process_time()
    for call in calls:
        call()
    return time.process_time() - start
