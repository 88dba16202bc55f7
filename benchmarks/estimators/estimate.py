"""One estimate of one run, with what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor

from benchmarks.estimators.estimator import Estimator

Direction = Literal["lower", "higher", "none"]

Alarm = Literal["", "unreliable", "impossible"]
"""What a reader must not miss: the estimate is not to be relied on, or it cannot be."""


class Remark(NamedTuple):
    """A sentence about an estimate, with the numbers that differ from run to run apart from its words.

    >>> str(Remark("further than {}", ("0.31",)))
    'further than 0.31'
    """

    words: str
    numbers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.words.format(*self.numbers) if self.numbers else self.words


def remarks(*told: Remark | str) -> tuple[Remark, ...]:
    """Those of the sentences that are not empty."""
    return tuple(Remark(one) if isinstance(one, str) else one for one in told if one)


@dataclass(frozen=True)
class Estimate:
    """A metric's value for one run.

    estimator: how it was computed; unlike ones are never ranked together.
    error: standard error of the value over images or draws (not over seeds), where it has one.
    remarks: what a reader should know of it. alarm: what he must know.
    values: what the value is the mean of, one a test image in their order, for comparisons in pairs.
    """

    metric: str
    estimator: Estimator
    value: float
    unit: str
    direction: Direction
    error: float | None = None
    remarks: tuple[Remark, ...] = ()
    alarm: Alarm = ""
    values: Tensor | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: all but the values, which are kept apart."""
        kept = {name: getattr(self, name) for name in ("metric", "value", "unit", "direction", "error", "alarm")}
        return {**kept, "estimator": str(self.estimator), "remarks": [[words, *n] for words, n in self.remarks]}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Estimate:
        """The estimate that `as_dict` was asked of, or one that an earlier version kept, whose note was one text."""
        told = kept.get("remarks", [[kept["note"]]] if kept.get("note") else [])
        names = ("metric", "value", "unit", "direction", "error")
        return cls(
            **{name: kept[name] for name in names},
            estimator=Estimator.parse(kept["estimator"]),
            remarks=tuple(Remark(words, tuple(numbers)) for words, *numbers in told),
            alarm=kept.get("alarm", ""),
        )
