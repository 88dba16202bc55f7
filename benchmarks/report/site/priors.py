"""What a prior's page says: its law, settings, papers and methods, and where it stands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.config import methods, papers, suite, told
from benchmarks.config.suite import Suite
from benchmarks.report import provenance
from benchmarks.report.site import docstring
from benchmarks.report.site.boards import Board, Group, Line
from benchmarks.report.site.docstring import Told
from benchmarks.report.site.figures import Figures
from benchmarks.report.site.given import Given
from priors.registry import PRIORS


@dataclass(frozen=True)
class Setting:
    """One of a prior's. span: the range that a study searches, in words. meaning: what the docstring says of it."""

    name: str
    kind: str
    default: str
    span: str
    meaning: str


@dataclass(frozen=True)
class Standing:
    """Where a method with the prior stands: a line of a group of a leaderboard."""

    board: Board
    group: Group
    line: Line
    reason: str


@dataclass(frozen=True)
class Method(provenance.Method):
    """A method that has the prior. laid_over: what the suite that defines it has otherwise. suites: that name it."""

    suites: tuple[str, ...]


def content(
    name: str, boards: Sequence[Board], suites: dict[str, Suite], figures: Figures, root: str
) -> dict[str, Any]:
    """All that the page shows, by the template's names."""
    kind = PRIORS[name]
    settings = [*told.settings(kind)]
    text = docstring.parsed(inspect.getdoc(kind) or "", [one.name for one in settings])
    standings = [*of_prior(name, boards)]
    return {
        "name": name,
        "text": text,
        "facts": dict(told.declarations(kind)),
        "settings": [*described(settings, text)],
        "papers": [*sources(inspect.getdoc(kind) or "")],
        "methods": [*of_methods(name, suites)],
        "standings": standings,
        "galleries": [*galleries(standings, figures, root)],
    }


def described(settings: Sequence[told.Setting], text: Told) -> Iterator[Setting]:
    """The constructor's settings with the words that the docstring has for them."""
    for one in settings:
        yield Setting(one.name, one.annotation, one.default, spanned(one.span), text.notes.get(one.name, ""))


def spanned(span: Any) -> str:
    """`10 to 2000, on a logarithmic scale`."""
    if span is None:
        return ""
    if values := getattr(span, "values", None):
        return ", ".join(map(str, values))
    return f"{span.low:g} to {span.high:g}" + (", on a logarithmic scale" if span.log else "")


def sources(text: str) -> Iterator[tuple[str, str]]:
    """(the paper in a line, its BibTeX) of the papers that a text cites."""
    cited = [*papers.named_in(text)]
    for name, one in papers.papers().items():
        if one in cited:
            yield one.line, "\n".join(papers.as_bibtex(name))


def of_methods(prior: str, suites: dict[str, Suite]) -> Iterator[Method]:
    """The catalogue's methods with the prior, the plain VAE with it, and those that suites define."""
    named = dict.fromkeys((*methods.available(), *(name for one in suites.values() for name in one.method)))
    for name in named:
        users = [file for file, one in suites.items() if name in one.methods and used(one, name) == prior]
        if name in methods.available() and methods.definition(name).use == prior:
            yield Method(name, methods.definition(name).title, methods.definition(name).source, (), tuple(users))
        elif users:
            known = provenance.entry(suites[users[0]], name)
            yield Method(**vars(known), suites=tuple(users))


def used(one: Suite, method: str) -> str | None:
    """The prior that a method has in a suite."""
    catalogued, own = suite.definition(one, method)
    use = own.get("use", catalogued.use)
    return use if isinstance(use, str) else None


def of_prior(name: str, boards: Sequence[Board]) -> Iterator[Standing]:
    """Its lines on every leaderboard, by the deciding estimator."""
    for board in boards:
        view = board.views[0]
        for group in view.groups:
            for line in group.lines:
                if line.source.prior == name:
                    yield Standing(board, group, line, view.footnotes.get(line.letter, ""))


def galleries(standings: Sequence[Standing], figures: Figures, root: str) -> Iterator[tuple[Given, list[Any]]]:
    """The figures of the tables in which it has lines, on the data sets of these."""
    shown: dict[str, tuple[Given, dict[str, None]]] = {}
    for one in standings:
        table = one.line.source.table
        shown.setdefault(table.name, (table, {}))[1][one.board.dataset] = None
    for table, datasets in shown.values():
        drawn = figures.of(table, root, tuple(datasets)).drawn
        if found := [picture for dataset in datasets for picture in drawn.get(dataset, ())]:
            yield table, found
