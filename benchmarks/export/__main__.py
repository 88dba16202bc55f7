"""The command `python -m benchmarks.export`.

What does the work is imported by the functions that do it, so that `--help` waits for neither torch nor pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from benchmarks.cli import STOPPED, Selection, named, parse, status
from benchmarks.common.screen import Screen


@dataclass(frozen=True)
class Command(Selection):
    """Hands a suite's finished runs to another tool: history, estimates, settings and pictures.

    --to tensorboard, mlflow, wandb or trackio writes what these read, on the disk; hub writes a folder a run with
    weights and a model card, ready for a model hub; parquet writes the suite's tables. Each needs its own package, as
    an extra of this project. What is there for a run is replaced, and nothing is sent anywhere.

    For example:
      python -m benchmarks.export --suite quickstart --to tensorboard
      python -m benchmarks.export --suite quickstart --to mlflow --method vampprior
      python -m benchmarks.export --suite quickstart --to hub --method vampprior --seeds 0 --out my-model
    """

    to: Annotated[str, named("TOOL")] = "tensorboard"
    """tensorboard, mlflow, wandb, trackio, hub or parquet."""
    out: Annotated[Path | None, named("DIR")] = None
    """Where to write (default: RESULTS/export/TOOL)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 wrong usage or no finished run, 130 stopped by Ctrl-C."""
    return status(lambda: export(parse(Command, arguments, "export"), Screen()), STOPPED)


def export(command: Command, console: Console) -> int:
    """Writes, and says where."""
    from benchmarks.export.exporting import export

    export(command, command.to, command.out, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
