"""What each metric made of each control: how far it moved from the clean one, in standard errors, and a word for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from benchmarks.common.errors import UsageError
from benchmarks.common.rows import Row, records
from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics import METRICS
from benchmarks.metrics.base import Sees
from benchmarks.metrics.controls import CONTROLS, Control
from benchmarks.statistics.paired import LEVEL, paired_t, summarise
from benchmarks.tables import ledger
from benchmarks.tables.printed import only

CLEAN = next(iter(CONTROLS))
"""What all others are held against: the registry's first."""

STRICT = 0.01
"""Level of a move that nothing explains, of which a table has many chances; of one that is expected it is LEVEL."""

LEAST = 1e-300
"""What is taken for 0 by its logarithm."""

Expected = Literal["worse", "may", "none"]

WORDS = {
    "sees it": "worse, as it is to be, p <= 0.05",
    "blind": "not worse, and it is to be",
    "unmoved": "as it is to be, or may be",
    "may move": "worse, as it may be: what takes the place of good images is missing among them",
    "moves without cause": "nothing that it is to see is harmed, and it moves, p <= 0.01",
    "the wrong way": "better where it is to be worse, or may be, p <= 0.01",
}
"""What the words say."""

COLUMNS = (
    *("dataset", "metric", "row", "control", "expected", "word", "z", "p", "seeds"),
    *("clean", "clean_stderr", "move", "move_stderr"),
)
"""metric: the suite's name. row: with its estimator's kind. z: the mean move from `clean`, paired by seed, over its
standard error; above 0 where it is for the worse. clean and move: on the row's own scale, log10 where it says so."""


def read(target: Path) -> pd.DataFrame:
    """The verdicts of the table `target`, from its ledger; UsageError where there is none, or no control in it."""
    found = ledger.read(target)
    if not found:
        raise UsageError(f"There is no {target}.runs.json: run the suite first, or name another folder with --results.")
    rows = [
        {**one, "dataset": entry.dataset, "seed": entry.seed, "control": control, "asked": name}
        for entry in found.values()
        if (control := str(entry.settings.get("control", "")))
        for name, metric in entry.metrics.items()
        for one in metric.get("figures", ())
    ]
    return verdicts(rows, target.name)


def verdicts(rows: Sequence[Row], name: str) -> pd.DataFrame:
    """A row a data set, metric's row and control. rows: estimates with their data set, seed, control and `asked`, the
    suite's name of the metric. UsageError where no clean ones are among them."""
    if not any(row["control"] == CLEAN for row in rows):
        raise UsageError(f"{name} has no runs of the control '{CLEAN}', which all others are held against.")
    told = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        for asked, metric in METRICS.items():
            own = [row for row in rows if (row["dataset"], row["asked"]) == (dataset, asked)]
            for one in metric.sees if own else ():
                head = {"dataset": dataset, "metric": asked, "row": called(one)}
                told += [head | line for line in of_row(one, own)]
    return pd.DataFrame(told, columns=COLUMNS)


def called(one: Sees) -> str:
    """A row by its name, and by what tells it from others of that name."""
    return " ".join(filter(None, ("log10" * one.log, one.row, one.kind + one.at, one.of)))


def of_row(one: Sees, rows: Sequence[Row]) -> list[Row]:
    """A line a control."""
    by: dict[str, dict[int, float]] = {}
    worse = one.worse
    for row in rows:
        if one.fits(row["metric"], Estimator.parse(row["estimator"])):
            value = math.log10(max(row["value"], LEAST)) if one.log else row["value"]
            by.setdefault(row["control"], {})[row["seed"]] = value
            worse = worse or ("higher" if row["direction"] == "lower" else "lower")
    clean = by.pop(CLEAN, {})
    sign = 1.0 if worse == "higher" else -1.0
    return [line(one, CONTROLS[name], clean, by[name], sign) for name in CONTROLS if name in by and clean]


def line(one: Sees, control: Control, clean: Mapping[int, float], damaged: Mapping[int, float], sign: float) -> Row:
    """How far a control moved a row. sign: of a move for the worse."""
    seeds = sorted({*clean} & {*damaged})
    a, b = ([values[seed] for seed in seeds] for values in (damaged, clean))
    base, move = summarise(b), summarise([x - y for x, y in zip(a, b, strict=True)])
    z, p = moved(a, b)
    hoped = expected(one, control)
    return {
        **{"control": control.name, "expected": hoped, "word": word(hoped, sign * z, p)},
        **{"z": sign * z, "p": p, "seeds": len(seeds)},
        **{"clean": base.mean, "clean_stderr": base.error, "move": move.mean, "move_stderr": move.error},
    }


def moved(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """(z, p) of a - b: 0 and 1 where no seed differs, infinite and 0 where all do by the same."""
    test = paired_t(a, b)
    if len(a) < 2 or not math.isnan(test.p):
        return test.statistic, test.p
    return (0.0, 1.0) if a[0] == b[0] else (math.copysign(math.inf, a[0] - b[0]), 0.0)


def expected(one: Sees, control: Control) -> Expected:
    """What a row is to do under a control."""
    if {*one.harms} & {*control.harms}:
        return "worse"
    return "may" if {*one.harms} & {*control.besides} else "none"


def word(hoped: Expected, z: float, p: float) -> str:
    """One of WORDS; empty where there are too few seeds for a test. z is above 0 for the worse."""
    if math.isnan(p):
        return ""
    if hoped == "none":
        return "moves without cause" if p <= STRICT else "unmoved"
    if z < 0 and p <= STRICT:
        return "the wrong way"
    if z > 0 and p <= LEVEL:
        return "sees it" if hoped == "worse" else "may move"
    return "blind" if hoped == "worse" else "unmoved"


# As text


def printed(target: Path, datasets: Sequence[str], metrics: Sequence[str], form: str) -> str:
    """The verdicts of a table in a format of FORMS, of these data sets and metrics or of all."""
    if form not in FORMS:
        raise UsageError(f"--verdict has no format {form}: take one of {', '.join(FORMS)}.")
    frame = only(only(read(target), "dataset", "data set", datasets), "metric", "metric", metrics)
    return FORMS[form](frame)


def as_csv(frame: pd.DataFrame) -> str:
    """A row a data set, metric's row and control."""
    text: str = frame.to_csv(index=False, float_format="%.5g", lineterminator="\n")
    return text


def as_markdown(frame: pd.DataFrame) -> str:
    """Rows of metrics down, controls across, z and its word in each cell."""
    controls = list(dict.fromkeys(frame["control"]))
    lines = [["row", *controls], ["---", *["---"] * len(controls)]]
    for dataset, block in frame.groupby("dataset", sort=False):
        lines.append([f"*{dataset}*", *[""] * len(controls)])
        for (_, row), cells in block.groupby(["metric", "row"], sort=False):
            by = {one["control"]: one for one in records(cells)}
            lines.append([str(row), *(cell(by[name]) if name in by else "-" for name in controls)])
    legend = [f"- {name}: {meaning}" for name, meaning in WORDS.items()]
    about = "- numbers: the move from `clean`, paired by seed, over its standard error, above 0 for the worse"
    return "\n".join([*(f"| {' | '.join(one)} |" for one in lines), "", about, *legend]) + "\n"


def cell(one: Mapping[str, Any]) -> str:
    """`12 sees it`."""
    return f"{one['z']:.2g} {one['word']}".strip()


FORMS: Mapping[str, Callable[[pd.DataFrame], str]] = {"csv": as_csv, "markdown": as_markdown}
