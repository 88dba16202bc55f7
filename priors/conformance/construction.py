"""Laws of the class and its constructor."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from priors import registry
from priors.conformance.law import NotApplicable, demand, law
from priors.conformance.trial import Trial
from priors.space import Choice, Range


@law()
def summary(trial: Trial) -> None:
    """The class has a docstring whose first line says what the law is."""
    found = (trial.kind.__doc__ or "").partition("\n")[0].strip()
    demand(bool(found), "no docstring, or one that starts with an empty line", "begin with one line: `list` prints it")


@law()
def settings(trial: Trial) -> None:
    """The constructor takes the host, then settings by keyword, each annotated and with a default."""
    for one in inspect.signature(trial.kind.__init__).parameters.values():
        wild = one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        demand(not wild, f"the constructor takes {one}", "name every setting: a suite's keys are checked by the names")
    for key, one in registry.settings_of(trial.kind).items():
        demand(one.annotation is not one.empty, f"the setting '{key}' has no annotation", f"write, say, {key}: float")
        demand(one.default is not one.empty, f"the setting '{key}' has no default", f"write, say, {key}: float = 1.0")


@law(after=(settings,))
def builds(trial: Trial) -> None:
    """It is built on an autoencoder that it has not seen, and fitted to its codes; its state is finite."""
    wrong = [key for key, value in trial.fitted.state_dict().items() if not value.isfinite().all()]
    demand(not wrong, f"{', '.join(wrong)} not finite after `fit`", "start from finite numbers, keep variances above 0")


@law(after=(builds,))
def host_apart(trial: Trial) -> None:
    """The autoencoder is no part of the prior: it is neither saved nor trained with it."""
    theirs = {id(one) for one in (*trial.host.autoencoder.modules(), *trial.host.autoencoder.parameters())}
    found = [type(one).__name__ for one in trial.fitted.modules() if id(one) in theirs]
    found += [name for name, one in trial.fitted.named_parameters() if id(one) in theirs]
    fix = "keep `host.encode` and `host.decode` themselves, not the network behind them: nn.Module adopts a module"
    demand(not found, f"the prior holds the autoencoder's {', '.join(found)}", fix)


SOUND = (host_apart,)
"""The laws that every further law needs."""


@law(after=SOUND)
def space(trial: Trial) -> None:
    """`space` names settings of the constructor, and the prior works at both ends of every range."""
    if not trial.kind.space:
        raise NotApplicable("it declares no tunable setting")
    for key, allowed in trial.kind.space.items():
        demand(key in registry.settings_of(trial.kind), f"there is no setting '{key}'", "name a constructor's keyword")
        for value in ends(allowed):
            z = Trial(trial.name, {**trial.settings, key: value}).build().sample(1)
            demand(bool(z.isfinite().all()), f"no finite draw at {key} = {value!r}", "narrow the range")


def ends(allowed: Range) -> Sequence[Any]:
    """The values that a range ends at, or all values of a choice."""
    return allowed.values if isinstance(allowed, Choice) else (allowed.low, allowed.high)
