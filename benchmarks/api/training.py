"""A prior trained on a user's own data from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.api.given import several
from benchmarks.api.tensors import NAME, TensorWorkspace, dataset_of
from benchmarks.api.trained import Trained, trained
from benchmarks.common.errors import UsageError, find
from benchmarks.common.settings import validated
from benchmarks.config.settings import ModelSettings, Run, TrainingSettings, prior_settings
from benchmarks.datasets import Dataset
from benchmarks.metrics import METRICS
from benchmarks.metrics.protocol import ProtocolSettings
from benchmarks.runner import stages
from benchmarks.runner.machine import device as usable
from benchmarks.runner.rehearsal import built
from priors.base import Prior, Unsupported
from priors.plugins import load_entry_points
from priors.registry import PRIORS, unchanged


def train(
    x: Tensor | np.ndarray[Any, Any],
    prior: str | type[Prior] = "vampprior",
    *,
    model: str = "vae",
    backbone: str = "mlp",
    widths: Iterable[int] | None = None,
    latent_dim: int = 10,
    posterior: str = "normal",
    likelihood: str | None = None,
    epochs: int = 100,
    batch_size: int = 100,
    lr: float = 1e-3,
    warm_up: int = 0,
    patience: int = 0,
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    metrics: str | Iterable[str] = (),
    device: str = "auto",
    **settings: Any,
) -> Trained:
    """An autoencoder with this prior, trained on x, (N, *shape), and the best of its epochs by the validation loss.

    x: floats, or bytes 0 to 255, which are scaled to [0, 1]; a convolutional backbone wants (N, channels, height,
    width). prior: a registered name, or a class, registered or not. settings: the prior's own, such as `components`.
    likelihood: left out, "bernoulli" where x lies in [0, 1], else "gaussian". widths: of the hidden layers. warm_up:
    epochs in which the KL's weight rises to 1. patience: epochs without a better validation loss, after which training
    ends (0: never). validation, test: shares of x that are held out, drawn by the seed. metrics: names of metrics to
    compute on the test part. Nothing is written to the disk that stays there.

    >>> import torch
    >>> from benchmarks import train
    >>> run = train(torch.rand(100, 6), "vampprior", components=5, latent_dim=2, widths=[8], epochs=2)
    >>> run.decode(run.prior.sample(3)).shape, len(run.history)
    (torch.Size([3, 6]), 2)
    """
    data = dataset_of(x, validation, test, seed)
    law = likelihood or ("bernoulli" if data.bounded else "gaussian")
    sizes = {"widths": None if widths is None else tuple(widths), "latent_dim": latent_dim}
    parts = {"type": model, "backbone": backbone, "posterior": posterior, "likelihood": law, **sizes}
    budget = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "warm_up": warm_up, "patience": patience}
    with named(prior) as name:
        run = run_of(name, settings, parts, budget, seed, several(metrics))
        return carry_out(run, data, usable(device))


def run_of(
    prior: str,
    settings: dict[str, Any],
    model: dict[str, Any],
    budget: dict[str, Any],
    seed: int,
    metrics: tuple[str, ...],
) -> Run:
    """The settings of a training as those of a suite's run, validated like them."""
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed = {seed}: a seed is 0 or larger, and below 2**63.")
    return Run(
        suite="train",
        dataset=NAME,
        method=prior,
        seed=seed,
        prior=prior_settings(prior, settings),
        model=validated(ModelSettings, model, "train"),
        training=validated(TrainingSettings, budget, "train"),
        protocol=validated(ProtocolSettings, {}, "train"),
        metrics=metrics,
    )


def carry_out(run: Run, data: Dataset, device: str) -> Trained:
    """Trains, fits and evaluates as a suite's run is, in a folder that goes away."""
    for name in run.metrics:
        find(METRICS, name)
    with TemporaryDirectory() as folder, torch.random.fork_rng(devices=()):
        workspace = TensorWorkspace(Path(folder), Path(folder), device, tensor=data.to(device))
        record = workspace.record(run)
        here = workspace.dataset(run)
        try:
            model, prior = built(run, here)
            ended = stages.train(run, model, prior, here, record)
        except Unsupported as reason:
            raise UsageError(f"train: {reason}") from None
        if ended["status"] != "ok":
            raise UsageError(f"train: {ended['note']}: a smaller lr may keep it from that.")
        stages.fit(run, model, prior, here, record)
        evaluated = workspace.evaluated(run, model, prior)
        stages.evaluate(run, evaluated, workspace, record)
        return trained(run, evaluated, record)


@contextmanager
def named(prior: str | type[Prior]) -> Iterator[str]:
    """The prior's registered name. A class that has none bears its own for as long as it is trained."""
    load_entry_points()
    if isinstance(prior, str):
        find(PRIORS, prior)
        yield prior
    elif not PRIORS.accepts(prior):
        raise UsageError(f"prior = {prior!r} is not valid: it is {PRIORS.wanted}, or a registered one's name.")
    elif known := [name for name, one in PRIORS.items() if one is prior]:
        yield known[0]
    else:
        with unchanged():
            PRIORS.put(prior.__name__, prior)
            yield prior.__name__
