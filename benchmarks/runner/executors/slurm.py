"""Runs as jobs of Slurm: an array of jobs, which take up what their predecessors left when time is over."""

from __future__ import annotations

import math
import shutil
import signal
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UsageError
from benchmarks.common.stopping import Terminated
from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome, failed
from benchmarks.runner.executors.base import EXECUTORS
from benchmarks.runner.executors.bundle import Bundle, bundles, found, jobs_folder, remember, with_gpus
from benchmarks.runner.executors.extra import needed
from benchmarks.runner.executors.follow import End, follow
from benchmarks.runner.executors.known import refuse_unknown
from benchmarks.runner.executors.packing import MINUTES
from benchmarks.runner.executors.queue import States, cancelled, under_way
from benchmarks.runner.executors.resources import Resources
from benchmarks.runner.workspace import Workspace
from priors.wording import in_one_line

TURNS = 100_000
"""Times that submitit requeues a job: `Task` itself says when to stop, and submitit takes any signal to a job of ten
minutes or less for the end of its time."""

FRUITLESS = 3
"""Jobs in which a run keeps nothing, after which it is given up."""

PREEMPTED = 5.0
"""Seconds after SIGTERM in which Slurm sends a preempted job the signal to requeue itself. What is cancelled gets
SIGTERM alone."""

LARGEST_ARRAY = 1000
"""Jobs of an array, in Slurm's own configuration."""

OURS = {
    "array": "",
    "cpus_per_task": ": take --threads",
    "error": "",
    "job_name": "",
    "nodes": "",
    "ntasks": "",
    "ntasks_per_node": "",
    "open_mode": "",
    "output": "",
    "signal": "",
    "time": ": take --minutes-a-job",
}
"""Options of sbatch that are set here, and what to take instead."""


@EXECUTORS.register("slurm")
def slurm(runs: Sequence[Run], workspace: Workspace, resources: Resources) -> Iterator[Outcome]:
    """Outcomes as jobs tell them. The results, the suite's data and plug-ins are in folders that all nodes share.

    Jobs that an earlier command has left, because it was killed, are followed. Options of sbatch
    are `resources.options["slurm"]`. Raises UsageError for those that cannot be, without submitit, or
    without sbatch.
    """
    refuse_unknown(runs, workspace)
    resources = with_gpus(resources, workspace)
    needed("submitit", "slurm")
    if not (shutil.which("sbatch") and shutil.which("srun")):
        raise UsageError("There is no sbatch here: start the command where jobs of Slurm are submitted.")
    folder = jobs_folder(workspace)
    cluster = Slurm(folder, parameters(resources))
    old = found(runs, workspace, resources, under_way())
    taken = {run.name for bundle in old.values() for run in bundle.runs}
    new = [run for run in runs if run.name not in taken]
    yield from follow(bundles(new, workspace, resources, folder), cluster, old)


def parameters(resources: Resources) -> dict[str, Any]:
    """What submitit is told."""
    minutes = math.ceil(resources.minutes_a_job or MINUTES)
    cpus = resources.in_a_job * max(1, resources.threads)
    told: dict[str, Any] = {
        "job_name": "priorbench",
        "time": minutes,
        "cpus_per_task": cpus,
        "srun_args": [f"--cpus-per-task={cpus}"],  # which a step does not take over from its job
        "signal_delay_s": min(90, 15 * minutes),
        "stderr_to_stdout": True,
        "array_parallelism": resources.workers or LARGEST_ARRAY,
    }
    given = options(resources.options.get("slurm", {}))
    if resources.gpus and not any("gpu" in f"{key}={value}" for key, value in given.items()):
        told["gpus_per_node"] = resources.gpus
    return {**told, **as_submitit_has_it(given)}


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """By names with underscores; UsageError for those that are set here."""
    named = {key.strip().lstrip("-").replace("-", "_"): value for key, value in given.items()}
    for key in named:
        if key in OURS:
            raise UsageError(f"slurm: {key} is set by priorbench itself{OURS[key]}.")
    return named


def as_submitit_has_it(given: Mapping[str, Any]) -> dict[str, Any]:
    """Commands before and after a job, and in `additional_parameters` whatever sbatch knows."""
    lines = {key: [value] for key, value in given.items() if key in ("setup", "teardown")}
    others = {key: True if value in ("", "true") else value for key, value in given.items() if key not in lines}
    return {**lines, "additional_parameters": others}


@dataclass
class Slurm:
    """Slurm as `follow` sees it."""

    folder: Path
    parameters: Mapping[str, Any]
    states: States = field(default_factory=States)

    def submit(self, bundles: Sequence[Bundle]) -> list[str]:
        """Arrays of jobs."""
        names: list[str] = []
        for first in range(0, len(bundles), LARGEST_ARRAY):
            names += self.submit_array(bundles[first : first + LARGEST_ARRAY])
        return names

    def submit_array(self, bundles: Sequence[Bundle]) -> list[str]:
        """UsageError with sbatch's own words where it refuses."""
        submitit = needed("submitit", "slurm")
        executor = submitit.SlurmExecutor(self.folder, max_num_timeout=TURNS)
        executor.update_parameters(**self.parameters)
        try:
            with executor.batch():
                jobs = [executor.submit(Task(**vars(bundle))) for bundle in bundles]
        except submitit.core.utils.FailedJobError as error:
            raise UsageError(f"Slurm refuses the job: {words(error)}") from None
        names = [job.job_id for job in jobs]
        remember(self.folder, dict(zip(names, bundles, strict=True)))
        return names

    def ended(self, jobs: Collection[str]) -> dict[str, End]:
        """By squeue, and where a job is in it no longer, by sacct if there is one."""
        logs = f"its log is in {self.folder.name}"
        return {job: End(f"{note}; {logs}", again) for job, (note, again) in self.states.ended(jobs).items()}

    def cancel(self, jobs: Collection[str]) -> str:
        """Whole arrays with what is still waiting."""
        return cancelled(jobs)


def words(error: Exception) -> str:
    """The last line of what sbatch said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("sbatch:")]
    return (said or lines or [in_one_line(error)])[-1].removeprefix("sbatch: ").removeprefix("error: ")


# In the job


@dataclass(frozen=True)
class Task(Bundle):
    """A bundle that submitit requeues when its job's time is over or another job takes its place.

    fruitless: jobs before this one in which nothing was kept. kept: what was there when this one began.
    """

    fruitless: int = 0
    kept: dict[str, float] = field(default_factory=dict)

    def __call__(self) -> None:
        self.kept.update(self.keeps())
        signal.signal(signal.SIGTERM, stop)
        super().__call__()

    def checkpoint(self) -> Any:
        """What submitit calls before it requeues the job: runs go on from their records. None gives up."""
        fruitless = self.fruitless + 1 if self.keeps() == self.kept else 0
        if fruitless < FRUITLESS:
            helpers = needed("submitit.helpers", "slurm")
            return helpers.DelayedSubmission(replace(self, fruitless=fruitless, kept={}))
        note = f"nothing of it was kept in {FRUITLESS} jobs, each as long as it may be: give jobs more minutes"
        for run in self.untold():
            self.tell(failed(run, self.workspace, note))
        return None


def stop(*_: object) -> None:
    """SIGTERM came, to the runs' processes as well. Their ends are nobody's failure: nothing more is told."""
    time.sleep(PREEMPTED)
    raise Terminated
