"""The command `python -m benchmarks.conformance`: the contract's laws, tried on a prior or on another part.

The laws of priors are in `priors.conformance`, but for two that need the harness, in `benchmarks.laws.training`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console

from benchmarks import datasets
from benchmarks.cli import DATA, STOPPED, Several, load_plugins, named, parse, status
from benchmarks.common.errors import UsageError, find, unknown
from benchmarks.config import suite
from benchmarks.config.catalogue import first_line
from benchmarks.config.settings import prior_settings
from benchmarks.datasets import DATASETS
from benchmarks.laws.datasets import LAWS_OF_DATASETS, DatasetTrial
from benchmarks.laws.metrics import LAWS_OF_METRICS, MetricTrial
from benchmarks.laws.training import LAWS_OF_PARTS, LAWS_OF_PRIORS, LAWS_OF_REGULARISERS, PartTrial
from benchmarks.metrics import METRICS
from benchmarks.tables.console import Screen
from models.registry import PARTS
from priors.conformance import Law, Trial, Verdict, examine, use
from priors.plugins import Added
from priors.registry import PRIORS


@dataclass(frozen=True)
class Command:
    """Tries the contract's laws on a prior, a metric or a data set and says what it may be used for.

    For example:
      python -m benchmarks.conformance --plugin myprior.py
      python -m benchmarks.conformance --prior vampprior
      python -m benchmarks.conformance --prior two-stage --set prior.two-stage.steps=50
      python -m benchmarks.conformance --metric nll --dataset digits
    """

    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers parts: all of them are tried unless other flags name some. May be repeated."""
    prior: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Registered priors, this project's or those of installed packages."""
    metric: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Registered metrics."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Registered data sets."""
    set: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """A setting other than the default: --set prior.mixture.components=5. May be repeated."""
    data: Path = DATA
    """Folder of the data sets (environment: PRIORBENCH_DATA)."""


@dataclass(frozen=True)
class Examination:
    """A trial and the laws that it is tried by. title: what the part is. use: what it may be used for, by the names of
    the laws that it breaks; nothing where a part has one use alone."""

    trial: Any
    laws: tuple[Law, ...]
    title: str
    use: Callable[[Sequence[str]], str] = lambda broken: ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 no law is broken, 1 one is, 2 wrong usage, 130 stopped by Ctrl-C."""
    torch.set_num_threads(1)  # all tensors are small: more threads would wait for each other
    return status(lambda: try_all(parse(Command, arguments, "conformance"), Screen()), STOPPED)


def try_all(command: Command, console: Console) -> int:
    """1 where any of the parts breaks a law."""
    return max(show(one, console) for one in examinations(command))


def examinations(command: Command) -> list[Examination]:
    """One for every part that is asked for, its settings validated."""
    added = load_plugins(command.plugin)
    named = {PRIORS.kind: command.prior, METRICS.kind: command.metric, DATASETS.kind: command.dataset}
    asked = [(kind, name) for kind, names in named.items() for name in names] or [*added]
    if not asked:
        raise UsageError(
            "Nothing to try: pass --plugin FILE, or --prior, --metric or --dataset NAME for what is registered."
        )
    given = overrides(command.set, [name for kind, name in asked if kind == PRIORS.kind])
    makers = {
        PRIORS.kind: lambda name: of_prior(name, given.get(name)),
        METRICS.kind: of_metric,
        DATASETS.kind: lambda name: of_dataset(name, command.data),
        **{one.kind: partial(of_part, part) for part, one in PARTS.items()},
    }
    return [makers.get(kind, partial(without_laws, kind))(name) for kind, name in asked]


def of_prior(name: str, given: Mapping[str, Any] | None) -> Examination:
    """given: settings other than the defaults."""
    kind = find(PRIORS, name)
    trial = Trial(name, {} if given is None else prior_settings(name, dict(given)).settings)
    return Examination(trial, LAWS_OF_PRIORS, first_line(kind), partial(use, kind))


def of_metric(name: str) -> Examination:
    return Examination(MetricTrial(name), LAWS_OF_METRICS, find(METRICS, name).summary)


def of_dataset(name: str, folder: Path) -> Examination:
    return Examination(DatasetTrial(name, folder), LAWS_OF_DATASETS, datasets.check(name).summary)


def without_laws(kind: str, name: str) -> Examination:
    return Examination(Added(kind, name), (), f"a {kind}, of which there are no laws")


def of_part(part: str, name: str) -> Examination:
    """Of a part of a model. part: what a suite calls its kind."""
    laws = LAWS_OF_REGULARISERS if part == "regulariser" else LAWS_OF_PARTS
    return Examination(PartTrial(part, name), laws, PartTrial(part, name).title)


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


def show(one: Examination, console: Console) -> int:
    """Prints the verdicts as they come, then what the part may be used for; 1 where a law is broken."""
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    tell(f"{one.trial.name}: {one.title}", style="bold")
    verdicts = []
    for verdict in examine(one.trial, one.laws):
        verdicts.append(verdict)
        tell(line(verdict), style="red" if verdict.outcome == "fail" else None)
    broken = [verdict.law.name for verdict in verdicts if verdict.outcome == "fail"]
    tell(conclusion(one, verdicts, broken), style="bold")
    return 1 if broken else 0


def line(verdict: Verdict) -> str:
    """The outcome and the law; for a broken law two more lines, what was found and the likely fix."""
    if verdict.outcome == "does not apply":
        return f"  -    {verdict.law.name:14} does not apply: {verdict.found}"
    if verdict.outcome == "pass":
        return f"  pass {verdict.law.name:14} {verdict.law.statement}"
    more = f"\n{'':22}"
    return f"  FAIL {verdict.law.name:14} {verdict.law.statement}{more}found: {verdict.found}{more}fix:   {verdict.fix}"


def conclusion(one: Examination, verdicts: Sequence[Verdict], broken: Sequence[str]) -> str:
    """Which laws it keeps or breaks, and what the part may be used for."""
    kept = sum(verdict.outcome == "pass" for verdict in verdicts)
    found = f"breaks {', '.join(broken)}" if broken else f"keeps all {kept} laws that apply to it"
    used = one.use(broken)
    return f"{one.trial.name} {found}." + (f" It may be used for: {used}." if used else "")


if __name__ == "__main__":
    sys.exit(main())
