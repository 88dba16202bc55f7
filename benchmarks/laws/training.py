"""Laws that need the harness: a short training with a prior, or with another part of a model in its place."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.errors import PydanticUserError

from benchmarks.common.errors import UsageError
from benchmarks.common.settings import validated
from benchmarks.config import suite
from benchmarks.config.constructors import constructor_settings
from benchmarks.config.settings import Run
from benchmarks.config.suite import Suite
from benchmarks.runner.execute import Outcome, execute
from benchmarks.runner.workspace import Workspace
from models.registry import PARTS
from priors.base import Adversarial, Density
from priors.conformance import LAWS, Trial
from priors.conformance.construction import builds, settings
from priors.conformance.law import Broken, demand, law
from priors.registry import settings_of


class Method(NamedTuple):
    """A method that a part is tried in: its prior, regularisers, settings of the model, and a metric of it."""

    use: str = "gaussian"
    regularisers: tuple[str, ...] = ()
    model: Mapping[str, Any] = {}
    metric: str = "nll"


VARIATIONAL = Method()
MATCHED = Method("gaussian", ("mmd",), {"type": "wae", "posterior": "deterministic"}, "pms")
UNMATCHED = MATCHED._replace(regularisers=())
PLAYED = UNMATCHED._replace(use="pgen")
PLAIN = Method("gmm", (), {"type": "ae", "posterior": "deterministic"}, "pms")

METHODS = (VARIATIONAL, MATCHED, UNMATCHED, PLAYED, PLAIN)
"""In the first of these that does not refuse it a part has to work."""


def tiny(name: str, method: Method, prior: Mapping[str, Any] | None = None) -> Suite:
    """A run of seconds on 8x8 digits, whose estimates mean nothing. prior: settings of the method's."""
    content = {
        "name": "conformance",
        "title": "A short training",
        "datasets": ["digits"],
        "methods": [name],
        "seeds": 1,
        "metrics": [method.metric],
        "model": {"widths": [16], "latent_dim": 3, **method.model},
        "training": {"epochs": 1},
        "protocol": {"samples": [10], "images": 20, "generated": 50},
        "method": {name: {"use": method.use, "regularisers": [*method.regularisers]}},
        "prior": {method.use: dict(prior or {})},
    }
    return validated(Suite, content, "conformance")


@contextmanager
def short_run(chosen: Suite) -> Iterator[tuple[Run, Workspace, Outcome]]:
    """The suite's only run, carried out in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        (run,) = suite.expand(chosen)
        workspace = Workspace(Path(folder), Path(folder))
        yield run, workspace, execute(run, workspace)


def demand_estimates(metrics: Mapping[str, Any]) -> None:
    """Broken where an estimate of the run is refused or is no number."""
    refused = [f"{name}: {one['unsupported']}" for name, one in metrics.items() if "unsupported" in one]
    demand(not refused, "; ".join(refused), "raise Unsupported only where an estimate is undefined")
    estimates = [one for found in metrics.values() for one in found["figures"]]
    wrong = [f"{one['metric']} is {one['value']}" for one in estimates if not math.isfinite(one["value"])]
    demand(not wrong, "; ".join(wrong), "look for 1 / 0 and log 0")


# Of priors


@law(after=(settings,))
def validation(trial: Trial | PartTrial) -> None:
    """Every default is of its own annotation: a suite's values are checked against these before a run."""
    defaults = {key: one.default for key, one in settings_of(trial.kind).items()}
    try:
        constructor_settings(trial.kind, defaults, trial.name)
    except (UsageError, PydanticUserError) as error:
        fix = "annotate by int, float, bool, str, Literal[...], tuple[int, ...] or X | None, and mean it"
        raise Broken(" ".join(str(error).split())[:200], fix) from None


@law(after=(builds, validation))
def training(trial: Trial) -> None:
    """It goes through a short run on 8x8 digits: a VAE and its likelihood or, without a density, a WAE."""
    dense, plays = issubclass(trial.kind, Density), issubclass(trial.kind, Adversarial)
    wae = MATCHED._replace(regularisers=("prior-critic",) if plays else ("mmd",))
    method = (VARIATIONAL if dense else wae)._replace(use=trial.name)
    with short_run(tiny(trial.name, method, trial.settings)) as (run, workspace, outcome):
        fix = "look at error.txt of the method under `python -m benchmarks.run --suite smoke --dataset digits`"
        demand(outcome.status == "ok", f"{outcome.status}: {outcome.note}", fix)
        demand_estimates(workspace.record(run).read("metrics.json")["metrics"])


LAWS_OF_PRIORS = (*LAWS, validation, training)


# Of the other parts of a model


@dataclass(frozen=True)
class PartTrial:
    """A registered regulariser, backbone, likelihood, posterior or model type. part: what a suite calls its kind."""

    part: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Any:
        """The class or function; UnknownName with the near one."""
        return PARTS[self.part][self.name]

    @property
    def title(self) -> str:
        """The first line of its docstring."""
        return (self.kind.__doc__ or "").strip().partition("\n")[0]

    def within(self, method: Method) -> Method:
        """The method with this part in it."""
        if self.part == "regulariser":
            return method._replace(regularisers=(*method.regularisers, self.name))
        widths = {"widths": None} if self.part == "backbone" else {}  # its own, as nobody knows how many it takes
        return method._replace(model={**method.model, **widths, self.part: self.name})


@law()
def described(trial: Any) -> None:
    """It is described in a line, which `list` prints."""
    fix = "begin the docstring with one line that says what it is"
    demand(bool(trial.title.strip()) and trial.title.isprintable(), f"its summary is {trial.title!r}", fix)


@law(after=(described,))
def part_training(trial: PartTrial) -> None:
    """It goes through a short run on 8x8 digits, in the first of a VAE, WAEs and a plain autoencoder that takes it."""
    refusals = []
    for method in METHODS:
        with short_run(tiny("tried", trial.within(method))) as (run, workspace, outcome):
            refusals.append(outcome.note)
            if outcome.status == "unsupported":
                continue
            fix = "fix it, or raise Unsupported with the reason where it is not defined"
            demand(outcome.status == "ok", f"{outcome.status}: {outcome.note}", fix)
            demand_estimates(workspace.record(run).read("metrics.json")["metrics"])
            return
    raise Broken(f"no method takes it: {refusals[0]}", "raise Unsupported only where the pair is undefined")


LAWS_OF_PARTS = (described, part_training)
LAWS_OF_REGULARISERS = (described, settings, validation, part_training)
