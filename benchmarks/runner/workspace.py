"""Where runs happen: the folders, the device, and what is loaded once for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset, Options, load
from benchmarks.metrics import METRICS, DataOnly, Evaluated, Material
from benchmarks.metrics.controlled import controlled
from benchmarks.metrics.controls import CONTROLS
from benchmarks.metrics.evaluated import Tell, silent
from benchmarks.runner.record import Record
from benchmarks.runner.turns import When
from models.base import Autoencoder
from priors.base import Prior


@dataclass(frozen=True)
class Workspace:
    """Where runs happen: what is the same for all of a command's runs and changes no estimate but by its device."""

    results: Path
    data: Path
    device: str = "cpu"
    options: Options = field(default_factory=Options)
    plugins: tuple[str, ...] = ()
    inception: Path | None = None
    seconds: float = 0.0
    """The longest that a run may take; 0: as long as it does."""
    retries: int = 1
    """How often a run is tried again whose process the system ended."""
    capture: When = "auto"
    """Whether a training's turns are captured (`turns`)."""
    stack: When = "off"
    """Whether seeds of a method are trained together (`together`)."""
    threads: int = 0
    """Of a run's process; 0: as suit the device (`machine.prepare_worker`)."""

    @property
    def on_cpu(self) -> Workspace:
        """The same workspace on the CPU, for a command's own process, which must not hold a GPU."""
        return replace(self, device="cpu")

    @property
    def cache(self) -> Path:
        """What runs share: feature networks trained here, and the features of real images."""
        return self.results / "cache"

    def absolute(self) -> Self:
        """The same workspace wherever the process goes."""
        return replace(self, results=self.results.absolute())

    def record(self, run: Run) -> Record:
        return Record(self.results / "runs" / run.suite / run.name)

    def computable(self, run: Run) -> tuple[str, ...]:
        """The run's metrics, but for those that wait for Inception's weights."""
        return tuple(name for name in run.metrics if self.inception or not METRICS[name].inception)

    def done(self, run: Run) -> bool:
        """The run has ended, and all of its estimates that can be computed here are there."""
        return self.record(run).done(run, self.computable(run))

    def dataset(self, run: Run) -> Dataset:
        """The run's data set on the device, loaded once a process."""
        rule = None if run.protocol.binarisation == "auto" else run.protocol.binarisation
        options = Options(self.options.download, self.options.any_checksum, run.protocol.size or None)
        return _dataset(run.asked, run.dataset, self.data, options, rule, self.device)

    def evaluated(self, run: Run, model: Autoencoder, prior: Prior, progress: Tell = silent) -> Evaluated:
        """A trained model and prior as the run's metrics look at them."""
        return Evaluated(*self._looked_at(run, progress), model=model, prior=prior)

    def data_only(self, run: Run, progress: Tell = silent) -> DataOnly:
        """The data alone as the run's metrics look at them."""
        return DataOnly(*self._looked_at(run, progress))

    def untrained(self, run: Run, progress: Tell = silent) -> Material:
        """What stands in a model's place where nothing is trained: the run's control, or the data alone."""
        if not run.control:
            return self.data_only(run, progress)
        return controlled(CONTROLS[run.control], run.model.latent_dim, *self._looked_at(run, progress))

    def _looked_at(self, run: Run, progress: Tell) -> tuple[Any, ...]:
        return self.dataset(run), run.protocol, run.seed, progress, self.cache, self.inception


@lru_cache(maxsize=4)
def _dataset(asked: str, name: str, folder: Path, options: Options, rule: Any, device: str) -> Dataset:
    """On a CPU as loaded, under the name that tables have; elsewhere a copy of that."""
    if device == "cpu":
        return replace(load(asked, folder, options, rule), name=name)
    return _dataset(asked, name, folder, options, rule, "cpu").to(device)
