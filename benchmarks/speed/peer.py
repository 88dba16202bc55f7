"""Training and likelihood beside pythae's, on the same networks, images and machine, in turns.

    pip install pythae; python -m benchmarks.speed peer [--data DIR]

Both train gated networks 784-300-300-40 by Adam on the same images of MNIST, drawn once as 0 and 1, in batches of 100;
pythae by its own trainer's step over its own loader, ours by the training loop's. For the likelihood both have the same
weights, after that training, and 5000 draws an image. The two take turns, so that a drift of the machine's speed meets
both; the medians of the ratios of neighbouring turns are printed. pythae must be there, and nothing else needs it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.cli import DATA, STOPPED, parse, status
from benchmarks.common.errors import UsageError

PASSES = 30
"""Of our training over the images before the likelihood: with weights that are not trained a single draw would count,
and the two sides' values would differ by chance."""


@dataclass(frozen=True)
class Settings:
    """Times training and likelihood beside pythae's."""

    data: Path = DATA
    """Folder that holds MNIST (environment: PRIORBENCH_DATA)."""
    methods: tuple[Literal["gaussian", "vampprior"], ...] = ("gaussian", "vampprior")
    """Of `gaussian` (pythae's VAE) and `vampprior` (its VAMP, K = 500)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of our training; pythae's is float32."""
    compile: Literal["on", "off"] = "on"
    """Whether our training's turns are compiled, as they are in long trainings."""
    steps: int = 20
    """Training steps a turn."""
    images: int = 4
    """Images a turn of the likelihood."""
    samples: int = 5000
    """Importance samples an image."""
    rounds: int = 7
    """Turns of each."""
    results: Path = Path("results")
    """Folder for speed-peer.json and its figure."""


class Compared(NamedTuple):
    """Seconds a turn of both sides (medians), the median ratio of neighbouring turns, both sides' mean values, nats an
    image, and the standard error of their difference."""

    ours: float
    theirs: float
    ratio: float
    values: tuple[float, float]
    error: float


def measure(settings: Settings) -> dict[str, Compared]:
    """What was compared, by job."""
    from benchmarks.runner.machine import prepare_worker  # with torch, for which --help need not wait

    try:
        from benchmarks.speed.sides import sides
    except ModuleNotFoundError as error:
        raise UsageError(f"There is no {error.name} here to be compared with: pip install pythae.") from None

    prepare_worker()
    found: dict[str, Compared] = {}
    for method in settings.methods:
        ours, theirs = sides(method, settings)
        found[f"training, {method}"] = in_turns(ours.train, theirs.train, settings.rounds)
        for _ in range(PASSES):
            ours.train()
        theirs.take(ours)
        found[f"likelihood, {method}"] = in_turns(ours.evaluate, theirs.evaluate, settings.rounds)
    return found


def in_turns(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> Compared:
    """Medians over rounds, in each of which both have a turn; a first round warms up."""
    ours(), theirs()
    turns = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    seconds = [tuple(one[0] for one in turn) for turn in turns]
    values = [[one[1] for one in side] for side in zip(*turns, strict=True)]
    return Compared(
        ours=statistics.median(a for a, _ in seconds),
        theirs=statistics.median(b for _, b in seconds),
        ratio=statistics.median(b / a for a, b in seconds),
        values=(statistics.mean(values[0]), statistics.mean(values[1])),
        error=math.hypot(*(statistics.stdev(side) / math.sqrt(rounds) for side in values)),
    )


def timed(call: Callable[[], float]) -> tuple[float, float]:
    """(the processor's seconds, the call's value)."""
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def main(arguments: Sequence[str] | None = None) -> int:
    return status(lambda: run(parse(Settings, arguments, "speed peer")), STOPPED)


def run(settings: Settings) -> int:
    from benchmarks.speed.kept import keep

    found = measure(settings)
    show(found)
    rows = {name: one._asdict() for name, one in found.items()}
    name = "peer" if settings.precision == "float32" else f"peer-{settings.precision}"
    keep(name, settings, rows, settings.results, ("ratio",), "times as fast as pythae")
    return 0


def show(found: Mapping[str, Compared]) -> None:
    print("Beside pythae: gated networks 784-300-300-40, batch 100, K = 500, one thread, processor seconds a turn")
    print(f"{'job':24} {'ours':>8} {'pythae':>8} {'times as fast':>14} {'nats, ours':>11} {'pythae':>9} {'error':>6}")
    for name, one in found.items():
        a, b = one.values
        values = f" {a:11.2f} {b:9.2f} {one.error:6.2f}" if "likelihood" in name else ""
        print(f"{name:24} {one.ours:8.3f} {one.theirs:8.3f} {one.ratio:14.2f}{values}")
