"""How near a VampPrior's training step comes to the speed of its matrix products alone.

    python -m benchmarks.speed.vampprior [--data DIR]

One training step on MNIST is watched, and every matrix product in it is noted with its shapes and strides. Then whole
steps and those products alone are timed in turn, on one thread, so that a drift of the machine's speed meets both.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.cli import DATA, STOPPED, parse, status


@dataclass(frozen=True)
class Settings:
    """Times VampPrior's training step against its matrix products."""

    data: Path = DATA
    """Folder that holds MNIST (environment: PRIORBENCH_DATA)."""
    components: int = 500
    """Pseudo-inputs K."""
    width: int = 500
    """Of both hidden layers, encoder and decoder (500 as in IOP; the VampPrior's authors have 300)."""
    steps: int = 20
    """Steps a round."""
    rounds: int = 9
    """Rounds of steps and of products in turn; the median of the rounds' ratios is printed."""


def measure(settings: Settings) -> dict[str, float]:
    """Seconds a step and of its products (medians over rounds), the ratio's median, and the peak memory in MiB."""
    import torch  # which takes seconds: --help need not wait for it

    from benchmarks.runner.machine import peak_memory, prepare_worker, reset_peak_memory
    from benchmarks.speed.products import Products
    from benchmarks.speed.step import make_trainer, timed

    prepare_worker()
    sizes = (f"prior.vampprior.components={settings.components}", f"model.widths=[{settings.width}, {settings.width}]")
    trainer = make_trainer("vampprior", settings.data, *sizes)
    order = torch.randperm(len(trainer.data.train)).split(100)
    reset_peak_memory()
    for index in order[:5]:
        trainer.step(index)
    with Products() as products:
        trainer.step(order[5])
    step_times, product_times = [], []
    for _ in range(settings.rounds):
        step_times.append(timed([partial(trainer.step, index) for index in order[: settings.steps]]) / settings.steps)
        memory = peak_memory(torch.device("cpu"))
        product_times.append(timed(products.calls * settings.steps) / settings.steps)
    ratios = [alone / whole for alone, whole in zip(product_times, step_times, strict=True)]
    return {
        "step": statistics.median(step_times),
        "products": statistics.median(product_times),
        "ratio": statistics.median(ratios),
        "flop": products.flop,
        "memory": memory,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    def work() -> int:
        settings = parse(Settings, arguments, "speed.vampprior")
        return show(measure(settings), settings)

    return status(work, STOPPED)


def show(result: Mapping[str, float], settings: Settings) -> int:
    print(f"VampPrior, K = {settings.components}, widths {settings.width}, MNIST, batch 100, one thread, float32")
    print(f"training step         {1 / result['step']:8.1f} steps/s")
    print(
        f"its matrix products   {1 / result['products']:8.1f} steps/s"
        f"   ({result['flop'] / result['products'] / 1e9:.0f} GFLOP/s)"
    )
    print(f"share reached         {result['ratio']:8.0%}   (median of {settings.rounds} rounds)")
    print(f"peak memory           {result['memory']:8.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
