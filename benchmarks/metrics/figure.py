"""One figure of one run, with what it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Direction = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class Figure:
    """A metric's value for one run.

    estimator: how it was computed ('exact', 'is-5000', 'elbo'); unlike ones are never ranked together.
    error: standard error of the value over images or draws (not over seeds), where it has one.
    values: what the value is the mean of, one a test image in their order, for comparisons in pairs.
    """

    metric: str
    estimator: str
    value: float
    unit: str
    direction: Direction
    error: float | None = None
    note: str = ""
    values: Tensor | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """All but the values, which are kept apart."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "values"}
