"""Trackers of experiments: each gets settings, history, estimates and pictures, on the disk and nowhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.export.exported import Exported


def tensorboard(runs: Sequence[Exported], where: Path) -> str:
    """An event file a run, in a folder of its own that is made anew: scalars, images, and the settings as text."""
    writing = import_module("torch.utils.tensorboard.writer")

    for one in runs:
        folder = where / one.run.suite / one.name
        shutil.rmtree(folder, ignore_errors=True)
        with writing.SummaryWriter(str(folder)) as writer:
            for epoch, losses in one.history:
                for name, value in losses.items():
                    writer.add_scalar(f"training/{name}", value, epoch)
            for name, value in one.numbers.items():
                writer.add_scalar(f"estimates/{name}", value, 0)
            for path in one.pictures:
                writer.add_image(path.stem, pixels(path), dataformats="HWC")
            writer.add_text("settings", table(one.settings))
    return f"tensorboard --logdir {where}"


def mlflow(runs: Sequence[Exported], where: Path) -> str:
    """A database of MLflow's, an experiment a suite, with artifacts beside it; runs of the same name are replaced."""
    library = import_module("mlflow")
    store = f"sqlite:///{(where / 'mlflow.db').resolve()}"
    client = library.MlflowClient(tracking_uri=store)
    for one in runs:
        experiment = experiment_of(client, one.run.suite, where)
        for old in client.search_runs([experiment], f"attributes.run_name = '{one.name}'"):
            client.delete_run(old.info.run_id)
        run = client.create_run(experiment, run_name=one.name)
        for key, setting in one.settings.items():
            client.log_param(run.info.run_id, key, setting)
        for epoch, losses in one.history:
            for name, value in losses.items():
                client.log_metric(run.info.run_id, f"training/{name}", value, step=epoch)
        for name, value in one.numbers.items():
            client.log_metric(run.info.run_id, f"estimates/{plain(name)}", value)
        for path in one.pictures:
            client.log_artifact(run.info.run_id, str(path))
        client.set_terminated(run.info.run_id)
    return f"mlflow ui --backend-store-uri {store}"


def experiment_of(client: Any, name: str, where: Path) -> str:
    """The experiment's id; it is made where it is new."""
    found = client.get_experiment_by_name(name)
    artifacts = (where / "artifacts").resolve().as_uri()
    identity: str = found.experiment_id if found else client.create_experiment(name, artifact_location=artifacts)
    return identity


def wandb(runs: Sequence[Exported], where: Path) -> str:
    """Offline runs of Weights & Biases, which `wandb sync` sends on when and if you ask it to."""
    os.environ["WANDB_MODE"] = "offline"
    library = import_module("wandb")
    for one in runs:
        run = library.init(project=one.run.suite, name=one.name, dir=str(where), config=one.settings, mode="offline")
        logged(run, one, lambda path: library.Image(str(path)))
        run.finish()
    return f"wandb sync {where}/wandb/offline-run-*"


def trackio(runs: Sequence[Exported], where: Path) -> str:
    """Runs of Trackio, in its own folder or the one that TRACKIO_DIR names; none is sent anywhere."""
    os.environ.setdefault("TRACKIO_DIR", str(where.resolve()))
    library = import_module("trackio")
    for one in runs:
        run = library.init(project=one.run.suite, name=one.name, config=one.settings, embed=False)
        logged(run, one, lambda path: library.Image(str(path)))
        library.finish()
    return f"trackio show, with TRACKIO_DIR={os.environ['TRACKIO_DIR']}"


def logged(run: Any, one: Exported, picture: Any) -> None:
    """History by epoch, then estimates and pictures."""
    for epoch, losses in one.history:
        run.log({f"training/{name}": value for name, value in losses.items()}, step=epoch)
    last = {f"estimates/{name}": value for name, value in one.numbers.items()}
    run.log({**last, **{path.stem: picture(path) for path in one.pictures}})


def pixels(path: Path) -> np.ndarray[Any, Any]:
    """A picture, (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def table(settings: dict[str, str]) -> str:
    """Settings as a table in Markdown."""
    rows = "\n".join(f"| {key} | {value} |" for key, value in settings.items())
    return f"| setting | value |\n|---|---|\n{rows}"


def plain(name: str) -> str:
    """A name of the characters that MLflow allows."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)
