"""What the runs of a command may use, whichever executor carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.runner.machine import WORKERS_A_GPU, default_workers


@dataclass(frozen=True)
class Resources:
    """How much at once. 0 means, wherever it stands, as suits the executor.

    workers: runs at once on this machine; of a cluster, jobs at once. threads: of a worker. runs_per_gpu: runs that
    share a GPU. gpus: of a job on a cluster. runs_a_job, minutes_a_job: how long jobs on a cluster are. options: an
    executor's own settings, by its name.
    """

    workers: int = 0
    threads: int = 0
    runs_per_gpu: int = 0
    gpus: int = 0
    runs_a_job: int = 0
    minutes_a_job: float = 0.0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def at_once(self, device: str) -> int:
        """Runs at once on this machine, as many as suit the device where nothing was said."""
        if self.workers:
            return self.workers
        if device.startswith("cuda"):
            return default_workers(device, self.per_gpu)
        return max(1, default_workers(device) // max(1, self.threads))

    @property
    def per_gpu(self) -> int:
        """Runs that share a GPU."""
        return self.runs_per_gpu or WORKERS_A_GPU

    @property
    def in_a_job(self) -> int:
        """Runs at once in a job on a cluster: those that its GPUs take, or one."""
        return max(1, self.gpus * self.per_gpu)

    def inside(self) -> Resources:
        """Those of a job's own runs."""
        return replace(self, workers=self.in_a_job, options={})

    def over(self, usual: Mapping[str, Mapping[str, Any]]) -> Resources:
        """With settings that hold where these say nothing."""
        names = {*usual, *self.options}
        return replace(self, options={name: {**usual.get(name, {}), **self.options.get(name, {})} for name in names})


USUAL = Resources()
"""As suits the executor."""

ONE = Resources(1)
"""One run at a time."""
