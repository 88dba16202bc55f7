"""The folder of one run: the only channel between a worker, the display and the tables.

    {config,env,data}.json history.csv checkpoint | weights.safetensors training.json | fitted.safetensors metrics.json
    values/*.safetensors *.png | done

`checkpoint` exists while training goes on; `training.json` says that it has ended and how. `metrics.json` grows metric
by metric; `values` has what figures are the means of, image by image. `done` is written last and names what was
evaluated; whatever is there without it is taken up again.
Every file appears whole or not at all (write, fsync, rename).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from filelock import FileLock

from benchmarks.settings import Run


@dataclass(frozen=True)
class Record:
    """One run's folder."""

    folder: Path

    def done(self, run: Run, metrics: Sequence[str]) -> bool:
        """The run has ended, and the figures of these metrics are there."""
        marker = self.read("done")
        return marker is not None and marker["evaluation"] == run.evaluation and {*metrics} <= {*marker["metrics"]}

    def is_of(self, digest: str) -> bool:
        """Was this run made with the data of this digest (or not yet with any)?"""
        return self.read("data.json") in (None, {"sha256": digest})

    def begin(self, digest: str) -> None:
        """Notes the data that the run is made with. What was made with other data is thrown away."""
        if not self.is_of(digest):
            made = ("done", "metrics.json", "training.json", "checkpoint", "weights.safetensors", "fitted.safetensors")
            self.remove(*made)
        self.write("data.json", {"sha256": digest})

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Holds the run for this process; the system lets go of it however the process ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    def write(self, name: str, content: Any) -> None:
        """JSON with sorted keys."""
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        write_atomically(self.folder / name, lambda file: file.write(text.encode()))

    def read(self, name: str) -> Any:
        """The JSON file's content, or None where there is none."""
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Tensors and plain values, for `restore`."""
        write_atomically(self.folder / name, lambda file: torch.save(state, file))

    def restore(self, name: str, device: torch.device | str) -> dict[str, Any] | None:
        path = self.folder / name
        return torch.load(path, map_location=device, weights_only=True) if path.is_file() else None

    def remove(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def report(self, **status: Any) -> None:
        """What the display shows of this run. Not fsynced: it is of no use after a crash."""
        path = self.folder / "status.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(status), encoding="utf-8")
        os.replace(part, path)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """The file under its name once all of it is on the disk; a reader or a crash never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Removes what a killed process left half written."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)
