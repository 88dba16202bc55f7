"""What is searched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from optuna.trial import Trial

from benchmarks.common.errors import UsageError
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite, leaves
from models.regularisers import REGULARISERS
from priors.registry import PRIORS
from priors.space import Choice, Float, Int, Range


def settings_of(run: Run) -> dict[str, Any]:
    """A run's settings by the keys that --set takes."""
    tables = {
        "model": run.model.model_dump(),
        "training": run.training.model_dump(),
        "prior": {run.prior.name: run.prior.settings} if run.prior else {},
        "regulariser": {one.name: one.settings for one in run.regularisers},
    }
    return dict(leaves(tables))


def declared(run: Run) -> dict[str, Range]:
    """What the run's prior and regularisers declare as worth tuning."""
    prior = run.demand_prior().name
    parts = {f"prior.{prior}": PRIORS[prior].space}
    parts |= {f"regulariser.{one.name}": REGULARISERS[one.name].space for one in run.regularisers}
    return {f"{part}.{key}": one for part, space in parts.items() for key, one in space.items()}


def definition(chosen: Suite, request: Request, method: str) -> dict[str, Any]:
    """What makes the method what it is: the catalogue's settings, the suite's [method.NAME] and the command's --set.
    The suite's [prior.NAME], its data sets' sections and presets are where a search starts, not what it must keep."""
    catalogued, own = suite.definition(chosen, method)
    merged = suite.merge(catalogued.sections, {key: value for key, value in own.items() if key in suite.SECTIONS})
    for text in request.overrides:
        merged = suite.merge(merged, suite.parse_override(text))
    return merged


def searched(chosen: Suite, request: Request, run: Run, extra: Mapping[str, Range]) -> dict[str, Range]:
    """What is declared and no part of the method's definition, then what --space names of the run's settings."""
    if run.prior is None:
        return {}
    fixed, known = dict(leaves(definition(chosen, request, run.method))), settings_of(run)
    space = {key: one for key, one in declared(run).items() if key not in fixed}
    for key in extra.keys() & known.keys():
        if isinstance(extra[key], Float) and type(known[key]) is int:
            raise UsageError(f"--space {key}: it takes whole numbers, such as {key}=10:200.")
    return space | {key: one for key, one in extra.items() if key in known}


def contains(one: Range, value: Any) -> bool:
    return value in one.values if isinstance(one, Choice) else one.low <= value <= one.high


def suggest(trial: Trial, key: str, one: Range) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(key, one.values)
    if isinstance(one, Int):
        return trial.suggest_int(key, one.low, one.high, log=one.log)
    return trial.suggest_float(key, one.low, one.high, log=one.log)


def parse_range(text: str) -> tuple[str, Range]:
    """`KEY=LOW:HIGH` (integers where both are), `KEY=LOW:HIGH:log` or `KEY=VALUE,VALUE`."""
    key, _, content = text.partition("=")
    if ":" not in content and "," in content:
        values = (suite.parse_override(f"training.value={value}") for value in content.split(","))
        return key, Choice(tuple(value["training"]["value"] for value in values))
    with suppress(ValueError):
        low, high, *scale = content.split(":")
        whole, ends = low.isdigit() and high.isdigit(), (float(low), float(high))
        if scale in ([], ["log"]) and -math.inf < ends[0] < ends[1] < math.inf and (not scale or ends[0] > 0):
            return key, Int(int(low), int(high), bool(scale)) if whole else Float(*ends, log=bool(scale))
    raise UsageError(
        f"--space {text}: write KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=VALUE,VALUE with LOW < HIGH (above 0 for log), "
        "for example --space training.lr=1e-4:1e-2:log."
    )
