"""Laws of a metric, tried on a small VAE of 8x8 digits and, where it is for these too, on the data in its place."""

from __future__ import annotations

import inspect
import math
import random
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.estimators.estimate import Direction, Estimate
from benchmarks.estimators.estimator import Estimator
from benchmarks.features import inception
from benchmarks.laws.training import VARIATIONAL, described, tiny
from benchmarks.metrics import METRICS, DataOnly, Evaluated, Material
from benchmarks.metrics.base import Metric
from benchmarks.metrics.protocol import ProtocolSettings
from benchmarks.runner.execute import execute
from benchmarks.runner.recall import recall
from benchmarks.runner.workspace import Workspace
from priors.base import Unsupported
from priors.conformance.law import NotApplicable, demand, law

PROTOCOL = ProtocolSettings(samples=(10,), generated=300)
"""Few draws, and all 300 test images."""

UNIT = 20
"""Characters of a unit at most: it is a word beside a number."""


@dataclass(frozen=True)
class MetricTrial:
    """A registered metric, and estimates of it that several laws look at."""

    name: str

    @property
    def metric(self) -> Metric:
        """UnknownName with the near one where there is none."""
        return METRICS[self.name]

    @property
    def kind(self) -> Any:
        """The function that measures."""
        return inspect.unwrap(self.metric.measure)

    @property
    def title(self) -> str:
        return self.metric.summary

    def evaluated(self) -> Evaluated:
        """A VAE after one epoch, the same every time, of which nothing has been asked yet."""
        return recall(self.run, self.workspace)

    def row(self) -> DataOnly:
        """The data in a model's place."""
        return self.workspace.data_only(self.run)

    def of(self, material: Material) -> list[Estimate]:
        """Its estimates, as the runner asks for them; NotApplicable with the reason where there are none."""
        if self.metric.inception and not material.inception:
            raise NotApplicable(f"it waits for Inception's weights, {inception.FILE}")
        try:
            with torch.no_grad():
                return self.metric(material)
        except Unsupported as reason:
            demand(bool(str(reason).strip()), "it raises Unsupported without a reason", "say why, and what to use")
            raise NotApplicable(f"it says: {reason}") from None

    @cached_property
    def first(self) -> list[Estimate]:
        """Of the VAE."""
        return self.of(self.evaluated())

    @cached_property
    def folder(self) -> tempfile.TemporaryDirectory[str]:
        """Goes when the trial goes."""
        return tempfile.TemporaryDirectory()

    @property
    def workspace(self) -> Workspace:
        return Workspace(Path(self.folder.name), Path(self.folder.name), inception=inception.find(None))

    @cached_property
    def run(self) -> Run:
        """Carried out once, without this metric: what goes wrong in it is not the run's failure."""
        chosen = tiny("metric", VARIATIONAL)
        run = suite.expand(chosen)[0].model_copy(update={"protocol": PROTOCOL})
        outcome = execute(run, self.workspace)
        demand(outcome.status == "ok", f"the VAE to try it on: {outcome.note}", "look at what else the plug-in changes")
        return run


@law(after=(described,))
def estimates(trial: MetricTrial) -> None:
    """Its estimates are finite numbers, or it raises Unsupported with the reason."""
    demand_estimates(trial.first)


def demand_estimates(found: Any) -> None:
    """Broken for what is no list of estimates, or for one that is no finite number."""
    fix = "return a list of benchmarks.estimators.estimate.Estimate"
    right = isinstance(found, list) and bool(found) and all(isinstance(one, Estimate) for one in found)
    demand(right, f"it returns {found!r}"[:150], fix)
    for one in found:
        fix = "raise Unsupported where it is undefined; look for 1 / 0 and log 0"
        demand(isinstance(one.value, float | int) and math.isfinite(one.value), f"{one.metric} is {one.value!r}", fix)
        sound = one.error is None or (math.isfinite(one.error) and one.error >= 0)
        demand(sound, f"the error of {one.metric} is {one.error!r}", "give None where it has no standard error")


@law(after=(estimates,))
def form(trial: MetricTrial) -> None:
    """Every estimate has a name, an estimator, a unit and a direction, and no two have the same name and estimator."""
    for one in trial.first:
        legal = one.direction in get_args(Direction)
        demand(legal, f"the direction of {one.metric} is {one.direction!r}", f"one of {get_args(Direction)}")
        demand(isinstance(one.estimator, Estimator), f"its estimator is {one.estimator!r}", "make an Estimator")
        for what in ("metric", "estimator", "unit"):
            text = str(getattr(one, what))
            fix = "a short text without spaces; 'none' for a unit that is none"
            word = 0 < len(text) <= (UNIT if what == "unit" else 80) and " " not in text
            demand(word and text.isprintable(), f"the {what} is {text!r}", fix)
    names = [(one.metric, str(one.estimator)) for one in trial.first]
    twice = {" ".join(name) for name in names if names.count(name) > 1}
    demand(not twice, f"twice: {', '.join(sorted(twice))}", "tell estimates apart by their estimators")


@law(after=(estimates,))
def repeats(trial: MetricTrial) -> None:
    """The same run gives the same estimates again: it draws from torch's random state and keeps nothing."""
    again = trial.of(trial.evaluated())
    pairs = zip(trial.first, again, strict=False)
    differ = [a.metric for a, b in pairs if (a, same(a.values)) != (b, same(b.values))]
    fix = "draw by torch.randn and its kin, with no generator, numpy, or state of your own"
    demand(not differ and len(again) == len(trial.first), f"others the second time: {', '.join(differ)}", fix)


def same(values: Tensor | None) -> list[float] | None:
    """What is compared of values that belong to images."""
    return None if values is None else values.tolist()


@law(after=(estimates,))
def bystander(trial: MetricTrial) -> None:
    """It changes neither the model's nor the prior's weights, nor any random state."""
    evaluated = trial.evaluated()
    both = nn.ModuleList([evaluated.model, evaluated.prior])
    before, states = {key: value.clone() for key, value in both.state_dict().items()}, random_states()
    mode = [one.training for one in both.modules()]
    trial.of(evaluated)
    moved = [key for key, value in both.state_dict().items() if not torch.equal(value, before[key])]
    demand(not moved, f"it moves {', '.join(moved)[:100]}", "work on a copy of what you change")
    demand(mode == [one.training for one in both.modules()], "it calls train() or eval()", "leave the mode alone")
    learned = [key for key, one in both.named_parameters() if one.grad is not None]
    demand(not learned, f"it leaves gradients in {', '.join(learned)[:100]}", "use torch.autograd.grad")
    changed = [name for name, state in random_states().items() if state != states[name]]
    demand(not changed, f"the random state of {', '.join(changed)} is another", "draw by torch, without a seed")


def random_states() -> dict[str, Any]:
    """Of all that a metric may draw from."""
    numpys = [np.asarray(one).tolist() for one in np.random.get_state()]
    return {"torch": torch.get_rng_state().tolist(), "numpy": numpys, "Python": random.getstate()}


@law(after=(estimates,))
def by_image(trial: MetricTrial) -> None:
    """Where an estimate keeps what it is the mean of, that is a number for each of the first test images."""
    kept = [(one, one.values) for one in trial.first if one.values is not None]
    if not kept:
        raise NotApplicable("it keeps none")
    count = len(trial.row().data.test)
    for one, values in kept:
        fix = "keep values only where they belong to images"
        shape = tuple(values.shape)
        demand(len(shape) == 1 and 0 < shape[0] <= count, f"{one.metric}: {shape}, not ({count},) or fewer", fix)
        mean = values.double().mean().item()
        demand(math.isclose(mean, one.value, rel_tol=1e-4, abs_tol=1e-6), f"their mean is {mean:.6g}", fix)


@law(after=(described,))
def of_data(trial: MetricTrial) -> None:
    """On the data in a model's place it gives finite estimates where it says that it is for these too."""
    if not trial.metric.of_data:
        raise NotApplicable("it is not `of_data`")
    demand_estimates(trial.of(trial.row()))


LAWS_OF_METRICS = (described, estimates, form, repeats, bystander, by_image, of_data)
