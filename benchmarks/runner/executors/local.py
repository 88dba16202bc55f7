"""Several runs at once on this machine, each in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.config.settings import Run
from benchmarks.runner import log
from benchmarks.runner.execute import Outcome, failed
from benchmarks.runner.executors.base import EXECUTORS
from benchmarks.runner.executors.job import Job, jobs
from benchmarks.runner.executors.known import refuse_unknown
from benchmarks.runner.executors.nursery import Ended, Lost, Nursery
from benchmarks.runner.executors.resources import ONE, Resources
from benchmarks.runner.workspace import Workspace

PASSING = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
"""What ends a process from outside, and may not come again. Exceptions, crashes and exits of the code's own would."""


@EXECUTORS.register("local")
def local(runs: Sequence[Run], workspace: Workspace, resources: Resources = ONE) -> Iterator[Outcome]:
    """Outcomes in the order in which runs end.

    A run whose process the system ended, for its memory as a rule, is tried again when it has the machine to itself, as
    often as the workspace says. Raises UsageError for runs with a part that this process alone knows.
    """
    refuse_unknown(runs, workspace)
    workers, workspace = resources.at_once(workspace.device), replace(workspace, threads=resources.threads)
    left = list(runs)
    for retries_left in range(workspace.retries, -1, -1):
        again: list[Run] = []
        for ended in carry_out(left, workspace, workers):
            if ended.signal in PASSING and retries_left:
                again.append(ended.run)
            else:
                yield outcome(ended, workspace)
        left, workers = again, 1


def carry_out(runs: Sequence[Run], workspace: Workspace, workers: int) -> Iterator[Ended]:
    """Every run once. Where the nursery itself is killed, each of those under way is tried alone, which tells whose
    doing it was, and the others go on."""
    left = {run.name: run for run in runs}
    suspects: list[Run] = []
    while left:
        chosen = suspects[:1] or list(left.values())
        try:
            with Nursery(workspace) as nursery:
                at_once = 1 if suspects else workers
                for ended in nursery.raise_all(jobs(chosen, workspace, at_once), at_once):
                    del left[ended.run.name]
                    yield ended
        except Lost as lost:
            if len(chosen) > 1:
                suspects = lost.under_way
                continue
            del left[chosen[0].name]
            yield Ended(Job((chosen[0],)), None, -signal.SIGKILL, 0.0)
        suspects = suspects[1:]


def outcome(ended: Ended, workspace: Workspace) -> Outcome:
    """The run's own word on how it ended, or what its process's end says, unless another has the run by now."""
    if isinstance(ended.said, Outcome):
        return ended.job.told(ended.said)
    record = workspace.record(ended.run)
    if holder := record.holder():
        return Outcome(ended.run, "elsewhere", f"held by {holder}", ended.seconds)
    details = log.tail(record.folder)
    return ended.job.told(failed(ended.run, workspace, why(ended, workspace), ended.seconds, details))


def why(ended: Ended, workspace: Workspace) -> str:
    """What became of a process that ended before its run did."""
    if ended.signal == signal.SIGALRM and workspace.seconds:
        return f"not done after {workspace.seconds / 60:g} minutes, the longest that a run may take"
    if ended.signal == signal.SIGKILL:
        return "its process was killed: out of memory? Try fewer workers"
    if ended.signal:
        return f"its process was ended by {signal.Signals(ended.signal).name}"
    return f"its process ended with exit status {ended.exit_code}, before the run did"
