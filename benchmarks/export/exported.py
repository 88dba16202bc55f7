"""What there is to export of a finished run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.config.settings import Run
from benchmarks.config.suite import leaves
from benchmarks.runner.record import Record
from benchmarks.tables import of_run

LEFT_OUT = ("metrics", "overrides", "trial", "plugins", "source")
"""Of a run's settings: what says nothing of how it was trained."""


class Measured(NamedTuple):
    """An estimate's value, and its error over images or draws where it has one."""

    value: float
    error: float | None = None


@dataclass(frozen=True)
class Exported:
    """A finished run. Everything is read from its record."""

    run: Run
    record: Record

    @property
    def name(self) -> str:
        return self.run.name

    @cached_property
    def settings(self) -> dict[str, str]:
        """All that it was made with, by dotted key."""
        how = self.run.model_dump(mode="json", exclude={*LEFT_OUT})
        return {key: str(value) for key, value in leaves(how)}

    @cached_property
    def history(self) -> list[tuple[int, dict[str, float]]]:
        """Losses by epoch, those that are numbers."""
        rows = of_run.history(self.record).to_dict("records")
        return [(int(row.pop("epoch")), finite({str(key): value for key, value in row.items()})) for row in rows]

    @cached_property
    def estimates(self) -> dict[str, Measured]:
        """By metric and estimator, "nll is-5000"; those that are no real numbers left out."""
        rows = of_run.estimates(self.record).dropna(subset=["value"]).itertuples()
        found = {f"{row.metric} {row.estimator}": finite({"value": row.value, "error": row.error}) for row in rows}
        return {name: Measured(**one) for name, one in found.items() if "value" in one}

    @property
    def numbers(self) -> dict[str, float]:
        """The same one below the other, each error as "nll is-5000 error" after its value."""
        found: dict[str, float] = {}
        for name, one in self.estimates.items():
            found[name] = one.value
            if one.error is not None:
                found[f"{name} error"] = one.error
        return found

    @cached_property
    def training(self) -> Mapping[str, Any]:
        """How training ended."""
        return self.record.read("training.json") or {}

    @property
    def pictures(self) -> list[Path]:
        """The images that the run drew."""
        return sorted(self.record.folder.glob("*.png"))


def finite(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Those that are real numbers, as floats."""
    real = {key: float(value) for key, value in numbers.items() if isinstance(value, int | float)}
    return {key: value for key, value in real.items() if math.isfinite(value)}
