"""What a person sees of runs that go on."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

from rich.console import Console

from benchmarks.config import suite
from benchmarks.runner.execute import Outcome
from benchmarks.runner.progress import Display, describe
from benchmarks.runner.workspace import Workspace


def test_losses_of_one_name_are_told_apart():
    losses = {"wae.reconstruction": 15.0, "latent-critic.gap": 3.114, "image-critic.gap": 1.3, "validation": 14.99}
    status = {"stage": "training", "epoch": 50, "epochs": 200, "seconds": 20.0, "losses": losses}
    assert describe(status) == (
        "epoch 50/200, 1 min 00 s left  "
        "reconstruction 15.00  latent-critic.gap 3.11  image-critic.gap 1.30  validation 14.99"
    )


def test_a_run_that_hangs_is_told(tmp_path: Path):
    """Since when nothing was heard of it; what an earlier command left does not count, and neither does rubbish."""
    run = suite.expand(suite.read("smoke"))[0]
    workspace = Workspace(tmp_path, tmp_path)
    record = workspace.record(run)
    record.folder.mkdir(parents=True)
    record.report(stage="starting")
    view = Display(Console(file=io.StringIO()), [run], workspace, 1)
    view.began -= 3600
    told = time.time() - 1000
    os.utime(record.folder / "status.json", (told, told))
    view.narrate()
    assert "seed 0: starting; nothing heard for 16 min" in view.console.file.getvalue()
    record.report(stage="starting")
    assert "nothing heard" not in describe(view.status(run))
    view.began = time.time() + 10
    assert view.status(run) is None
    (record.folder / "status.json").write_text("[1, 2")
    assert view.status(run) is None


def test_runs_that_others_carry_out_are_counted(tmp_path: Path):
    """And their stages are not told as those of this command."""
    runs = suite.expand(suite.read("smoke"))[:3]
    workspace = Workspace(tmp_path, tmp_path)
    view = Display(Console(file=io.StringIO(), width=100), runs, workspace, 1)
    for run in runs:
        workspace.record(run).folder.mkdir(parents=True, exist_ok=True)
        workspace.record(run).report(stage="starting")
    assert view.others() == ""
    for run in runs[:2]:
        view.met(Outcome(run, "elsewhere"))
    assert view.others() == "2 runs elsewhere"
    view.narrate()
    told = view.console.file.getvalue()
    assert told.startswith("2 runs elsewhere\n")
    assert told.count("starting") == 1
    view.console.print(view.view())
    assert "2 runs elsewhere" in view.console.file.getvalue()[len(told) :]
    view.back(runs[:1])
    view.ended(Outcome(runs[1], "ok", "by another command"))
    assert view.others() == ""
