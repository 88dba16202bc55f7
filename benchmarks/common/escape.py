"""Text of any origin (suites, plug-ins, exceptions) made harmless where it goes: a terminal, a CSV, Markdown, LaTeX."""

from __future__ import annotations

import codecs
import re
import unicodedata

NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(inf|nan)"
FIGURE = re.compile(rf"-|({NUMBER})( ± ({NUMBER}))?( [*=?+!])?", re.IGNORECASE)
"""A cell that is a number, with its error and its mark, or none."""

FORMULA = re.compile(r"[=+\-@\t\r]")
"""Begins a cell that a spreadsheet would compute rather than show."""

ASCII = {"±": "+-", "–": "-", "—": "-", "…": "...", "→": "->", "×": "x"}


def visible(text: str) -> str:
    """Control characters but for the newline as `\\x1b`: none of them reaches a terminal, which would obey it.

    >>> visible("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(c if c == "\n" or unicodedata.category(c) != "Cc" else f"\\x{ord(c):02x}" for c in text)


def in_line(text: str) -> str:
    """The same in one line, whatever it had."""
    return visible(" ".join(text.split("\n")) if "\n" in text else text)


def nearest(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a stream's encoding lacks: `+-` for ±, a letter without its accent, or `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_nearest, error.object[error.start : error.end])), error.end


def _nearest(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return ASCII.get(character, plain or "?")


codecs.register_error("nearest", nearest)


def cell(text: str) -> str:
    """A CSV's cell that no spreadsheet computes: a text that would be taken for a formula gets an apostrophe before it.

    >>> cell("=1+1"), cell("-0.5 ± 0.1 *"), cell("vampprior")
    ("'=1+1", '-0.5 ± 0.1 *', 'vampprior')
    """
    return f"'{text}" if FORMULA.match(text) and not FIGURE.fullmatch(text) else text


def uncell(text: str) -> str:
    """The text that `cell` was given."""
    return text[1:] if text.startswith("'") and cell(text[1:]) == text else text


def markdown(text: str) -> str:
    """A pipe table's cell: what would end it, and what would escape its end."""
    return visible(" ".join(text.splitlines())).replace("\\", "\\\\").replace("|", "\\|")


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex(text: str) -> str:
    """Characters that LaTeX would take for commands, each replaced once, in one line."""
    return "".join(LATEX.get(character, character) for character in visible(" ".join(text.splitlines())))
