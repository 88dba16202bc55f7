"""A part's docstring in pieces: what it is, formulas, and what each setting means."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

NOTE = re.compile(r"(?P<names>[a-z_]+(?:(?:,| and) [a-z_]+)*): +(?P<text>.*)")
"""Begins what is said of one setting or of several."""

NEXT = re.compile(r"(?<=\. )(?P<names>[a-z_]+(?:(?:,| and) [a-z_]+)*): ")
"""The same after another sentence."""

EXAMPLE = ">>>"

TEXT, FORMULA = "text", "formula"


@dataclass(frozen=True)
class Told:
    """law: the first sentence, which may have several lines. blocks: (TEXT or FORMULA, what it says). notes: what is
    said of settings, by name."""

    law: str
    blocks: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


def parsed(docstring: str, settings: Collection[str]) -> Told:
    """A cleaned docstring's pieces; examples are left out, as they are for programs."""
    first, blank, rest = docstring.partition("\n\n")
    head = first.splitlines()
    ends = next((i for i, line in enumerate(head, 1) if line.endswith((".", ":"))), len(head))
    told = Told(" ".join(head[:ends]).removesuffix(":"))
    rest = "\n".join(head[ends:]) + blank + rest
    for paragraph in re.split(r"\n\s*\n", rest.strip("\n")):
        lines = list(_without_examples(paragraph.splitlines()))
        if lines and all(line.startswith("    ") for line in lines):
            told.blocks.append((FORMULA, textwrap.dedent("\n".join(lines))))
        elif lines:
            _read(lines, settings, told)
    told.blocks[:] = [
        (kind, _ended(words) if _open(told.blocks, i) else words) for i, (kind, words) in enumerate(told.blocks)
    ]
    return told


def _open(blocks: list[tuple[str, str]], i: int) -> bool:
    """Does a text lead to what is said of a setting, and not to a formula?"""
    leads = [kind for kind, _ in blocks[i + 1 : i + 2]] == [FORMULA]
    return blocks[i][0] == TEXT and not blocks[i][1].endswith((".", ":", ")")) and not leads


def _ended(words: str) -> str:
    return f"{words.rstrip(',')}: see its settings."


def _without_examples(lines: list[str]) -> Iterator[str]:
    """Lines up to the first example of a paragraph."""
    for line in lines:
        if line.strip().startswith(EXAMPLE):
            return
        yield line


def _read(lines: list[str], settings: Collection[str], told: Told) -> None:
    """Adds a paragraph: its notes on settings, and its sentences as one text. What is indented goes on with a note."""
    texts: list[str] = []
    names: list[str] = []
    for line in _split(lines, settings):
        found = NOTE.fullmatch(line)
        mine = _named(found["names"], settings) if found else []
        if found and mine:
            names = mine
            told.notes.update(dict.fromkeys(mine, found["text"]))
        elif names and line.startswith(" "):
            told.notes.update({name: f"{told.notes[name]} {line.strip()}" for name in names})
        else:
            names = []
            texts.append(line.strip())
    if texts:
        told.blocks.append((TEXT, " ".join(texts)))


def _split(lines: list[str], settings: Collection[str]) -> Iterator[str]:
    """Lines, of which those that say something of several settings, one after the other, are several."""
    for line in lines:
        starts = [found.start() for found in NEXT.finditer(line) if _named(found["names"], settings)]
        for start, end in pairwise([0, *starts, len(line)]):
            yield line[start:end].rstrip()


def _named(names: str, settings: Collection[str]) -> list[str]:
    return [one for one in re.split(r", | and ", names) if one in settings]
