"""Where a trial runs: in a workspace in which no run meets a test image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset
from benchmarks.datasets.base import FIXED_DRAW, draw_once
from benchmarks.runner.execute import CutShort
from benchmarks.runner.record import Record
from benchmarks.runner.workspace import Workspace

LOSSES, CUT = "validation.txt", "cut-short"
"""In a run's folder: a line an epoch, `3 91.25`; and the word that the run is to end."""


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
class FollowedRecord(Record):
    """A run's folder through which who asked for the run follows it, from wherever the folder is seen: every epoch's
    validation loss is a line of LOSSES, and at the file CUT the run ends at its next word."""

    def report(self, **status: Any) -> None:
        super().report(**status)
        if status["stage"] == "training":
            with (self.folder / LOSSES).open("a", encoding="ascii") as file:  # closed: others see it from then on
                file.write(f"{status['epoch']} {status['losses']['validation']!r}\n")
        if status["stage"] in ("starting", "training", "evaluating") and (self.folder / CUT).exists():
            raise CutShort(f"{self.folder.name} is of no more use")

    def losses(self) -> dict[int, float]:
        """Validation losses by epoch. A line that is not whole was cut by a kill, or is still being written."""
        try:
            lines = (self.folder / LOSSES).read_text(encoding="ascii", errors="replace").splitlines(keepends=True)
        except FileNotFoundError:
            return {}
        pairs = (line.split() for line in lines if line.endswith("\n"))
        return {int(epoch): float(loss) for epoch, loss in pairs}

    def trained(self) -> bool:
        """Does no further epoch come?"""
        return (self.folder / "training.json").is_file()

    def cut_short(self) -> None:
        """Has the run end, now or when it begins."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / CUT).touch()

    def go_on(self) -> None:
        """Takes an earlier word back."""
        (self.folder / CUT).unlink(missing_ok=True)


@dataclass(frozen=True)
class ValidationWorkspace(Workspace):
    """A workspace in which no run meets a test image."""

    def dataset(self, run: Run) -> Dataset:
        return held_out(super().dataset(run))

    def record(self, run: Run) -> FollowedRecord:
        return FollowedRecord(super().record(run).folder)
