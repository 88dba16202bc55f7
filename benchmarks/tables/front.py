"""A table's headline on a terminal: what a command ends with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.common.escape import in_line
from benchmarks.common.rows import records
from benchmarks.tables.console import LEGEND, published_value, value
from benchmarks.tables.headline import ALARM, CERTAINTIES, SHARED, Answer, Headline, headlines
from benchmarks.tables.notes import Notes, text

SIGNS = {"~": "ln Z is estimated: ranked among such alone", "<": "a bound: ranked among such alone"}

MEANINGS = {
    **LEGEND,
    ALARM: "unreliable or impossible with some or all of its seeds: see its notes",
    SHARED: "a share of the seconds of the seeds that were trained together",
}

FLAG = " (--all)"
"""Where a terminal has the notes that ALARM speaks of."""

FORMER = "the table keeps rows of other settings, or of a plug-in that was not named; they are ranked with nothing"

GAP = 2
"""Blanks between columns."""

Lines = list[str]


def show(console: Console, frame: pd.DataFrame, costs: pd.DataFrame, title: str) -> bool:
    """A block a data set: methods down, what decides across, in as many tables beneath each other as the terminal's
    width makes of it; then what the paper has beside it. False where no estimate answers anything."""
    found = headlines(frame, costs)
    for one in found:
        console.print(Text(in_line(f"{title}: {one.dataset}"), "bold"), soft_wrap=True)
        if trial := shared_trial(frame, one.dataset):
            console.print(Text(in_line(f"all rows: {trial}"), "yellow"), soft_wrap=True)
        notes = Notes()
        columns = [verdicts(one, notes), *(column(answer, one.methods) for answer in one.answers)]
        for group in fitting(columns, console.width - longest(one.methods)):
            console.print(table(one.methods, group))
        for line in told(one, notes, FLAG):
            console.print(Text(in_line(f"  {line}"), "dim"))
        console.print()
    papers(console, frame)
    return bool(found)


def shared_trial(frame: pd.DataFrame, dataset: str) -> str:
    """What was otherwise than the suite has it, where it is of all rows of a data set."""
    told = {text(trial) for trial in frame[frame["dataset"].eq(dataset) & frame["status"].ne("published")]["trial"]}
    return next(iter(told)) if len(told) == 1 else ""


def column(answer: Answer, methods: Iterable[str]) -> Lines:
    """The header, then a line a method; marks stand under each other."""
    cells = [answer.cells.get(method) for method in methods]
    wide = max((len(cell.mark) for cell in cells if cell), default=0)
    shown = [(f"{cell.number} {cell.mark:{wide}}" if wide else cell.number) if cell else "" for cell in cells]
    return [f"{answer.question} {answer.arrow}".strip() + " " * (wide + 1 if wide else 0), *shown]


def verdicts(one: Headline, notes: Notes) -> Lines:
    """Words of the deciding answer's standing, with a letter where there is a reason."""
    lines = ["verdict"]
    for word, reason in map(one.verdict, one.methods):
        lines.append(f"{word} {notes.of(reason)}".strip())
    return lines


def fitting(columns: Sequence[Lines], width: int) -> list[list[Lines]]:
    """The columns in groups that fit beside each other; one that is too wide alone stands alone."""
    groups: list[list[Lines]] = [[]]
    room = width
    for lines in columns:
        needed = longest(lines) + GAP
        if groups[-1] and needed > room:
            groups.append([])
            room = width
        groups[-1].append(lines)
        room -= needed
    return groups


def longest(lines: Iterable[str]) -> int:
    return max(map(len, lines), default=0)


def table(methods: Sequence[str], columns: Sequence[Lines]) -> Table:
    """Columns beside the methods' names."""
    drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="underline")
    drawn.add_column("method", no_wrap=True)
    for header, *_ in columns:
        drawn.add_column(header, justify="left" if header == "verdict" else "right", no_wrap=True)
    for i, method in enumerate(methods):
        drawn.add_row(Text(in_line(method)), *(Text(lines[i + 1]) for lines in columns))
    return drawn


def told(one: Headline, notes: Notes, where: str = "") -> Lines:
    """What the columns are, what signs and marks mean, and the reasons of verdicts. where: more notes are."""
    lines = [f"{answer.question}: {what(answer)}" for answer in one.answers]
    signs = {cell.certainty for answer in one.answers for cell in answer.cells.values()}
    marks = {cell.mark for answer in one.answers for cell in answer.cells.values()}
    lines += [f"{sign} {SIGNS[sign]}" for sign in CERTAINTIES.values() if sign in signs]
    found = set("".join(marks))
    lines += [
        f"{mark} {meaning}{where if mark == ALARM else ''}" for mark, meaning in MEANINGS.items() if mark in found
    ]
    return lines + [f"{letter}  {reason}" for letter, reason in notes.footnotes.items()]


def what(answer: Answer) -> str:
    """`nll is-5000 in nats, lower is better`."""
    unit = f" in {answer.unit}" if answer.unit not in ("", "none", "s") else ""
    best = {"↓": ", lower is better", "↑": ", higher is better"}.get(answer.arrow, "")
    if answer.unit == "s":
        return answer.meaning
    return f"{answer.metric} {answer.estimator}{unit}{best}" + ("" if best else f": {answer.meaning}")


def papers(console: Console, frame: pd.DataFrame) -> None:
    """Our estimates that a paper has a number of, beside it, with the verdict."""
    rows = [row for row in records(frame) if row["status"] == "ok" and text(row["verdict_label"])]
    if not rows:
        return
    notes = Notes()
    drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="underline", title_justify="left")
    for name in ("method", "data set", "metric", "ours", "the paper's", "verdict"):
        drawn.add_column(name, justify="right" if name in ("ours", "the paper's") else "left")
    for row in rows:
        ours = " ± ".join(filter(None, value(row)))
        letter = notes.of(text(row["verdict_reason"]))
        verdict = f"{text(row['verdict_label'])} {letter}".strip()
        metric = f"{row['metric']} {text(row['estimator'])}"
        cells = (row["method"], row["dataset"], metric, ours, published_value(row), verdict)
        drawn.add_row(*(Text(in_line(str(cell))) for cell in cells))
    console.print(Text("Beside the paper", "bold"))
    console.print(drawn)
    for letter, reason in notes.footnotes.items():
        console.print(Text(in_line(f"  {letter}  {reason}"), "dim"), soft_wrap=True)
    console.print()


def former(frame: pd.DataFrame) -> list[str]:
    """What is to be told of methods that the suite no longer has, or has with other settings."""
    names = dict.fromkeys(frame[frame["status"] == "former"]["method"])
    return [f"former: {', '.join(names)}: {FORMER}"] if names else []
