"""One figure of one run, with what it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Direction = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class Figure:
    """A metric's value for one run.

    estimator: how it was computed ('exact', 'is-5000', 'elbo'); unlike ones are never ranked together.
    error: standard error of the value over test images (not over seeds), where it has one.
    """

    metric: str
    estimator: str
    value: float
    unit: str
    direction: Direction
    error: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
