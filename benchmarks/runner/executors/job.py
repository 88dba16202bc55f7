"""What a process is started for: a run, or the training of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome, execute, failed
from benchmarks.runner.together import groups, train_together
from benchmarks.runner.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """One run, carried out from where it is to its end, or several, of which what can be trained together is.

    After the latter come its `parts`, a run each. note: why a run was trained alone, where that is to be told.
    """

    runs: tuple[Run, ...]
    note: str = ""

    @property
    def name(self) -> str:
        """Of no other job."""
        return "+".join(run.name for run in self.runs)

    @property
    def together(self) -> bool:
        return len(self.runs) > 1

    def carry_out(self, workspace: Workspace) -> Outcome | str:
        """How the run ended; of several, why they were not all trained together."""
        return train_together(self.runs, workspace) if self.together else execute(self.runs[0], workspace)

    def failed(self, workspace: Workspace, note: str, details: str) -> Outcome | str:
        """The same where carrying it out came to no end of its own: of runs that are still to come, no failure."""
        return note if self.together else failed(self.runs[0], workspace, note, details=details)

    def parts(self, why: str, workspace: Workspace) -> list[Job]:
        """Its runs, a job each. Why they were not trained together is told where they were to be."""
        note = f"trained alone: {why}" if why and workspace.stack == "on" else ""
        return [Job((run,), note) for run in self.runs]

    def told(self, outcome: Outcome) -> Outcome:
        """The run's outcome with the note."""
        return replace(outcome, note="; ".join(filter(None, (outcome.note, self.note))))


def jobs(runs: Sequence[Run], workspace: Workspace, workers: int) -> list[Job]:
    """Those that the runs begin with."""
    return [Job(part) for part in groups(runs, workspace, workers)]
