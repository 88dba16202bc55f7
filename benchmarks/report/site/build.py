"""All pages of the site, from the tables of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.common.started import version
from benchmarks.config.suite import Suite
from benchmarks.metrics.base import QUESTIONS
from benchmarks.report import glossary, page
from benchmarks.report.site import links, priors, protocols, suites, written
from benchmarks.report.site.boards import Board, boards
from benchmarks.report.site.claims import Submission, submissions
from benchmarks.report.site.figures import Figures
from benchmarks.report.site.given import Given, tables
from benchmarks.report.site.ranking import GROUPS
from benchmarks.statistics import paired
from priors.registry import PRIORS

INDEX = "index.html"

PICTURES = "'self' file: data:"
"""Where pages have pictures from: beside them, on a disk or on a server, and in them."""


def build(results: Path, target: Path, console: Console) -> int:
    """Writes the site, and prints where; exit status 0."""
    found, left_out = tables(results)
    written.check(target)
    claims, no_claims = submissions(results)
    files = pages(found, claims, results)
    changed = written.write(target, files)
    told = f"{count(files, '.html')} pages of {len(found)} tables, {changed} files new or changed"
    for line in (*left_out, *no_claims, f"site: {target / INDEX}, {told}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def count(files: dict[str, bytes], ending: str) -> int:
    """How many files have it."""
    return sum(name.endswith(ending) for name in files)


def pages(found: Sequence[Given], claims: Sequence[Submission], results: Path) -> dict[str, bytes]:
    """Every file by its name in the folder."""
    known, figures = suites.known(), Figures(results)
    ranked = boards(found)
    common = shared(found, ranked) | {"submissions": claims}
    texts = dict(texts_of(found, ranked, known, figures, common))
    files = {name: text.encode() for name, text in texts.items()}
    return files | {links.table(one.name): one.path.read_bytes() for one in found} | figures.files


def shared(found: Sequence[Given], ranked: Sequence[Board]) -> dict[str, Any]:
    """What templates may ask on every page. version, newest: the project's, and the day of the newest run, so that the
    same tables make the same bytes."""
    return {
        "version": version(),
        "newest": max((one.ended for one in found), default=""),
        "links": links,
        "questions": QUESTIONS,
        "level": f"{paired.LEVEL:g}",
        "agrees": f"{1 - paired.LEVEL:.0%}",
        "registered": [*PRIORS],
        "boards": ranked,
        "tables": found,
    }


def texts_of(
    found: Sequence[Given],
    ranked: Sequence[Board],
    known: dict[str, Suite],
    figures: Figures,
    common: dict[str, Any],
) -> Iterator[tuple[str, str]]:
    """(a page's file, its text)."""
    inner: Callable[..., str] = partial(filled, **{**common, "root": "../"})
    names = list(dict.fromkeys((*(one.suite for one in found), *known)))
    by_suite = {name: [one for one in found if one.suite == name] for name in names}
    laws = {name: priors.content(name, ranked, known, figures, "../") for name in PRIORS}
    for board in ranked:
        terms = glossary.of(board.estimators)
        yield (
            links.board(board.dataset, board.protocol),
            inner("board", board=board, shared=protocols.shared(board, known), glossary=terms, groups=GROUPS),
        )
    for name, law in laws.items():
        yield links.prior(name), inner("prior", **law)
    for name, mine in by_suite.items():
        told = suites.content(name, known.get(name), mine, ranked, figures, "../")
        yield links.suite(name), inner("suite", **told)
    if common["submissions"]:
        yield links.SUBMISSIONS, filled("claims", root="", **common)
    listed = {name: (known.get(name), mine) for name, mine in by_suite.items()}
    places = {name: Counter(one.board.dataset for one in law["standings"]) for name, law in laws.items()}
    yield INDEX, filled("index", root="", laws=laws, suites=listed, places=places, **common)


def filled(template: str, **content: Any) -> str:
    """A page by its template."""
    styles, scripts = ("page.css", "site/site.css"), ("page.js", "site/site.js")
    return page.filled(f"site/{template}.html.j2", styles, scripts, PICTURES, **content)
