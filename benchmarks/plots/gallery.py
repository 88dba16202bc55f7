"""The folder of a suite's figures: PNG and SVG files, PDF where asked, and what they show in `figures.json`.

RESULTS/figures/NAME/[DATASET-]PLOT[-PART].{png,svg,pdf}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common import style
from benchmarks.common.errors import UsageError
from benchmarks.common.files import write_atomically
from benchmarks.common.names import slug
from benchmarks.plots.base import PLOTS, Drawing, Plot, Results
from priors.base import Unsupported
from priors.wording import in_one_line

KINDS = ("png", "svg")
"""What a report takes: every figure is written as these."""

ALL = (*KINDS, "pdf")

INDEX = "figures.json"


@dataclass(frozen=True)
class Shown:
    """A figure on the disk, or the reason why there is none (`file` is then empty).

    dataset: empty for a figure of all data sets. file: its name in the folder, without an ending.
    """

    plot: str
    dataset: str
    file: str
    caption: str


def draw(results: Results, folder: Path, names: Sequence[str], kinds: Sequence[str] = KINDS) -> Iterator[Shown]:
    """Draws and writes these plots, one after the other, each as soon as it is drawn; the index is kept up to date.

    Those of other data sets stay. What was drawn before and is no longer is removed at the end.
    """
    before = read(folder)
    kept = [one for one in before if one.plot not in names or one.dataset not in ("", *results.datasets)]
    for name in names:
        for part in (results,) if PLOTS[name].across else map(results.on, results.datasets):
            for shown in _one(PLOTS[name], part, folder, kinds):
                kept.append(shown)
                _write_index(kept, folder)
                yield shown
    for file in {one.file for one in before} - {one.file for one in kept}:
        for kind in ALL:
            (folder / f"{file}.{kind}").unlink(missing_ok=True)


def read(folder: Path) -> list[Shown]:
    """What was drawn before, in the order of PLOTS."""
    path = folder / INDEX
    try:
        found = [Shown(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        found = []
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} tells no figures ({in_one_line(error)}): delete it and draw them again.") from None
    return sorted(found, key=lambda one: [*PLOTS].index(one.plot) if one.plot in PLOTS else len(PLOTS))


def _one(plot: Plot, results: Results, folder: Path, kinds: Sequence[str]) -> Iterator[Shown]:
    dataset, trial = "" if plot.across else results.datasets[0], results.runs[0].trial
    try:
        for drawing in plot.drawings(results):
            file = "-".join(filter(None, (slug(dataset), plot.name, slug(drawing.part))))
            if trial:
                style.stamp(drawing.figure, f"trial: {', '.join(results.runs[0].marks)}")
            style.write(drawing.figure, folder / file, kinds)
            for kind in {*ALL} - {*kinds}:  # of an earlier drawing, which may show something else
                (folder / f"{file}.{kind}").unlink(missing_ok=True)
            yield Shown(plot.name, dataset, file, _told(drawing, trial))
    except Unsupported as reason:
        yield Shown(plot.name, dataset, "", str(reason))


def _told(drawing: Drawing, trial: Sequence[str]) -> str:
    """The caption in one line; that of a trial says so."""
    caption = " ".join(drawing.caption.split())
    return f"{caption} A trial: {'; '.join(trial)}." if trial else caption


def _write_index(kept: Sequence[Shown], folder: Path) -> None:
    text = json.dumps([asdict(one) for one in kept], indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / INDEX, lambda file: file.write(text.encode()))
