"""A terminal that shows text as it is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from benchmarks.common.escape import visible


class Screen(Console):
    """A console that shows text as it is: nothing in it is markup, and no control character reaches the terminal."""

    def __init__(self, **more: Any):
        super().__init__(markup=False, highlight=False, emoji=False, **more)

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)


def unbounded(console: Console) -> Console:
    """A console of the same file that cuts no figure off, however long its lines."""
    return Screen(file=console.file, force_terminal=console.is_terminal, width=1000)
