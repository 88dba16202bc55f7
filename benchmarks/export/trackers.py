"""Trackers of experiments: each gets settings, history, estimates and pictures, on the disk and nowhere else."""

from __future__ import annotations

import io
import os
import shlex
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.export.exported import Exported

AT_HOME = {
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "DO_NOT_TRACK": "true",
}
"""What has these libraries send nothing, neither runs nor how they are used. They read it as they are imported."""

ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Where Trackio would send runs to, if it were told."""


def library_of(name: str) -> Any:
    """The tracker's library, which is told to send nothing before it is imported."""
    os.environ.update(AT_HOME)
    for variable in ELSEWHERE:
        os.environ.pop(variable, None)
    return import_module(name)


def tensorboard(runs: Sequence[Exported], where: Path) -> str:
    """An event file a run, in a folder of its own that is made anew: scalars, images, and the settings as text."""
    writing = library_of("torch.utils.tensorboard.writer")
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
    return f"tensorboard --logdir {shlex.quote(str(where))}"


def mlflow(runs: Sequence[Exported], where: Path) -> str:
    """A database of MLflow's, an experiment a suite, with artifacts beside it; runs of the same name are replaced."""
    library = library_of("mlflow")
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
    return f"mlflow ui --backend-store-uri {shlex.quote(store)}"


def experiment_of(client: Any, name: str, where: Path) -> str:
    """The experiment's id; it is made where it is new."""
    found = client.get_experiment_by_name(name)
    artifacts = (where / "artifacts").resolve().as_uri()
    identity: str = found.experiment_id if found else client.create_experiment(name, artifact_location=artifacts)
    return identity


def wandb(runs: Sequence[Exported], where: Path) -> str:
    """Offline runs of Weights & Biases, which `wandb sync` sends on when and if you ask it to; a run of the same name
    is replaced, here and there."""
    library = library_of("wandb")
    settings = library.Settings(silent=True, x_disable_stats=True, disable_git=True, disable_code=True)
    for one in runs:
        for old in where.glob(f"wandb/offline-run-*-{one.name}"):
            shutil.rmtree(old)
        about = {"project": one.run.suite, "name": one.name, "id": one.name, "config": one.settings}
        run = library.init(**about, dir=str(where), mode="offline", settings=settings)
        logged(run, one, lambda path: library.Image(str(path)))
        run.finish()
    return f"wandb sync {shlex.quote(str(where))}/wandb/offline-run-*"


def trackio(runs: Sequence[Exported], where: Path) -> str:
    """Runs of Trackio, in a folder of their own; those of the same name are replaced."""
    os.environ["TRACKIO_DIR"] = str(where.resolve())
    library = library_of("trackio")
    for one in runs:
        with suppress(ValueError):  # there is no such project yet
            for old in library.Api().runs(one.run.suite):
                if old.name == one.name:
                    old.delete()
        about = {"project": one.run.suite, "name": one.name, "config": one.settings}
        with redirect_stdout(io.StringIO()):  # of which run it begins and ends
            run = library.init(**about, embed=False, auto_log_cpu=False, auto_log_gpu=False)
            logged(run, one, lambda path: library.Image(str(path)))
            library.finish()
    return f"TRACKIO_DIR={shlex.quote(os.environ['TRACKIO_DIR'])} trackio show"


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
