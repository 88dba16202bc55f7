"""Whose mistake a failure is: a third party's part is named by its file and line, with what its author can try."""

from __future__ import annotations

import shlex
import traceback
from contextlib import suppress
from pathlib import Path

from benchmarks.common.started import program
from benchmarks.config.settings import Run
from benchmarks.runner.sources import foreign_files
from benchmarks.runner.workspace import Workspace
from priors.plugins import plugin_paths
from priors.registry import UnknownName
from priors.wording import in_one_line


def blamed(error: BaseException, run: Run) -> str:
    """The exception in one line, with where in a third party's part it came from, if it did."""
    return f"{in_one_line(error)}{place(error, run)}"


def place(error: BaseException, run: Run) -> str:
    """` (myprior.py, line 12)`: the last line of a third party's part that the exception went through, or nothing.

    The file's name alone: tables keep it.
    """
    files = {str(path): path.name for path in _files(run)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f" ({files[frames[-1].filename]}, line {frames[-1].lineno})" if frames else ""


def hint(run: Run, workspace: Workspace) -> str:
    """Where a failed run tells more."""
    return f"see {workspace.record(run).folder / 'error.txt'}{'.' if advice(run) else ''}{advice(run)}"


def advice(run: Run) -> str:
    """` Try `priorbench conformance --plugin myprior.py`.`, or nothing where all parts are the project's."""
    files = {str(path) for path in _files(run)}
    given = [path for path in plugin_paths() if str(path) in files]
    if given:
        return f" Try `{program('conformance')} {shlex.join(w for path in given for w in ('--plugin', str(path)))}`."
    foreign = run.prior is not None and files
    return f" Try `{program('conformance')} --prior {shlex.quote(run.demand_prior().name)}`." if foreign else ""


def _files(run: Run) -> list[Path]:
    """Of the run's parts that are third parties'; none of a run of which a part has no name, as data in memory."""
    with suppress(UnknownName):
        return foreign_files(run)
    return []
