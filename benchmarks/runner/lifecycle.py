"""A run's life in its folder: healed, begun, carried through its stages, and marked as done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch

from benchmarks.common.files import sweep
from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset
from benchmarks.runner import log, pictures
from benchmarks.runner.build import build, register
from benchmarks.runner.damage import clear, damages, heal, told
from benchmarks.runner.machine import environment
from benchmarks.runner.record import Record, Seal
from benchmarks.runner.sources import foreign_files, maker
from benchmarks.runner.stages import evaluate, fit, reporter, train
from benchmarks.runner.workspace import Workspace
from priors.base import Unsupported


def perform(run: Run, workspace: Workspace, record: Record) -> str:
    """Trains unless that is done, evaluates what is not, and marks the run. Says what of its record was damaged."""
    register(workspace)
    data = workspace.dataset(run)
    wrong = damages(record)
    heal(record, wrong)
    if workspace.done(run) and made_with(record, data):
        return ""
    take_up(run, workspace, record, data)
    try:
        if run.prior is None:
            record.write("training.json", {"status": "ok", "note": "", "cost": [], "files": {}})
            evaluate(run, workspace.untrained(run, reporter(record)), workspace, record)
        else:
            model, prior = build(run, data)
            ended = train(run, model, prior, data, record, workspace.capture)
            if ended["status"] == "ok":
                record.report(stage="fitting the prior")
                fit(run, model, prior, data, record)
                evaluated = workspace.evaluated(run, model, prior, reporter(record))
                evaluate(run, evaluated, workspace, record)
                with torch.no_grad():
                    pictures.save(record.folder, evaluated)
    except Unsupported as reason:
        record.write("training.json", {"status": "unsupported", "note": str(reason), "files": {}})
    record.report(stage="done")
    files = record.vouch("config.json", "env.json", "*.png")
    record.settle(whole=True)
    record.remove("checkpoint")  # before the marker: whoever finds that looks no further
    record.write("done", {"evaluation": run.evaluation, "metrics": workspace.computable(run), "files": files})
    record.settle()
    return told(wrong)


def take_up(run: Run, workspace: Workspace, record: Record, data: Dataset) -> None:
    """Makes a record ready for what is still to be done, and notes what it is made with."""
    record.remove("done", *(path.name for path in record.folder.glob("*.png")))
    sweep(record.folder)
    log.sweep(record.folder)
    record.report(stage="starting")
    begin(run, record, data)
    record.write("config.json", run.model_dump(mode="json"))
    record.write("env.json", environment(workspace.device))


def made_with(record: Record, data: Dataset) -> bool:
    """Was the run made with these data (or not yet with any)?"""
    made = record.read("made.json")
    return made is None or made["data"] == data.digest


def begin(run: Run, record: Record, data: Dataset) -> None:
    """Notes the data and the sources that the run is made with. What was made with other data is thrown away; other
    sources are added to those that began it. A plug-in's own files are kept, so that the run can be made again."""
    if not made_with(record, data):
        clear(record)
    made = record.read("made.json") or {"data": data.digest, "by": []}
    now = maker(run)
    kept = keep_plugin(run, record, now)
    if now not in made["by"] or kept != made.get("files", {}):
        by = made["by"] if now in made["by"] else [*made["by"], now]
        record.write("made.json", {"data": data.digest, "by": by, **({"files": kept} if kept else {})})


def copy(path: Path, file: BinaryIO) -> None:
    """The content of one file into another."""
    file.write(path.read_bytes())


def keep_plugin(run: Run, record: Record, now: Mapping[str, str]) -> dict[str, Seal]:
    """Puts the files of the run's plug-ins into `plugin/DIGEST` in its folder, unless they are there; the seals of all
    that are kept of this and former makers."""
    files = foreign_files(run, plugins=True)
    top = Path(os.path.commonpath([path.parent for path in files])) if files else Path()
    for path in files:
        name = f"plugin/{now['plugin']}/{path.relative_to(top).as_posix()}"
        if not (record.folder / name).is_file():
            record.put(name, partial(copy, path))
    return record.vouch("plugin/**/*.py")
