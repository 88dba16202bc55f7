"""How near the large estimates of an evaluation come to the speed of their matrix products alone.

    python -m benchmarks.speed evaluation [--data DIR]

Every job runs in a process of its own, on one thread. Before and after it the same process times products of the job's
shapes, in float32 and in the precisions of the job, so that a share compares two speeds of one machine at one time.
Seconds are the processor's: waiting for it on a machine with other work does not count, a cache that is shared does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from benchmarks.cli import STOPPED, named, parse, status
from benchmarks.speed import EIGH, EIGVALSH

Name = Literal["nll-gaussian", "nll-vampprior", "aggregate", "neighbours", "frechet"]

QUICK = 20

EXPLANATION = """\
Matrix products on one thread: their operations, and the share of the job's time that they would take at the rate of
such products measured beside it, all in float32, or each in its own precision. Peak: above what the process held.
"""
NOTES = f"""
By convention: {EIGH} F^3 operations for eigenvectors and {EIGVALSH:.2f} F^3 for eigenvalues alone (frechet), which are
products in part only. Each of its two covariances takes 2 N F^2, and each of its two other products 2 F^3.
Not counted: the encoder; draws; exponentials, one a pixel and draw (nll), one a code and component (nll-vampprior,
aggregate); the differences of candidates (neighbours).\
"""


@dataclass(frozen=True)
class Settings:
    """Times the large estimates of an evaluation against their matrix products, and measures their memory."""

    data: Annotated[Path | None, named("DIR")] = None
    """Folder that holds MNIST; without it images are random, which costs the likelihood and neighbours as much."""
    jobs: tuple[Name, ...] = get_args(Name)
    """What to measure: the likelihood under two priors, ln q(z), nearest neighbours, the Frechet distance."""
    backbone: Literal["dense", "mlp"] = "dense"
    """The likelihood's networks, 300-300: with ReLUs, or gated, which doubles the products of hidden layers."""
    images: int = 1000
    """Images of the likelihood (a full test set of 10,000 takes ten times as long)."""
    samples: int = 5000
    """Importance samples an image."""
    results: Path = Path("results")
    """Folder for speed-evaluation.json and its figure."""
    quick: bool = False
    """Divide every size by 20 but those of the networks and of the prior: a first look; the shares then mean little."""

    def size(self, full: int) -> int:
        return math.ceil(full / QUICK) if self.quick else full


def main(arguments: Sequence[str] | None = None) -> int:
    return status(lambda: show(parse(Settings, arguments, "speed evaluation")), STOPPED)


def show(settings: Settings) -> int:
    from benchmarks.speed.jobs import results  # with torch, for which --help need not wait
    from benchmarks.speed.kept import keep

    found: dict[str, dict[str, Any]] = {}
    print(EXPLANATION)
    print(f"{'job':14} {'sizes':40} {'seconds':>8} {'GFLOP':>7} {'float32':>8} {'own':>5} {'peak MiB':>9}")
    for name, one in zip(settings.jobs, results(settings), strict=True):
        measured = f"{one.seconds:8.2f} {one.gflop:7.1f} {one.float32:8.0%} {one.own:5.0%} {one.memory:9.0f}"
        print(f"{name:14} {one.sizes:40} {measured}", flush=True)
        found[name] = one._asdict()
    print(NOTES)
    keep("evaluation", settings, found, settings.results, ("float32", "own"), "share of the products' rate")
    return 0
