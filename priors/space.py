"""Tunable settings: the ranges that a prior declares beside its constructor, for any tuner to read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Int:
    """An integer in [low, high], on a logarithmic scale where `log`."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], on a logarithmic scale where `log`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[str | int | float | bool, ...]


Range = Int | Float | Choice
