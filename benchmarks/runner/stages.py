"""What is done to a run's model and prior in turn: trained, fitted, evaluated. What is done of a stage is taken up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from benchmarks.common.seeds import seed_for
from benchmarks.common.settings import digest
from benchmarks.config.settings import Run, protocol_of
from benchmarks.datasets import Dataset
from benchmarks.estimators.estimate import Estimate, Remark
from benchmarks.metrics import METRICS, Material
from benchmarks.runner.cost import cost
from benchmarks.runner.machine import reset_peak_memory
from benchmarks.runner.record import Record
from benchmarks.runner.train import Diverged, Progress, Trainer
from benchmarks.runner.turns import When
from benchmarks.runner.weights import keep, recall_weights
from benchmarks.runner.workspace import Workspace
from models.base import Autoencoder
from priors.base import Codes, Prior, Unsupported


def train(
    run: Run, model: Autoencoder, prior: Prior, data: Dataset, record: Record, capture: When = "off"
) -> dict[str, Any]:
    """Puts the trained weights into model and prior, and tells how training ended, and how turns were computed."""
    both = nn.ModuleDict({"model": model, "prior": prior})
    ended = record.read("training.json")
    if ended is None or ended["status"] == "unsupported":
        reset_peak_memory(data.train.stored.device)
        trainer = Trainer(model, prior, data, run.training, run.seed, record, capture)
        try:
            ended = conclude(trainer, trainer.run())
        except Diverged as reason:
            ended = conclude(trainer, reason)
    elif ended["status"] == "ok":
        recall_weights(both, record)
    both.eval()
    return ended


def conclude(trainer: Trainer, how: Progress | Diverged) -> dict[str, Any]:
    """Keeps the weights of a training that has ended, and how it did."""
    record = trainer.record
    if isinstance(how, Diverged):
        ended: dict[str, Any] = {"status": "diverged", "note": str(how)}
    else:
        keep(trainer.both.state_dict(), record, "weights.safetensors")
        ended = {"status": "ok", "note": "", "epochs": how.epoch, "best_epoch": how.best_epoch}
        ended["turns"] = trainer.how()
        ended["cost"] = [estimate.as_dict() for estimate in cost(trainer.both, how, trainer.device)]
    record.write("training.json", {**ended, "files": record.vouch("weights.safetensors", "history.csv")})
    return ended


def fit(run: Run, model: Autoencoder, prior: Prior, data: Dataset, record: Record) -> None:
    """What the prior fits after training, kept with its state so that nothing long is ever done twice."""
    fitted = record.folder / "fitted.safetensors"
    if fitted.is_file():
        prior.load_state_dict(load_file(fitted))
    torch.manual_seed(seed_for(run.seed, "fit"))
    prior.fit(Codes(lambda: model.encode_all(data.train)))
    if not fitted.is_file():
        keep(prior.state_dict(), record, fitted.name)


def evaluate(run: Run, material: Material, workspace: Workspace, record: Record) -> None:
    """Every metric that is not in metrics.json yet. What an estimate is the mean of is kept with it, image by image."""
    protocol = protocol_of(run, material.data)
    content = record.read("metrics.json")
    if content is None or (content["evaluation"], content["hash"]) != (run.evaluation, digest(protocol)):
        content = {"evaluation": run.evaluation, "protocol": protocol, "hash": digest(protocol), "metrics": {}}
        content["files"] = record.vouch("fitted.safetensors")
        record.write("metrics.json", content)
    for name in workspace.computable(run):
        if name not in content["metrics"]:
            record.report(stage="evaluating", what=name, done=0, of=1)
            content["metrics"][name], values = measure(name, material)
            if values:
                keep(values, record, f"values/{name}.safetensors")
                content["files"] |= record.vouch(f"values/{name}.safetensors")
            record.write("metrics.json", content)


@torch.no_grad()
def measure(name: str, material: Material) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """A metric's estimates with the seconds that they took, or the reason why they are undefined here; and the values
    that estimates are the means of, by metric and estimator."""
    start = time.monotonic()
    try:
        estimates = [of_these_data(one, material.data.remark) for one in METRICS[name](material)]
    except Unsupported as reason:
        return {"unsupported": str(reason)}, {}
    values = {f"{one.metric} {one.estimator}": one.values for one in estimates if one.values is not None}
    seconds = round(time.monotonic() - start, 3)
    return {"figures": [estimate.as_dict() for estimate in estimates], "seconds": seconds}, values


def of_these_data(one: Estimate, remark: str) -> Estimate:
    """The estimate with what is to be said of the files that it is computed on."""
    return replace(one, remarks=(*one.remarks, Remark(remark))) if remark else one


def reporter(record: Record) -> Callable[[str, int, int], None]:
    """Tells the display how far a metric is, a few times a second at most."""
    last = [0.0]

    def report(what: str, done: int, of: int) -> None:
        if time.monotonic() - last[0] > 0.5:
            record.report(stage="evaluating", what=what, done=done, of=of)
            last[0] = time.monotonic()

    return report
