"""Model and prior of a run, made from its settings."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from benchmarks.common.seeds import seed_for
from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset
from benchmarks.runner.ensemble.noise import whole
from benchmarks.runner.workspace import Workspace
from models import registry as models
from models.base import Autoencoder
from models.regularisers import REGULARISERS
from priors import registry as priors
from priors.base import Prior
from priors.plugins import load_entry_points, load_plugin

M = TypeVar("M", bound=nn.Module)


def register(workspace: Workspace) -> None:
    """The parts of plug-ins and of installed packages, in this process. The command has told which of these fail."""
    for plugin in workspace.plugins:
        load_plugin(plugin)
    load_entry_points(warn=False)


def build(run: Run, data: Dataset) -> tuple[Autoencoder, Prior]:
    """Model and prior on the data's device. The model's first weights depend on the seed alone, not on the prior."""
    device = data.train.stored.device
    torch.manual_seed(seed_for(run.seed, "model"))
    model = placed(
        models.make(data.shape, data.bounded, step=data.step, levels=data.levels, **run.model.model_dump()), device
    )

    @whole
    def examples(n: int) -> torch.Tensor:
        order = torch.randperm(len(data.train), device=device)  # drawn there: a copy would be waited for at every step
        return data.train.batch(order[torch.arange(n, device=device) % len(data.train)])

    host = model.host(data.shape, len(data.train), data.bounded, examples, data.train.batch)
    torch.manual_seed(seed_for(run.seed, "regularisers"))
    model.regularise([placed(REGULARISERS[one.name](host, **one.settings), device) for one in run.regularisers])
    torch.manual_seed(seed_for(run.seed, "prior"))
    chosen = run.demand_prior()
    return model, placed(priors.make(chosen.name, host, **chosen.settings), device)


def placed(module: M, device: torch.device) -> M:
    """The module on the device, the weights of convolutions on a GPU with their channels last, as its kernels want."""
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    return module.to(device, memory_format=layout)  # type: ignore[call-overload]
