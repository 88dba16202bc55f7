"""What a caller gives, as suites and flags have it: one thing or several, and Python values as the texts of `--set`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.common.errors import UsageError, cut
from benchmarks.config.suite import leaves, parse_override

T = TypeVar("T")


def several(given: T | Iterable[T]) -> tuple[T, ...]:
    """One or several things as a tuple; a text is one.

    >>> several("gaussian"), several(["gaussian", "vampprior"]), several(0)
    (('gaussian',), ('gaussian', 'vampprior'), (0,))
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)


def paths(given: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    """One or several files."""
    named: tuple[str | Path, ...] = several(given)
    return tuple(map(Path, named))


def override_texts(overrides: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings by their dotted keys, or in nested mappings, each as `--set` would have it.

    A text stays bare where it is read as itself, so that runs bear the name that the command gives them.

    >>> override_texts({"training.epochs": 5, "model": {"widths": (8, 8), "backbone": "conv"}})
    ('training.epochs=5', 'model.widths=[8, 8]', 'model.backbone=conv')
    """
    return tuple(f"{key}={_written(key, value)}" for key, value in leaves(overrides))


def _written(key: str, value: Any) -> str:
    """A value in TOML, of which what JSON has of numbers, texts and lists is a part."""
    if "." not in key:
        raise UsageError(f"overrides: {cut(repr(key))} names no setting: write section.key, as in 'training.epochs'.")
    if isinstance(value, str) and dict(leaves(parse_override(f"{key}={value}"))) == {key: value}:
        return value
    plain = value.tolist() if hasattr(value, "tolist") else value  # of numpy and torch
    with suppress(TypeError, ValueError):
        if plain is not None:  # which TOML has no word for
            return json.dumps(plain, allow_nan=False, ensure_ascii=False)
    raise UsageError(
        f"overrides: {key} = {cut(repr(value))} is not valid: a setting is a number, a text, or a list of these."
    )
