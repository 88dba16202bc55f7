"""Parts tried by the laws of their kinds, and what a person sees of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import datasets
from benchmarks.common.errors import UsageError, find, unknown
from benchmarks.config import suite
from benchmarks.config.declared import first_line
from benchmarks.config.settings import prior_settings
from benchmarks.datasets import DATASETS
from benchmarks.laws.datasets import LAWS_OF_DATASETS, DatasetTrial
from benchmarks.laws.metrics import LAWS_OF_METRICS, MetricTrial
from benchmarks.laws.training import LAWS_OF_PARTS, LAWS_OF_PRIORS, LAWS_OF_REGULARISERS, PartTrial
from benchmarks.metrics import METRICS
from models.registry import PARTS
from priors.conformance import Trial, examine, use
from priors.conformance.law import Law, Verdict
from priors.plugins import Added
from priors.registry import PRIORS


@dataclass(frozen=True)
class Examination:
    """A trial and the laws that it is tried by. title: what the part is. use: what it may be used for, by the names of
    the laws that it breaks; nothing where a part has one use alone."""

    trial: Any
    laws: tuple[Law, ...]
    title: str
    use: Callable[[Sequence[str]], str] = lambda broken: ""


def examinations(asked: Sequence[tuple[str, str]], settings: Sequence[str], folder: Path) -> list[Examination]:
    """One for every part that is asked for, by its kind and name, its settings validated.

    settings: those of priors, as KEY=VALUE. folder: of the data sets.
    """
    given = overrides(settings, [name for kind, name in asked if kind == PRIORS.kind])
    makers: dict[str, Callable[[str], Examination]] = {
        PRIORS.kind: lambda name: of_prior(name, given.get(name)),
        METRICS.kind: of_metric,
        DATASETS.kind: lambda name: of_dataset(name, folder),
        **{one.kind: partial(of_part, part) for part, one in PARTS.items()},
    }
    return [makers.get(kind, partial(without_laws, kind))(name) for kind, name in asked]


def of_prior(name: str, given: Mapping[str, Any] | None) -> Examination:
    """given: settings other than the defaults."""
    kind = find(PRIORS, name)
    trial = Trial(name, {} if given is None else prior_settings(name, dict(given)).settings)
    return Examination(trial, LAWS_OF_PRIORS, first_line(kind.__doc__), partial(use, kind))


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
    """Prints the verdicts, then what the part may be used for; 1 where a law is broken."""
    return 1 if any(verdict.outcome == "fail" for verdict in tried(one, console)) else 0


def tried(one: Examination, console: Console) -> list[Verdict]:
    """The verdicts, printed as they come, with what the part may be used for."""
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    tell(f"{one.trial.name}: {one.title}", style="bold")
    verdicts = []
    for verdict in examine(one.trial, one.laws):
        verdicts.append(verdict)
        tell(line(verdict), style="red" if verdict.outcome == "fail" else None)
    broken = [verdict.law.name for verdict in verdicts if verdict.outcome == "fail"]
    tell(conclusion(one, verdicts, broken), style="bold")
    return verdicts


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
