"""Where a trial runs: in a workspace in which no run meets a test image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.common.errors import Stop
from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset
from benchmarks.datasets.base import FIXED_DRAW, draw_once
from benchmarks.runner.record import Record
from benchmarks.runner.workspace import Workspace


def held_out(data: Dataset) -> Dataset:
    """The data with the validation split in the test split's place, its labels too, and a digest of their own, so that
    no estimate of validation images can pass for one of test images."""
    images, labels = data.validation, data.labels
    if data.binarisation == "expected":  # test images are drawn once and encoded grey: so are these
        drawn = draw_once(images.to("cpu"), FIXED_DRAW)
        images = replace(drawn, encoded_grey=True).to(data.train.stored.device)
    return replace(
        data,
        test=images,
        labels=labels and (labels[0], labels[1], labels[1]),
        digest=hashlib.sha256(f"validation of {data.digest}".encode()).hexdigest(),
    )


@dataclass(frozen=True)
class WatchedRecord(Record):
    """A run's folder that also tells `follow` of all that is reported."""

    follow: Callable[[Mapping[str, Any]], None]

    def report(self, **status: Any) -> None:
        super().report(**status)
        self.follow(status)


def silent(status: Mapping[str, Any]) -> None:
    """Follows nothing."""


@dataclass(frozen=True)
class ValidationWorkspace(Workspace):
    """A workspace in which no run meets a test image."""

    follow: Callable[[Mapping[str, Any]], None] = silent

    def dataset(self, run: Run) -> Dataset:
        return held_out(super().dataset(run))

    def record(self, run: Run) -> Record:
        return WatchedRecord(super().record(run).folder, self.follow)


class CutShort(Stop):
    """Ends a trial whose validation losses are worse than the others'."""


class Failed(Exception):
    """A trial has no estimate; the message says why."""
