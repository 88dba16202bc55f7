"""A table for a paper as text: CSV, Markdown, or LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from benchmarks.common import escape
from benchmarks.tables.cells import cells
from benchmarks.tables.paper import BEST, Cell, Head, Paper

Escape = Callable[[str], str]


def plain(one: Cell) -> str:
    """`22.768 ± 0.009 *`."""
    return " ".join(filter(None, (one.number, one.error and f"± {one.error}", one.mark)))


def title(one: Head) -> str:
    """The words above a column in one line."""
    return " ".join(filter(None, (one.column.metric, "published" if one.column.published else one.column.how)))


def as_csv(table: Paper) -> str:
    """A row a data set and method; the last column, `notes`, spells out what the other formats say by marks."""
    names = [title(one) for one in table.heads]
    rows = []
    for dataset, block in table.blocks.items():
        for method, line in block.items():
            told = "; ".join(filter(None, map(lambda one, of: spelled(one, of, table), line, table.heads)))
            rows.append([dataset, method, *map(plain, line), told])
    frame = pd.DataFrame(rows, columns=["dataset", "method", *names, "notes"])
    written: str = cells(frame).to_csv(index=False, lineterminator="\n")
    return written


def spelled(one: Cell, of: Head, table: Paper) -> str:
    """A cell's mark and notes in words, its column's too."""
    meaning = next((told for told in table.told if one.mark and told.startswith(f"{one.mark}: ")), "")
    told = [meaning.partition(": ")[2], *(table.footnotes[letter] for letter in (*of.letters, *one.letters))]
    return f"{title(of)}: {', '.join(filter(None, told))}" if any(told) and one.number != "" else ""


def as_markdown(table: Paper) -> str:
    """A pipe table, with a line above each data set's block, and the notes as a list below it."""
    head = ["method", *(headed(one) for one in table.heads)]
    lines = [head, ["---", *["---:"] * len(table.heads)]]
    for dataset, block in table.blocks.items():
        lines.append([f"*{dataset}*", *[""] * len(table.heads)])
        lines += [[method, *map(in_markdown, line)] for method, line in block.items()]
    table_lines = [f"| {' | '.join(map(escape.markdown, line))} |" for line in lines]
    told = [told_in_words(sentence, "bold: ") for sentence in table.told]
    told += [f"{letter}: {note}" for letter, note in table.footnotes.items()]
    return "\n".join([*table_lines, "", *(f"- {escape.markdown(one)}" for one in told)]) + "\n"


def headed(one: Head) -> str:
    """The words above a column."""
    return " ".join(filter(None, (one.name, *one.below))) + raised(one.letters)


def raised(marks: tuple[str, ...]) -> str:
    return f"<sup>{','.join(marks)}</sup>" if marks else ""


def in_markdown(one: Cell) -> str:
    """A cell with the best in bold, and other marks raised."""
    number = f"**{one.number}**" if one.mark == BEST else one.number
    marks = (*([one.mark] if one.mark not in ("", BEST) else []), *one.letters)
    return " ".join(filter(None, (number, one.error and f"± {one.error}"))) + raised(marks)


def told_in_words(sentence: str, bold: str) -> str:
    """A sentence of the legend where the best is bold and has no mark."""
    return sentence.replace(f"{BEST}: ", bold, 1) if sentence.startswith(f"{BEST}: ") else sentence


ARROWS: Mapping[str, str] = {"↓": r"$\downarrow$", "↑": r"$\uparrow$"}


def latex(text: str) -> str:
    """Escaped, arrows as LaTeX has them, and other letters that it may lack as their nearest."""
    escaped = escape.latex(text)
    for arrow, command in ARROWS.items():
        escaped = escaped.replace(arrow, command)
    return escaped.encode("ascii", "nearest").decode()


def as_latex(table: Paper) -> str:
    r"""A table that needs `\usepackage{booktabs}` alone: numbers and their marks are columns of their own, so that
    numbers stand beneath one another; the notes are below the table in small type."""
    count = len(table.heads)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\belowcaptionskip}{4pt}\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{latex(table.suite)}}}\label{{tab:{''.join(c for c in table.suite if c.isalnum() or c == '-')}}}",
        rf"\begin{{tabular}}{{l{'r@{}l' * count}}}",
        r"\toprule",
        " & ".join(["method", *(spanning(one.name, one.letters) for one in table.heads)]) + r" \\",
        *(
            " & ".join(["", *map(spanning, line)]) + r" \\"
            for line in zip(*(one.below for one in table.heads), strict=True)
            if any(line)
        ),
    ]
    for dataset, block in table.blocks.items():
        lines += [r"\midrule", rf"\multicolumn{{{1 + 2 * count}}}{{l}}{{\textit{{{latex(dataset)}}}}} \\"]
        lines += [" & ".join([latex(method), *map(in_latex, line)]) + r" \\" for method, line in block.items()]
    lines += [r"\bottomrule", r"\end{tabular}", *below(table), r"\end{table}"]
    return "\n".join(lines) + "\n"


def spanning(words: str, letters: tuple[str, ...] = ()) -> str:
    """Words above a number and its marks."""
    return rf"\multicolumn{{2}}{{c}}{{{latex(words)}{superscript(letters)}}}"


def superscript(marks: tuple[str, ...]) -> str:
    return rf"\textsuperscript{{{latex(','.join(marks))}}}" if marks else ""


def in_latex(one: Cell) -> str:
    """A number with its error, and its marks in the column after it."""
    number = rf"\textbf{{{latex(one.number)}}}" if one.mark == BEST else latex(one.number)
    marks = (*([one.mark] if one.mark not in ("", BEST) else []), *one.letters)
    error = latex(f" ± {one.error}") if one.error else ""
    return f"{number}{error} & {superscript(marks)}"


def below(table: Paper) -> list[str]:
    """The notes: what holds for the table in one paragraph, then a line a letter."""
    told = ". ".join(told_in_words(sentence, "bold: ") for sentence in table.told)
    lines = [f"{note(told)}.", *(superscript((letter,)) + note(said) for letter, said in table.footnotes.items())]
    first, *others = lines
    return [
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
        first,
        *(rf"\par {line}" for line in others),
        r"\end{minipage}",
    ]


def note(text: str) -> str:
    """A note's words, which may be broken where paths and addresses are."""
    return latex(text).replace("/", r"/\allowbreak{}")


FORMATS: Mapping[str, Callable[[Paper], str]] = {"csv": as_csv, "markdown": as_markdown, "latex": as_latex}
