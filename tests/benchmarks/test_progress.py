"""What a person sees of runs that go on."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

from rich.console import Console

from benchmarks.config import suite
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
