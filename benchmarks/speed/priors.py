"""Cost of a training step under every prior, relative to the standard normal's: `python -m benchmarks.speed.priors`.

A ratio within one run counts; an absolute time on a machine with other work means little. All methods take turns, a few
steps a round, and the median over rounds of the ratio to the standard normal's time in the same round is printed.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.cli import DATA, STOPPED, parse, status

METHODS = (
    *("gaussian", "mixture", "vampprior", "implicit", "pullback", "naive-pullback", "dp", "autoregressive", "lars"),
    *("aggregate", "two-stage", "vae-gmm", "wae-mmd", "wae-wgan", "flexae", "flexae-sr"),
)
PUBLISHED = 2.83
"""VampPrior's training time over IOP's on MNIST, as IOP's authors report it (section 5.3)."""


@dataclass(frozen=True)
class Settings:
    """Times a training step on MNIST under every prior."""

    data: Path = DATA
    """Folder that holds MNIST (environment: PRIORBENCH_DATA)."""
    methods: tuple[str, ...] = METHODS
    """Methods to time, the first being the measure of the others."""
    steps: int = 5
    """Steps a round."""
    rounds: int = 7
    """Rounds; the median of their ratios is printed."""


def measure(settings: Settings) -> dict[str, tuple[float, int]]:
    """(median ratio to the first method's step, trained scalars) by method."""
    import torch  # which takes seconds: --help need not wait for it

    from benchmarks.runner.machine import prepare_worker
    from benchmarks.speed.step import make_trainer, timed
    from priors.base import parameter_count

    prepare_worker()
    trainers = {name: make_trainer(name, settings.data) for name in settings.methods}
    order = torch.randperm(len(next(iter(trainers.values())).data.train)).split(100)
    for trainer in trainers.values():
        trainer.step(order[0])
    chosen = order[1 : settings.steps + 1]
    times = [
        {name: timed([partial(one.step, index) for index in chosen]) for name, one in trainers.items()}
        for _ in range(settings.rounds)
    ]
    first = settings.methods[0]
    return {
        name: (statistics.median(one[name] / one[first] for one in times), parameter_count(trainer.both))
        for name, trainer in trainers.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    def work() -> int:
        settings = parse(Settings, arguments, "speed.priors")
        return show(measure(settings), settings.methods[0])

    return status(work, STOPPED)


def show(result: Mapping[str, tuple[float, int]], first: str) -> int:
    print("Training step on MNIST: D = 40, gated layers 500-500, batch 100, one thread, float32")
    print(f"{'method':20} {'relative to ' + first:>22} {'parameters':>12}")
    for name, (ratio, parameters) in result.items():
        print(f"{name:20} {ratio:22.2f} {parameters:12,d}")
    if {"vampprior", "implicit"} <= result.keys():
        ratio = result["vampprior"][0] / result["implicit"][0]
        print(f"vampprior / implicit: {ratio:.2f} a step (IOP's authors: {PUBLISHED} over a training)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
