"""Cost of a training step under every prior, relative to the standard normal's: `python -m benchmarks.speed.priors`.

A ratio within one run counts; an absolute time on a machine with other work means little. All methods take turns, a few
steps a round, and the median over rounds of the ratio to the standard normal's time in the same round is printed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import nn

from benchmarks import suite
from benchmarks.datasets import DataError
from benchmarks.execute import Place, build, prepare_worker
from benchmarks.record import Record
from benchmarks.suite import Request
from benchmarks.train import Trainer
from priors.base import parameter_count

METHODS = (
    *("gaussian", "mixture", "vampprior", "implicit", "pullback", "naive-pullback", "dp", "autoregressive", "lars"),
    *("aggregate", "two-stage", "vae-gmm", "wae-mmd", "wae-wgan", "flexae", "flexae-sr"),
)
PUBLISHED = 2.83
"""VampPrior's training time over IOP's on MNIST, as IOP's authors report it (section 5.3)."""


@dataclass(frozen=True)
class Settings:
    """Times a training step on MNIST under every prior."""

    data: Path = Path("data")
    """Folder that holds MNIST."""
    methods: tuple[str, ...] = METHODS
    """Methods to time, the first being the measure of the others."""
    steps: int = 5
    """Steps a round."""
    rounds: int = 7
    """Rounds; the median of their ratios is printed."""


def make_trainer(method: str, data: Path) -> Trainer:
    """Of the suite iop-table2's networks and settings on MNIST: D = 40, gated layers 500-500, batch 100."""
    (run,) = suite.expand(suite.read("iop-table2"), Request(datasets=("mnist",), methods=(method,), seeds=(0,)))
    dataset = Place(Path(tempfile.gettempdir()), data).dataset(run)
    model, prior = build(run, dataset)
    both = nn.ModuleDict({"model": model, "prior": prior})
    return Trainer(both, dataset, run.training, run.seed, Record(Path(tempfile.mkdtemp(prefix="priorbench-"))))


def measure(settings: Settings) -> dict[str, tuple[float, int]]:
    """(median ratio to the first method's step, trained scalars) by method."""
    prepare_worker()
    trainers = {name: make_trainer(name, settings.data) for name in settings.methods}
    order = torch.randperm(len(next(iter(trainers.values())).data.train)).split(100)
    for trainer in trainers.values():
        trainer.step(order[0])
    times = [
        {name: timed(one, order[1 : settings.steps + 1]) for name, one in trainers.items()}
        for _ in range(settings.rounds)
    ]
    first = settings.methods[0]
    return {
        name: (statistics.median(one[name] / one[first] for one in times), parameter_count(trainer.both))
        for name, trainer in trainers.items()
    }


def timed(trainer: Trainer, order: tuple[torch.Tensor, ...]) -> float:
    """Seconds of the steps."""
    start = time.perf_counter()
    for index in order:
        trainer.step(index)
    return time.perf_counter() - start


def main() -> int:
    settings = tyro.cli(Settings, prog="python -m benchmarks.speed.priors")
    try:
        result = measure(settings)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("Training step on MNIST: D = 40, gated layers 500-500, batch 100, one thread, float32")
    print(f"{'method':20} {'relative to ' + settings.methods[0]:>22} {'parameters':>12}")
    for name, (ratio, parameters) in result.items():
        print(f"{name:20} {ratio:22.2f} {parameters:12,d}")
    if {"vampprior", "implicit"} <= result.keys():
        ratio = result["vampprior"][0] / result["implicit"][0]
        print(f"vampprior / implicit: {ratio:.2f} a step (IOP's authors: {PUBLISHED} over a training)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
