"""A table as a CSV: its columns, written whole or not at all, and read back, older ones too."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.common.errors import UsageError
from benchmarks.common.files import write_atomically
from benchmarks.config import published
from benchmarks.tables import standings
from benchmarks.tables.cells import cells, uncells

OWN = (
    *("suite", "dataset", "method", "prior", "model", "metric", "estimator", "direction", "unit"),
    *("mean", "std", "n", "stderr", "status", "note", "protocol"),
)
"""Columns that every table has. note: all that is said of the row, for people; what code needs of it has a column of
its own below."""

TOLD = ("within", "alarm", "remark", "left_out", "trial")
"""within: the standard error within a run, over images or draws, in root mean square over the seeds. alarm: what a
reader must not miss, "unreliable" or "impossible". remark: on the estimate, or why there is none. left_out: which seeds
are missing in the mean, and whose estimates were averaged. trial: what was otherwise than the suite has it."""

YOUNGER = (*published.COLUMNS, *standings.COLUMNS, *TOLD, *published.PARTS, *standings.PARTS)
"""What a table says of papers and of rankings, and a row's note in its parts: tables of costs do not have them, and
those of earlier versions not all."""

COLUMNS = (*OWN, *YOUNGER)

NUMBERS = ("mean", "std", "n", "stderr", "within", "published", "published_std", "deviation", *standings.NUMBERS)

OLDER = {"remark": "note", "verdict_label": "verdict", "standing_label": "standing"}
"""What stands in the place of a column that a table is too old to have."""

DIGITS = 8
"""Significant digits in the CSV: more than any estimate's error, fewer than floating point's noise."""


def write(frame: pd.DataFrame, path: Path) -> None:
    """The CSV, whole or not at all."""
    content = text(frame)
    write_atomically(path, lambda file: file.write(content.encode()))


def text(frame: pd.DataFrame) -> str:
    """What the CSV has."""
    return str(cells(frame).to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n"))


def read(path: Path, remedy: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(a table that `write` wrote, the columns that it is too old to have, which are empty here or have what was
    written in their place).

    UsageError, with what to do, where there is no such table.
    """
    if not path.is_file():
        raise UsageError(f"There is no table {path}: {remedy}.")
    try:
        frame = pd.read_csv(path, dtype={name: str for name in COLUMNS if name not in NUMBERS})
    except ValueError as error:
        raise UsageError(f"{path} is no table: {' '.join(str(error).split())}; {remedy}.") from None
    lacking = tuple(name for name in COLUMNS if name not in frame)
    if essential := [name for name in lacking if name in OWN]:
        raise UsageError(f"{path} is no table of a suite: it has no column '{essential[0]}'; {remedy}.")
    known = uncells(frame).reindex(columns=COLUMNS)
    return known.assign(**{new: known[old] for new, old in OLDER.items() if new in lacking}), lacking
