"""A run that has ended well, as it was: its trained model and prior, its data and its protocol."""

from __future__ import annotations

from torch import nn

from benchmarks.build import build, register
from benchmarks.evaluation import Subject
from benchmarks.settings import Run
from benchmarks.stages import fit
from benchmarks.weights import recall_weights
from benchmarks.workspace import Workspace


def recall(run: Run, workspace: Workspace) -> Subject:
    """The trained model and prior of a run that has ended well, as its metrics saw them."""
    register(workspace)
    subject, record = workspace.subject(run), workspace.record(run)
    subject.model, subject.prior = build(run, subject.data)
    both = nn.ModuleDict({"model": subject.model, "prior": subject.prior})
    recall_weights(both, record)
    record.verified("fitted.safetensors", "metrics.json")
    fit(run, subject.model, subject.prior, subject.data, record)
    return subject
