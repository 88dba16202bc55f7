"""Runs that a job on a cluster carries out, and how it tells the command how they ended: a file a run, in a folder that
both see."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.common.errors import UsageError
from benchmarks.common.files import write_atomically
from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome, failed
from benchmarks.runner.executors.local import local
from benchmarks.runner.executors.packing import pack
from benchmarks.runner.executors.resources import Resources
from benchmarks.runner.workspace import Workspace

OUTCOMES, JOBS = "outcomes", "jobs.json"
"""In the folder of a command's jobs: how runs ended, and which jobs have which runs."""

LAST_WORDS = 1.0
"""Seconds before a failure is told: what ended the run's process, as a scheduler does, may be about to end this one."""


@dataclass(frozen=True)
class Bundle:
    """Called where it is sent, it carries out those of its runs whose end was not told yet.

    outcomes: the folder for how runs ended. folder: where the command was started, to which paths of its suite refer.
    tries: jobs before this one that ended before its runs did, and in which nothing of them was kept.
    """

    runs: tuple[Run, ...]
    workspace: Workspace
    resources: Resources
    outcomes: Path
    folder: Path
    tries: int = 0

    def __call__(self) -> None:
        if self.folder.is_dir():
            os.chdir(self.folder)
        if why := absent(self.workspace.plugins):
            for run in self.untold():
                self.tell(failed(run, self.workspace, why))
        for outcome in local(self.untold(), self.workspace, self.resources):
            self.tell(outcome)

    def untold(self) -> list[Run]:
        """Its runs that have not ended, as far as was told."""
        told = {path.name for path in self.outcomes.glob("*.json")}
        return [run for run in self.runs if f"{run.name}.json" not in told]

    def tell(self, outcome: Outcome) -> None:
        """For `told`, whole or not at all."""
        if outcome.status == "failed":
            time.sleep(LAST_WORDS)
        content = {key: getattr(outcome, key) for key in ("status", "note", "seconds", "full")}
        text = json.dumps(content).encode()
        write_atomically(self.outcomes / f"{outcome.run.name}.json", lambda file: file.write(text))

    def told(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        """How those of these runs ended that have."""
        there = {path.name: path for path in self.outcomes.glob("*.json")}
        for run in [run for run in runs if f"{run.name}.json" in there]:
            yield Outcome(run, **json.loads(there[f"{run.name}.json"].read_text(encoding="utf-8")))

    def keeps(self) -> dict[str, float]:
        """When what a run goes on from was last written, by file."""
        names = ("checkpoint", "training.json", "metrics.json", "done")
        paths = [self.workspace.record(run).folder / name for run in self.runs for name in names]
        return {str(path): path.stat().st_mtime for path in paths if path.is_file()}

    def rest(self, runs: Iterable[Run], fruitless: bool) -> Bundle:
        """What another job is to do of it. fruitless: nothing was kept in this one."""
        return replace(self, runs=tuple(runs), tries=self.tries + 1 if fruitless else 0)


def absent(plugins: Sequence[str]) -> str:
    """What is wrong where a plug-in's file is not on this machine; empty where all are."""
    names = [Path(path).name for path in plugins if not Path(path).is_file()]
    there = "is not there on the node that was to carry out the run: put it into a folder that all nodes share"
    return f"the plug-in {names[0]} {there}" if names else ""


def bundles(runs: Sequence[Run], workspace: Workspace, resources: Resources, folder: Path) -> list[Bundle]:
    """The runs, packed. folder: of this command's jobs, below the results, which all nodes see."""
    outcomes = (folder / OUTCOMES).absolute()
    outcomes.mkdir(parents=True)
    there = on_node(workspace, resources)
    packed = pack(runs, workspace, resources) if runs else []
    return [Bundle(part, there, resources.inside(), outcomes, Path.cwd()) for part in packed]


def remember(folder: Path, jobs: Mapping[str, Bundle]) -> None:
    """Which jobs have which runs, in case that the command is killed: `found` is what the next one makes of it."""
    path = folder / JOBS
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    names = {job: [run.name for run in bundle.runs] for job, bundle in jobs.items()}
    text = json.dumps(before | names).encode()
    write_atomically(path, lambda file: file.write(text))


def found(runs: Sequence[Run], workspace: Workspace, resources: Resources, alive: Collection[str]) -> dict[str, Bundle]:
    """What jobs under way of earlier commands are to do of these runs, by the jobs' names."""
    wanted, there = {run.name: run for run in runs}, on_node(workspace, resources)
    bundles = {}
    for path in sorted((workspace.results.absolute() / "jobs").glob(f"*/{JOBS}")):
        for job, names in json.loads(path.read_text(encoding="utf-8")).items():
            part = tuple(wanted[name] for name in names if name in wanted) if job in alive else ()
            bundle = Bundle(part, there, resources.inside(), path.parent / OUTCOMES, Path.cwd())
            if left := bundle.untold():
                bundles[job] = replace(bundle, runs=tuple(left))
    return bundles


def with_gpus(resources: Resources, workspace: Workspace) -> Resources:
    """With a GPU a job where the command is to compute on GPUs and no number was said. UsageError for a certain one."""
    if resources.gpus or workspace.device == "cpu":
        return resources
    if workspace.device != "cuda":
        raise UsageError(f"--device {workspace.device}: a cluster hands GPUs out itself; take --device cuda or --gpus.")
    return replace(resources, gpus=1)


def on_node(workspace: Workspace, resources: Resources) -> Workspace:
    """The workspace as a job has it: absolute paths, on the job's GPUs or on a CPU."""
    inception = workspace.inception and workspace.inception.absolute()
    device = "cuda" if resources.gpus else "cpu"
    return replace(workspace.absolute(), data=workspace.data.absolute(), inception=inception, device=device)


def jobs_folder(workspace: Workspace) -> Path:
    """A new one for a command's jobs, with their logs."""
    return workspace.results.absolute() / "jobs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
