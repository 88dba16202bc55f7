"""Bundles on a cluster of any kind, followed from their submission to the end of their runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome, ended, failed
from benchmarks.runner.executors.bundle import Bundle
from benchmarks.runner.workspace import Workspace

LOOK = 0.5
"""Seconds between two looks at what jobs have told."""

LAG = 10.0
"""Seconds after a job's end in which a shared folder may still not show what it wrote."""

TRIES = 2
"""How often in a row the rest of a job that ended before its runs is submitted again, where nothing was kept in it."""


class End(NamedTuple):
    """What became of a job. again: whether another one may do better."""

    note: str
    again: bool


class Cluster(Protocol):
    """Where bundles are carried out, a job each."""

    def submit(self, bundles: Sequence[Bundle]) -> Sequence[str]:
        """Names of their jobs."""

    def ended(self, jobs: Collection[str]) -> Mapping[str, End]:
        """Those of the jobs that have ended."""

    def cancel(self, jobs: Collection[str]) -> str:
        """Ends jobs, and says so in a sentence."""


class Job:
    """A bundle on its way, and its runs whose end is not known. kept: what these had when it was submitted."""

    def __init__(self, bundle: Bundle):
        self.bundle, self.left = bundle, {run.name: run for run in bundle.runs}
        self.kept = bundle.keeps()

    def rest(self) -> Bundle:
        """What another job is to do."""
        return self.bundle.rest(self.left.values(), fruitless=self.kept == self.bundle.keeps())

    def news(self) -> Iterator[Outcome]:
        """How those of its runs ended that have ended since the last look."""
        for outcome in self.bundle.told(list(self.left.values())):
            del self.left[outcome.run.name]
            yield outcome


def follow(bundles: Sequence[Bundle], cluster: Cluster, found: Mapping[str, Bundle] = {}) -> Iterator[Outcome]:
    """Outcomes as they come. What stops the command cancels its jobs.

    found: bundles that jobs have already which another command submitted, by their names.
    """
    jobs = {name: Job(bundle) for name, bundle in found.items()} | submitted(bundles, cluster)
    try:
        while jobs:
            again: list[Bundle] = []
            for name, end in looked_at(cluster, jobs):
                job = jobs[name]
                yield from job.news()
                if end and job.left:
                    yield from late(job)
                if end and job.left and end.again and job.rest().tries <= TRIES:
                    again.append(job.rest())
                elif end:
                    yield from (resolved(run, job.bundle.workspace, end.note) for run in job.left.values())
                if end or not job.left:
                    del jobs[name]
            jobs |= submitted(again, cluster)
            time.sleep(LOOK if jobs else 0)
    except BaseException as stop:
        if jobs:
            stop.add_note(cluster.cancel(jobs))
        raise


def submitted(bundles: Sequence[Bundle], cluster: Cluster) -> dict[str, Job]:
    """The jobs that carry them out."""
    return dict(zip(cluster.submit(bundles), map(Job, bundles), strict=True)) if bundles else {}


def looked_at(cluster: Cluster, jobs: Mapping[str, Job]) -> list[tuple[str, End | None]]:
    """Every job, and its end if it has ended: asked for before its files are read, which by then are all there."""
    ends = cluster.ended([*jobs])
    return [(name, ends.get(name)) for name in jobs]


def late(job: Job) -> Iterator[Outcome]:
    """What a shared folder shows late of a job that has ended."""
    until = time.monotonic() + LAG
    while job.left and time.monotonic() < until:
        time.sleep(LOOK)
        yield from job.news()


def resolved(run: Run, workspace: Workspace, note: str) -> Outcome:
    """A run whose job ended without a word on it: done, by its record, or failed for what became of the job."""
    if workspace.done(run):
        return ended(run, workspace.record(run))
    return failed(run, workspace, note)
