"""A training step of every method beside its floor: `python -m benchmarks.speed priors`.

One step on MNIST is watched, and every matrix product and convolution in it is noted with its shapes and strides. Then
whole steps, those products alone, and the passes over memory that Adam must make are timed in turn, on one thread, so
that a drift of the machine's speed meets all of them. The floor is the products with Adam's passes: what no way of
writing the same step can be below, at the rates that this machine has for such products and such passes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.cli import DATA, STOPPED, parse, status

if TYPE_CHECKING:
    from benchmarks.runner.train import Trainer

METHODS = (
    *("gaussian", "mixture", "vampprior", "implicit", "pullback", "naive-pullback", "dp", "autoregressive", "lars"),
    *("aggregate", "two-stage", "vae-gmm", "wae-mmd", "wae-wgan", "flexae", "flexae-sr"),
)
PUBLISHED = 2.83
"""VampPrior's training time over IOP's on MNIST, as IOP's authors report it (section 5.3)."""

ADAM = 28
"""Bytes a weight that Adam reads (itself, its gradient and two moments) and writes (itself and the moments)."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """Times a training step on MNIST under every method, as written and compiled, beside its floor.

    For example:
      python -m benchmarks.speed priors --data DIR --methods gaussian vampprior
    """

    data: Path = DATA
    """Folder that holds MNIST (environment: PRIORBENCH_DATA)."""
    results: Path = Path("results")
    """Folder for speed-priors.json and its figure."""
    methods: tuple[str, ...] = METHODS
    """Methods to time, the first being the measure of the others."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the products in training."""
    compile: Literal["on", "off"] = "on"
    """Time the compiled step too: the first time on a machine it takes up to a minute a method."""
    steps: int = 5
    """Steps a round."""
    rounds: int = 7
    """Rounds; medians are printed."""


def measure(settings: Settings, told: Callable[[str, Row], None]) -> dict[str, Row]:
    """What `row` measures, by method; each is told as it comes."""
    from benchmarks.runner.machine import prepare_worker  # with torch, for which --help need not wait

    prepare_worker()
    found: dict[str, Row] = {}
    for name in settings.methods:
        found[name] = row(name, settings)
        first = found[settings.methods[0]]
        found[name] = {**found[name], "relative": found[name]["written"] / first["written"]}
        told(name, found[name])
    return found


def row(method: str, settings: Settings) -> Row:
    """Milliseconds of a step as written, compiled, and of its floor; the shares that the floor is of both; operations,
    the optimiser's bytes, and the scalars that are trained."""
    import torch

    from benchmarks.speed.step import in_turns, make_trainer, passes
    from priors.base import parameter_count

    trainer = make_trainer(method, settings.data, f"training.precision={settings.precision}")
    order = torch.randperm(len(trainer.data.train)).split(trainer.settings.batch_size)[: settings.steps]
    calls, flop = products_of(trainer, order[0])
    steps = [partial(trainer.step, index) for index in order]
    adam = sum(player.turns * sum(p.numel() for p in player.parameters) for player in trainer.players)
    sides = {"products": calls * len(order), "passes": [passes(adam)] * len(order), "written": steps}
    seconds = in_turns(sides, settings.rounds)
    if settings.compile == "on":
        how = capture(trainer, order[0])
        seconds |= in_turns({"compiled": steps, "again": sides["products"]}, settings.rounds)
    took = {name: 1000 * statistics.median(times) / len(order) for name, times in seconds.items()}
    floor = took["products"] + took["passes"]
    shares = {f"share {name}": floor / took[name] for name in ("written", "compiled") if name in took}
    sizes = {"GFLOP": flop / 1e9, "MB": ADAM * adam / 1e6, "parameters": parameter_count(trainer.both)}
    return {**took, "floor": floor, **shares, **sizes, **({"how": how} if settings.compile == "on" else {})}


def products_of(trainer: Trainer, index: Any) -> tuple[list[Any], int]:
    """Calls that repeat a step's products, and their operations. A first step, in which much is set up, is not one."""
    from benchmarks.speed.products import Products

    trainer.step(index)
    with Products() as products:
        trainer.step(index)
    return products.calls, products.flop


def capture(trainer: Trainer, index: Any) -> Mapping[str, str]:
    """Has the trainer's turns captured from now on; how that went, by player."""
    for turn in trainer.turns:
        turn.wanted = True
    trainer.step(index)
    return trainer.how()


def main(arguments: Sequence[str] | None = None) -> int:
    return status(lambda: run(parse(Settings, arguments, "speed priors")), STOPPED)


def run(settings: Settings) -> int:
    print(f"Training step on MNIST: D = 40, gated layers 500-500, batch 100, one thread, {settings.precision}")
    print(
        f"{'':16} {'parameters':>10} {'GFLOP':>6} {'MB':>6} {'floor ms':>9} {'written':>8} {'share':>6}"
        f" {'compiled':>9} {'share':>6} {'relative':>9}"
    )
    found = measure(settings, show)
    told(found)
    from benchmarks.speed.kept import keep

    keep("priors", settings, found, settings.results, ("share written", "share compiled"), "share of the floor")
    return 0


def show(name: str, one: Row) -> None:
    compiled = f"{one['compiled']:9.2f} {one['share compiled']:6.0%}" if "compiled" in one else f"{'-':>9} {'-':>6}"
    print(
        f"{name:16} {one['parameters']:10,d} {one['GFLOP']:6.2f} {one['MB']:6.1f} {one['floor']:9.2f}"
        f" {one['written']:8.2f} {one['share written']:6.0%} {compiled} {one['relative']:9.2f}",
        flush=True,
    )


def told(found: Mapping[str, Row]) -> None:
    """What the columns are, and IOP's ratio where both of its methods are there."""
    print("MB: read and written by Adam. Share: the floor over the step. Relative: written, over the first method's.")
    for name, one in found.items():
        for player, how in (one.get("how") or {}).items():
            if how != "captured":
                print(f"{name}, {player}: {how}")
    if {"vampprior", "implicit"} <= found.keys():
        ratio = found["vampprior"]["written"] / found["implicit"]["written"]
        print(f"vampprior / implicit: {ratio:.2f} a step (IOP's authors: {PUBLISHED} over a training)")
