"""The papers that the project names, with authors, titles and venues as far as they are known to it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from benchmarks.common.settings import Settings, validated

FILE = Path(__file__).parent / "papers.toml"


class PaperEntry(Settings):
    """One paper. cited: how other texts of the project call it. venue: of a journal, a conference, or a preprint."""

    cited: tuple[str, ...]
    title: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    venue: str = ""

    @property
    def line(self) -> str:
        """Authors, year, title and venue."""
        who = ", ".join(self.authors) or self.cited[0]
        return ". ".join(filter(None, (f"{who} ({self.year})" if self.year else who, self.title, self.venue)))


@lru_cache
def papers() -> Mapping[str, PaperEntry]:
    """All entries of the file by short name, in its order."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: validated(PaperEntry, one, f"{FILE.name}: {name}") for name, one in content.items()}


def named_in(text: str) -> Iterator[PaperEntry]:
    """The papers that a text cites."""
    flat = " ".join(text.split())
    for one in papers().values():
        if any(re.search(rf"\b{re.escape(cited)}\b(?![-+])", flat) for cited in one.cited):
            yield one


def bibtex() -> Iterator[str]:
    """All papers as BibTeX, line by line."""
    for name in papers():
        yield from as_bibtex(name)


def as_bibtex(name: str) -> Iterator[str]:
    """One paper, by its short name. An entry without authors has that name in their place, as a key."""
    one = papers()[name]
    fields = {
        "title": f"{{{one.title}}}",
        "author": " and ".join(one.authors),
        "key": "" if one.authors else name,
        "year": str(one.year or ""),
        "howpublished": one.venue,
    }
    yield f"@misc{{{name.lower()},"
    yield from (f"  {key} = {{{value}}}," for key, value in fields.items() if value)
    yield "}"
