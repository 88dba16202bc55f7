"""What tables, headings and files call a data set: a user's own images by the name of their folder, never by its path.

`folder:/home/ann/flowers` is `flowers`. Where another data set has that name, six digits of a hash of the path tell the
two apart: `flowers-3f2a91`. The suite's own names depend on the suite alone, so that no command renames them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.common.names import slug
from benchmarks.datasets import DATASETS
from benchmarks.datasets.base import short_name

DIGITS = 6
"""Of the hash, in base 16."""


class Called(NamedTuple):
    """A data set by what it is called, and as the suite or the command asks for it."""

    label: str
    asked: str


def called(own: Collection[str], more: Iterable[str] = ()) -> list[Called]:
    """The suite's own data sets, then those that a command adds, each with its label.

    >>> called(["digits", "folder:a/flowers", "folder:b/flowers", "folder:cats"])[0::3]
    [Called(label='digits', asked='digits'), Called(label='cats', asked='folder:cats')]
    """
    every = list(dict.fromkeys((*own, *more)))
    return [Called(label(name, own if name in own else every), name) for name in every]


def label(name: str, among: Iterable[str]) -> str:
    """Of one data set among others."""
    short = short_name(name)
    if short == name:
        return name
    same = {_normal(other) for other in among if slug(short_name(other)) == slug(short)} - {_normal(name)}
    if not same and short not in DATASETS:
        return short
    return f"{short}-{hashlib.sha256(_normal(name).encode()).hexdigest()[:DIGITS]}"


def resolved(own: Collection[str], names: Iterable[str]) -> tuple[str, ...]:
    """Names as the suite has them, where a person calls its data sets by their labels."""
    by_label: Mapping[str, str] = {one.label: one.asked for one in called(own)}
    return tuple(by_label.get(name, name) for name in names)


def _normal(name: str) -> str:
    """The same for two ways to write a path."""
    loader, colon, path = name.partition(":")
    return f"{loader}{colon}{Path(path)}"
