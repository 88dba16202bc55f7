"""A run that has ended well, as it was: its trained model and prior, its data and its protocol."""

from __future__ import annotations

from torch import nn

from benchmarks.config.settings import Run
from benchmarks.metrics import Evaluated
from benchmarks.runner.build import build, register
from benchmarks.runner.stages import fit
from benchmarks.runner.weights import recall_weights
from benchmarks.runner.workspace import Workspace


def recall(run: Run, workspace: Workspace) -> Evaluated:
    """The trained model and prior of a run that has ended well, as its metrics saw them."""
    register(workspace)
    data, record = workspace.dataset(run), workspace.record(run)
    model, prior = build(run, data)
    recall_weights(nn.ModuleDict({"model": model, "prior": prior}), record)
    record.verified("fitted.safetensors", "metrics.json")
    fit(run, model, prior, data, record)
    return workspace.evaluated(run, model, prior)
