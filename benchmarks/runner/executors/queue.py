"""What Slurm says of jobs: squeue as long as it knows them, then sacct, which not every cluster has."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

PACE = 10.0
"""Seconds between two questions to squeue, which all of a cluster's users ask."""

UNSEEN = 3
"""Answers of squeue without a job, after which it is over: a job that was just submitted may be missing from one."""

OVER = {
    "BOOT_FAIL": ("its node did not start", True),
    "CANCELLED": ("its job was cancelled; the same command goes on with it", False),
    "COMPLETED": ("its job ended before the run did", True),
    "DEADLINE": ("its job met its deadline", False),
    "FAILED": ("its job failed", True),
    "NODE_FAIL": ("its node failed", True),
    "OUT_OF_MEMORY": ("its job was out of memory: give it more, as by --slurm mem=16G", False),
    "PREEMPTED": ("its job made way for another and was not requeued", True),
    "REVOKED": ("its job went to another cluster", False),
    "TIMEOUT": ("its job's time was over and it was not requeued", True),
    "HELD": ("Slurm could not launch its job and held it back, for which it is cancelled", True),
}
"""States of jobs that have ended: what became of them, and whether another job may do better. All other states are of
jobs that wait or run."""

LAUNCH_FAILED = "launch failed requeued held"
"""Why Slurm holds a job back until an administrator lets it go: a node of it was not what it should be. A job that its
user holds has another reason, and is waited for."""

GONE = ("its job is gone, and Slurm does not know how it ended", True)


@dataclass
class States:
    """The ends of jobs, asked for now and then."""

    asked: float = -PACE
    unseen: Counter[str] = field(default_factory=Counter)

    def ended(self, jobs: Collection[str]) -> dict[str, tuple[str, bool]]:
        """What became of those that have ended, and whether to try again. Empty while Slurm cannot be asked."""
        if time.monotonic() - self.asked < PACE:
            return {}
        self.asked = time.monotonic()
        states = looked()
        if states is None:
            return {}
        self.unseen = Counter({job: self.unseen[job] + 1 for job in jobs if job not in states})
        found = {job: OVER[states[job]] for job in jobs if states.get(job) in OVER}
        withdraw([job for job in jobs if states.get(job) == "HELD"])
        return found | self.forgotten([job for job in jobs if self.unseen[job] >= UNSEEN])

    def forgotten(self, jobs: Collection[str]) -> dict[str, tuple[str, bool]]:
        """Jobs that squeue no longer knows."""
        if not jobs:
            return {}
        states = ask("sacct", "--noheader", "--parsable2", "--format=JobID,State", f"--jobs={','.join(jobs)}") or {}
        return {job: OVER.get(states.get(job, ""), GONE) for job in jobs}


def under_way() -> set[str]:
    """This user's jobs that wait or run."""
    return {job for job, state in (looked() or {}).items() if state not in OVER}


def looked() -> dict[str, str] | None:
    """States of this user's jobs, as squeue has them; None where it does not answer."""
    return ask("squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%r")


def ask(*command: str) -> dict[str, str] | None:
    """States by job, of lines `12_3|CANCELLED by 0` or, with the reason, `12_3|PENDING|Resources`; None where there is
    no answer."""
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        return {job.strip(): state(*words) for job, *words in (line.split("|") for line in said.splitlines())}
    return None


def state(name: str = "", reason: str = "") -> str:
    """A job's state, without what is said to it; HELD where it waits for what will not come."""
    return "HELD" if reason.strip() == LAUNCH_FAILED else (name.split() or [""])[0]


def withdraw(jobs: Collection[str]) -> None:
    """Ends jobs that are held back, each by itself: the rest of its array goes on."""
    if jobs:
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", *jobs], capture_output=True, timeout=60, check=True)


def cancelled(jobs: Collection[str]) -> str:
    """Ends jobs; a sentence that says so, or that it could not be done."""
    arrays = sorted({job.partition("_")[0] for job in jobs}, key=int)
    names = " ".join(arrays)
    try:
        subprocess.run(["scancel", *arrays], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return f"Jobs of Slurm that could not be cancelled: `scancel {names}`."
    return f"Cancelled its jobs of Slurm ({names})."
