"""One run from its settings to its figures, in whatever process it is called."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import torch
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import nn

from benchmarks import pictures
from benchmarks.damage import clear, damages, heal, told
from benchmarks.datasets import Dataset, Options, load
from benchmarks.errors import Stop
from benchmarks.evaluation import METRICS, Subject
from benchmarks.machine import environment, peak_memory, reset_peak_memory
from benchmarks.metrics.figure import Figure
from benchmarks.record import Record, sweep
from benchmarks.seeds import seed_for
from benchmarks.settings import Run, digest, protocol_of
from benchmarks.sources import maker
from benchmarks.train import Diverged, Progress, Trainer
from models import registry as models
from models.base import Autoencoder
from models.regularisers import REGULARISERS
from priors import registry as priors
from priors.base import Codes, Prior, Unsupported, parameter_count
from priors.plugins import load_entry_points, load_plugin
from priors.wording import in_one_line

Status = Literal["ok", "unsupported", "diverged", "failed"]


@dataclass(frozen=True)
class Place:
    """Where runs happen: what is the same for all of a command's runs and changes no figure but by its device."""

    results: Path
    data: Path
    device: str = "cpu"
    options: Options = field(default_factory=Options)
    plugins: tuple[str, ...] = ()
    inception: Path | None = None
    seconds: float = 0.0
    """The longest that a run may take; 0: as long as it does."""

    @property
    def on_cpu(self) -> Place:
        """The same place on the CPU, for a command's own process, which must not hold a GPU."""
        return replace(self, device="cpu")

    @property
    def cache(self) -> Path:
        """What runs share: feature networks trained here, and the features of real images."""
        return self.results / "cache"

    def absolute(self) -> Self:
        """The same place wherever the process goes."""
        return replace(self, results=self.results.absolute())

    def record(self, run: Run) -> Record:
        return Record(self.results / "runs" / run.suite / run.name)

    def computable(self, run: Run) -> tuple[str, ...]:
        """The run's metrics, but for those that wait for Inception's weights."""
        return tuple(name for name in run.metrics if self.inception or not METRICS[name].inception)

    def done(self, run: Run) -> bool:
        """The run has ended, and all of its figures that can be computed here are there."""
        return self.record(run).done(run, self.computable(run))

    def dataset(self, run: Run) -> Dataset:
        """The run's data set on the device, loaded once a process."""
        rule = None if run.protocol.binarisation == "auto" else run.protocol.binarisation
        options = Options(self.options.download, self.options.any_checksum, run.protocol.size or None)
        return _dataset(run.dataset, self.data, options, rule, self.device)

    def subject(self, run: Run, progress: Callable[[str, int, int], None] = lambda what, done, of: None) -> Subject:
        """What the run's metrics look at, without model and prior as yet."""
        return Subject(None, None, self.dataset(run), run.protocol, run.seed, progress, self.cache, self.inception)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Run
    status: Status
    note: str = ""
    seconds: float = 0.0


@lru_cache(maxsize=4)
def _dataset(name: str, folder: Path, options: Options, rule: Any, device: str) -> Dataset:
    """On a CPU as loaded; elsewhere a copy of that."""
    if device == "cpu":
        return load(name, folder, options, rule)
    return _dataset(name, folder, options, rule, "cpu").to(device)


def execute(run: Run, place: Place) -> Outcome:
    """Runs, or takes up, or finds done. Never raises for what goes wrong inside the run: it says so in the outcome.

    Failures are not kept: the next command tries again. A divergence is, since it would only come back.
    """
    record, start = place.record(run), time.monotonic()
    try:
        with record.claim(), alarm(place.seconds):
            healed = _perform(run, place, record)
        record.remove("error.txt")
        ended = record.read("training.json")
        return Outcome(run, ended["status"], "; ".join(filter(None, (ended["note"], healed))), time.monotonic() - start)
    except (KeyboardInterrupt, Stop):
        raise
    except BaseException as error:  # a run that calls sys.exit, say, ends itself alone
        return failed(run, place, in_one_line(error), time.monotonic() - start, traceback.format_exc())


def failed(run: Run, place: Place, note: str, seconds: float = 0.0, details: str = "") -> Outcome:
    """The outcome of a run that came to no end of its own, kept beside its record."""
    place.record(run).fail(note, details)
    return Outcome(run, "failed", note, seconds)


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """The system's alarm signal after this time: it ends a worker, and where it is handled it raises."""
    if not seconds:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _perform(run: Run, place: Place, record: Record) -> str:
    """Trains unless that is done, evaluates what is not, and marks the run. Says what of its record was damaged."""
    register(place)
    data = place.dataset(run)
    wrong = damages(record)
    heal(record, wrong)
    if place.done(run) and made_with(record, data):
        return ""
    record.remove("done", *(path.name for path in record.folder.glob("*.png")))
    sweep(record.folder)
    record.report(stage="starting")
    begin(run, record, data)
    record.write("config.json", run.model_dump(mode="json"))
    record.write("env.json", environment(place.device))
    subject = place.subject(run, reporter(record))
    try:
        if run.prior is None:
            record.write("training.json", {"status": "ok", "note": "", "cost": [], "files": {}})
            _evaluate(run, subject, place, record)
        else:
            subject.model, subject.prior = build(run, data)
            ended = _train(run, subject.model, subject.prior, data, record)
            if ended["status"] == "ok":
                record.report(stage="fitting the prior")
                _fit(run, subject.model, subject.prior, data, record)
                _evaluate(run, subject, place, record)
                with torch.no_grad():
                    pictures.save(record.folder, subject)
    except Unsupported as reason:
        record.write("training.json", {"status": "unsupported", "note": str(reason), "files": {}})
    record.report(stage="done")
    files = record.vouch("config.json", "env.json", "*.png")
    record.write("done", {"evaluation": run.evaluation, "metrics": place.computable(run), "files": files})
    record.remove("checkpoint")
    return told(wrong)


def made_with(record: Record, data: Dataset) -> bool:
    """Was the run made with these data (or not yet with any)?"""
    made = record.read("made.json")
    return made is None or made["data"] == data.digest


def begin(run: Run, record: Record, data: Dataset) -> None:
    """Notes the data and the sources that the run is made with. What was made with other data is thrown away; other
    sources are added to those that began it."""
    if not made_with(record, data):
        clear(record)
    made = record.read("made.json") or {"data": data.digest, "by": []}
    now = maker(run)
    if now not in made["by"]:
        record.write("made.json", {"data": data.digest, "by": [*made["by"], now]})


def register(place: Place) -> None:
    """The parts of plug-ins and of installed packages, in this process."""
    for plugin in place.plugins:
        load_plugin(plugin)
    load_entry_points()


def recall(run: Run, place: Place) -> Subject:
    """The trained model and prior of a run that has ended well, as its metrics saw them."""
    register(place)
    subject, record = place.subject(run), place.record(run)
    subject.model, subject.prior = build(run, subject.data)
    both = nn.ModuleDict({"model": subject.model, "prior": subject.prior})
    recall_weights(both, record)
    record.verified("fitted.safetensors", "metrics.json")
    _fit(run, subject.model, subject.prior, subject.data, record)
    return subject


def recall_weights(both: nn.ModuleDict, record: Record) -> None:
    """The weights that training ended with, on the modules' own device; Damaged where they are not these."""
    both.load_state_dict(load_file(record.verified("weights.safetensors", "training.json")))
    both.eval()


def build(run: Run, data: Dataset) -> tuple[Autoencoder, Prior]:
    """Model and prior on the data's device. The model's first weights depend on the seed alone, not on the prior."""
    device = data.train.stored.device
    torch.manual_seed(seed_for(run.seed, "model"))
    model = models.make(data.shape, data.bounded, step=data.step, **run.model.model_dump()).to(device)

    def examples(n: int) -> torch.Tensor:
        order = torch.randperm(len(data.train), device=device)  # drawn there: a copy would be waited for at every step
        return data.train.batch(order[torch.arange(n, device=device) % len(data.train)])

    host = model.host(data.shape, len(data.train), data.bounded, examples)
    torch.manual_seed(seed_for(run.seed, "regularisers"))
    model.regularise([REGULARISERS[one.name](host, **one.settings).to(device) for one in run.regularisers])
    torch.manual_seed(seed_for(run.seed, "prior"))
    return model, priors.make(run.prior.name, host, **run.prior.settings).to(device)


def _train(run: Run, model: Autoencoder, prior: Prior, data: Dataset, record: Record) -> dict[str, Any]:
    """Puts the trained weights into model and prior, and tells how training ended."""
    both = nn.ModuleDict({"model": model, "prior": prior})
    ended = record.read("training.json")
    if ended is None or ended["status"] == "unsupported":
        reset_peak_memory(data.train.stored.device)
        ended = {"status": "ok", "note": ""}
        try:
            progress = Trainer(both, data, run.training, run.seed, record).run()
            keep(both.state_dict(), record, "weights.safetensors")
            ended |= {"epochs": progress.epoch, "best_epoch": progress.best_epoch}
            ended["cost"] = [figure.as_dict() for figure in cost(both, progress, data.train.stored.device)]
        except Diverged as reason:
            ended = {"status": "diverged", "note": str(reason)}
        record.write("training.json", {**ended, "files": record.vouch("weights.safetensors", "history.csv")})
    elif ended["status"] == "ok":
        recall_weights(both, record)
    both.eval()
    return ended


def _evaluate(run: Run, subject: Subject, place: Place, record: Record) -> None:
    """Every metric that is not in metrics.json yet. What a figure is the mean of is kept beside it, image by image."""
    protocol = protocol_of(run, subject.data)
    content = record.read("metrics.json")
    if content is None or (content["evaluation"], content["hash"]) != (run.evaluation, digest(protocol)):
        content = {"evaluation": run.evaluation, "protocol": protocol, "hash": digest(protocol), "metrics": {}}
        content["files"] = record.vouch("fitted.safetensors")
        record.write("metrics.json", content)
    for name in place.computable(run):
        if name not in content["metrics"]:
            record.report(stage="evaluating", what=name, done=0, of=1)
            content["metrics"][name], values = measure(name, subject)
            if values:
                keep(values, record, f"values/{name}.safetensors")
                content["files"] |= record.vouch(f"values/{name}.safetensors")
            record.write("metrics.json", content)


def _fit(run: Run, model: Autoencoder, prior: Prior, data: Dataset, record: Record) -> None:
    """What the prior fits after training, kept with its state so that nothing long is ever done twice."""
    fitted = record.folder / "fitted.safetensors"
    if fitted.is_file():
        prior.load_state_dict(load_file(fitted))
    torch.manual_seed(seed_for(run.seed, "fit"))
    prior.fit(Codes(lambda: model.encode_all(data.train)))
    if not fitted.is_file():
        keep(prior.state_dict(), record, fitted.name)


def keep(tensors: Mapping[str, torch.Tensor], record: Record, name: str) -> None:
    """Tensors as a safetensors file; those that share memory are written apart, as the format wants them."""
    state = {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    record.put(name, lambda file: file.write(safetensors_bytes(state)))


@torch.no_grad()
def measure(name: str, subject: Subject) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """A metric's figures with the seconds that they took, or the reason why they are undefined here; and the values
    that figures are the means of, by metric and estimator."""
    start = time.monotonic()
    try:
        figures = METRICS[name](subject)
    except Unsupported as reason:
        return {"unsupported": str(reason)}, {}
    values = {f"{one.metric} {one.estimator}": one.values for one in figures if one.values is not None}
    seconds = round(time.monotonic() - start, 3)
    return {"figures": [figure.as_dict() for figure in figures], "seconds": seconds}, values


def cost(both: nn.Module, progress: Progress, device: torch.device) -> list[Figure]:
    """What training took; but for the parameters it differs from machine to machine and from time to time."""
    memory = "process" if device.type == "cpu" else "device"
    return [
        Figure("parameters", "exact", parameter_count(both), "count", "lower"),
        Figure("training_time", "wall-clock", round(progress.seconds, 3), "s", "lower"),
        Figure("training_time_an_epoch", "wall-clock", progress.seconds / max(1, progress.epoch), "s", "lower"),
        Figure("training_memory", memory, round(peak_memory(device), 1), "MiB", "lower"),
    ]


def reporter(record: Record) -> Callable[[str, int, int], None]:
    """Tells the display how far a metric is, a few times a second at most."""
    last = [0.0]

    def report(what: str, done: int, of: int) -> None:
        if time.monotonic() - last[0] > 0.5:
            record.report(stage="evaluating", what=what, done=done, of=of)
            last[0] = time.monotonic()

    return report
