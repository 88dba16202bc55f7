"""Data and models of runs, tried without carrying anything out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.config.settings import Run
from benchmarks.datasets import DataError
from benchmarks.runner.campaign import check_data
from benchmarks.runner.workspace import Workspace


def try_out(runs: Sequence[Run], data: Path | None) -> list[str]:
    """Loads every data set and builds every method on it as a run does before it begins, and raises what that raises.

    Without a folder of data those that lie in one are left out, and returned by name; all others (a user's own images,
    and what needs no files) are tried.
    """
    with tempfile.TemporaryDirectory() as empty:
        workspace, left_out = Workspace(Path(empty), data or Path(empty)), []
        for name in dict.fromkeys(run.dataset for run in runs):
            try:
                check_data([run for run in runs if run.dataset == name], workspace, skip=False)
            except DataError as error:
                if data or empty not in str(error):
                    raise
                left_out.append(name)
    return left_out
