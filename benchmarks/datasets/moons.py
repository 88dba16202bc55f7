"""Two moons: points in the plane, for pictures of densities."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import Options, Source, register

SIZES = (4000, 1000, 1000)
NOISE = 0.05


@register("moons", "two interleaved half circles in the plane, 4000/1000/1000, real-valued; made on the fly")
def load(folder: Path, options: Options) -> Source:
    """scikit-learn's make_moons, one fixed random state per split, float32 (N, 2), nothing standardised."""
    train, validation, test = (points(n, state) for state, n in enumerate(SIZES))
    return Source(train, validation, test, bounded=False)


def points(n: int, state: int) -> Tensor:
    """(n, 2), half of them on each moon."""
    from sklearn.datasets import make_moons

    return torch.from_numpy(make_moons(n, noise=NOISE, random_state=state)[0]).float()
