"""The command `python -m benchmarks.conformance`: the contract's laws, tried on a prior.

The laws are in `priors.conformance`. Two that need the harness stand here.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic.errors import PydanticUserError
from rich.console import Console

from benchmarks import suite
from benchmarks.catalogue import first_line
from benchmarks.cli import STOPPED, Several, named, parse, status
from benchmarks.common.started import program
from benchmarks.console import Screen
from benchmarks.errors import UsageError, unknown
from benchmarks.execute import execute
from benchmarks.settings import constructor_settings, prior_settings, validated
from benchmarks.suite import Suite
from benchmarks.workspace import Workspace
from priors import registry
from priors.base import Adversarial, Density
from priors.conformance import LAWS, Trial, Verdict, examine, use
from priors.conformance.construction import builds, settings
from priors.conformance.law import Broken, demand, law


@dataclass(frozen=True)
class Command:
    """Tries the contract's laws on a prior and says what it may be used for.

    For example:
      python -m benchmarks.conformance --plugin myprior.py
      python -m benchmarks.conformance --prior vampprior
      python -m benchmarks.conformance --prior two-stage --set prior.two-stage.steps=50
    """

    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers priors: all of them are tried unless --prior names some. May be repeated."""
    prior: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Registered priors, this project's or those of installed packages."""
    set: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """A setting other than the default: --set prior.mixture.components=5. May be repeated."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 no law is broken, 1 one is, 2 wrong usage, 130 stopped by Ctrl-C."""
    torch.set_num_threads(1)  # all tensors are small: more threads would wait for each other
    return status(lambda: try_all(parse(Command, arguments, "conformance"), Screen()), STOPPED)


def try_all(command: Command, console: Console) -> int:
    """1 where any of the priors breaks a law."""
    return max(show(trial, console) for trial in trials(command))


def trials(command: Command) -> list[Trial]:
    """One for every prior that is asked for, its settings validated."""
    registry.load_entry_points()
    added = [name for path in command.plugin for name in registry.load_plugin(path)]
    names = command.prior or added
    if not names:
        raise UsageError("Nothing to try: pass --plugin FILE, or --prior NAME for a registered prior.")
    for name in names:
        if name not in registry.available():
            raise unknown("prior", name, registry.available())
    given = overrides(command.set, names)
    return [Trial(name, prior_settings(name, given[name]).settings if name in given else {}) for name in names]


def overrides(texts: Sequence[str], names: Sequence[str]) -> Mapping[str, Any]:
    """Settings by prior's name; UsageError for what is no setting of a prior that is tried."""
    given: dict[str, Any] = {}
    for text in texts:
        given = suite.merge(given, suite.parse_override(text))
    for section in given:
        if section != "prior":
            raise UsageError(f"--set {section}: only prior.NAME.key=value can be set here.")
    for name, content in given.get("prior", {}).items():
        if name not in names:
            raise unknown("prior", name, names)
        if not isinstance(content, Mapping):
            raise UsageError(f"--set prior.{name}={content}: write it as prior.{name}.key=value.")
    return given.get("prior", {})


def show(trial: Trial, console: Console) -> int:
    """Prints the verdicts as they come, then what the prior may be used for; 1 where a law is broken."""
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    tell(f"{trial.name}: {first_line(trial.kind)}", style="bold")
    verdicts = []
    for verdict in examine(trial, ALL):
        verdicts.append(verdict)
        tell(line(verdict), style="red" if verdict.outcome == "fail" else None)
    broken = [verdict.law.name for verdict in verdicts if verdict.outcome == "fail"]
    tell(conclusion(trial, verdicts, broken), style="bold")
    return 1 if broken else 0


def line(verdict: Verdict) -> str:
    """The outcome and the law; for a broken law two more lines, what was found and the likely fix."""
    if verdict.outcome == "does not apply":
        return f"  -    {verdict.law.name:14} does not apply: {verdict.found}"
    if verdict.outcome == "pass":
        return f"  pass {verdict.law.name:14} {verdict.law.statement}"
    more = f"\n{'':22}"
    return f"  FAIL {verdict.law.name:14} {verdict.law.statement}{more}found: {verdict.found}{more}fix:   {verdict.fix}"


def conclusion(trial: Trial, verdicts: Sequence[Verdict], broken: Sequence[str]) -> str:
    """What the prior may be used for, in a sentence."""
    if broken:
        return f"{trial.name} breaks {', '.join(broken)}. It may be used for: {use(trial.kind, broken)}."
    kept = sum(verdict.outcome == "pass" for verdict in verdicts)
    return f"{trial.name} keeps all {kept} laws that apply to it. It may be used for: {use(trial.kind)}."


# Laws that need the harness


@law(after=(settings,))
def validation(trial: Trial) -> None:
    """Every default is of its own annotation: a suite's values are checked against these before a run."""
    defaults = {key: one.default for key, one in registry.settings_of(trial.kind).items()}
    try:
        constructor_settings(trial.kind, defaults, f"prior.{trial.name}")
    except (UsageError, PydanticUserError) as error:
        fix = "annotate by int, float, bool, str, Literal[...], tuple[int, ...] or X | None, and mean it"
        raise Broken(" ".join(str(error).split())[:200], fix) from None


@law(after=(builds, validation))
def training(trial: Trial) -> None:
    """It goes through a short run on 8x8 digits: a VAE and its likelihood or, without a density, a WAE."""
    with tempfile.TemporaryDirectory() as folder:
        (run,) = suite.expand(tiny(trial))
        workspace = Workspace(Path(folder), Path(folder))
        outcome = execute(run, workspace)
        fix = f"look at error.txt of the method under `{program('run')} --suite smoke --dataset digits`"
        demand(outcome.status == "ok", f"{outcome.status}: {outcome.note}", fix)
        results = workspace.record(run).read("metrics.json")["metrics"]
    refused = [f"{name}: {one['unsupported']}" for name, one in results.items() if "unsupported" in one]
    demand(not refused, "; ".join(refused), "raise Unsupported only where a figure is undefined")


def tiny(trial: Trial) -> Suite:
    """A run of seconds, whose figures mean nothing."""
    dense = issubclass(trial.kind, Density)
    match = "prior-critic" if issubclass(trial.kind, Adversarial) else "mmd"
    wae = {"regularisers": [match], "model": {"type": "wae", "posterior": "deterministic"}}
    content = {
        "name": "conformance",
        "title": "A short training",
        "datasets": ["digits"],
        "methods": [trial.name],
        "seeds": 1,
        "metrics": ["nll"] if dense else ["pms"],
        "model": {"widths": [16], "latent_dim": 3},
        "training": {"epochs": 1},
        "protocol": {"samples": [10], "images": 20, "generated": 50},
        "method": {trial.name: {"use": trial.name} | ({} if dense else wae)},
        "prior": {trial.name: dict(trial.settings)},
    }
    return validated(Suite, content, "conformance")


ALL = (*LAWS, validation, training)


if __name__ == "__main__":
    sys.exit(main())
