"""A training step on MNIST, and how calls are timed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

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


def timed(calls: Sequence[Callable[[], object]]) -> float:
    """Seconds of all calls one after another."""
    start = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - start
