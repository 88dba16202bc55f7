"""One part, method or suite in full: settings with defaults and ranges, what it needs, its formula and its source."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from benchmarks.common.errors import unknown
from benchmarks.config import catalogue, methods, papers
from benchmarks.datasets import DATASETS
from benchmarks.metrics import METRICS
from models.regularisers import REGULARISERS
from priors.registry import PRIORS, Registry, settings_of

KINDS: Mapping[str, Registry[Any]] = {
    "priors": PRIORS,
    "regularisers": REGULARISERS,
    "datasets": DATASETS,
    "metrics": METRICS,
}
"""The registry that each section of parts is of."""


DECLARED = {
    "certainty": "ln p(z)",
    "reparameterised": "draws carry the gradient of what it learns",
    "inception": "needs Inception's weights",
    "of_data": "defined for the data without a model",
    "rows": "rows of the table",
    "resizable": "takes protocol.size",
}
"""What parts declare of themselves, and how it is called."""

WORDS = {"True": "yes", "False": "no"}


def lines(section: str, name: str, sections: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What there is to say of one entry of a section; UsageError with the near name for one that is not there."""
    known = papers.papers() if section == "papers" else sections[section]
    word = section.partition(" (")[0].replace(" ", "")
    if name not in known:
        raise unknown(word.removesuffix("s"), name, known)
    if section == "papers":
        return [name, f"  {papers.papers()[name].line}"]
    told = list(of_part(KINDS[word], name) if word in KINDS else of_entry(word, name, sections[section][name]))
    sources = dict.fromkeys(one.line for one in papers.named_in(told[0]))
    return [name, *told, *(["  source:"] if sources else []), *(f"    {one}" for one in sources)]


def of_entry(section: str, name: str, line: str) -> Iterator[str]:
    """A method's definition, or a suite's file."""
    yield f"  {line}"
    if section == "methods":
        sections = methods.catalogue()[name].sections
        yield from (f"  {key}: {value}" for key, value in sections.items())
    else:
        text = catalogue.suites()[name].read_text(encoding="utf-8")
        yield from (f"  {one}" for one in text.splitlines())


def of_part(parts: Registry[Any], name: str) -> Iterator[str]:
    """A registered part's docstring, what it declares of itself, and the settings of a constructor."""
    part = parts[name]
    kind = part if isinstance(part, type) else inspect.unwrap(getattr(part, "measure", None) or part.load)
    yield from (f"  {one}" for one in (inspect.getdoc(kind) or "").splitlines())
    yield from (f"  {words}: {value}" for words, value in declarations(part))
    if not isinstance(part, type):
        return
    found = [*settings(part)]
    yield "  settings:" if found else "  settings: none"
    for one in found:
        yield f"    {one.name}: {one.annotation} = {one.default}" + (f"; searched in {one.span}" if one.span else "")


def declarations(part: Any) -> Iterator[tuple[str, str]]:
    """What a part declares of itself, each with what it is called."""
    for name, words in DECLARED.items():
        if (value := getattr(part, name, None)) not in (None, (), ""):
            yield words, WORDS.get(str(value), str(value)) if not isinstance(value, tuple) else ", ".join(value)


class Setting(NamedTuple):
    """One of a constructor's. span: the range that a study searches, or None."""

    name: str
    annotation: str
    default: str
    span: Any


def settings(part: type) -> Iterator[Setting]:
    """Those of a constructor, in its order."""
    space = getattr(part, "space", {})
    for key, one in settings_of(part).items():
        yield Setting(key, inspect.formatannotation(one.annotation), repr(one.default), space.get(key))
