"""Everything that a run is made of, as frozen and validated settings. A run's name carries their hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from benchmarks.common.errors import find
from benchmarks.common.names import slug
from benchmarks.common.settings import Settings, digest
from benchmarks.config.constructors import constructor_settings
from benchmarks.datasets import Dataset
from benchmarks.metrics.controls import CONTROLS
from benchmarks.metrics.protocol import ProtocolSettings
from models.registry import PARTS
from models.regularisers import REGULARISERS
from priors.plugins import Added
from priors.registry import PRIORS

FORMAT = 2
"""To be raised when a default or an algorithm changes what a run's estimates mean: no older run then counts as new."""

AFTER_TRAINING: Any = {
    "suite": True,
    "preset": True,
    "overrides": True,
    "trial": True,
    "metrics": True,
    "protocol": {"samples", "images", "generated"},
}
"""What a run's weights do not depend on."""

WIDEST = 2**20
"""Of a layer or a code: no network that a machine can hold has more."""

MODEL = ("type", "backbone", "posterior", "likelihood")
"""Settings of a model that name a part."""

USUAL = {"device": "cpu", "precision": "float32"}
"""What estimates are computed with unless their protocol says so."""


def known(part: str) -> AfterValidator:
    """Of a string that must name a registered part of a model."""

    def check(name: str) -> str:
        find(PARTS[part], name)
        return name

    return AfterValidator(check)


class ModelSettings(Settings):
    """The autoencoder. widths: of the hidden layers or channels (left out: the backbone's own). latent_dim: D.

    log_variance: range that the posterior's log variance is clipped to. variance: of the likelihood gaussian-fixed.
    initialisation: of the networks' weights, their own or He's (N(0, 2 / inputs) in every layer, the posterior's too).
    """

    type: Annotated[str, known("type")] = "vae"
    backbone: Annotated[str, known("backbone")] = "mlp"
    widths: tuple[Annotated[int, Field(ge=1, le=WIDEST)], ...] | None = None
    latent_dim: int = Field(40, ge=1, le=WIDEST)
    posterior: Annotated[str, known("posterior")] = "normal"
    likelihood: Annotated[str, known("likelihood")] = "bernoulli"
    log_variance: tuple[float, float] = (-12.0, 4.0)
    variance: float = Field(0.5, gt=0)
    initialisation: Literal["own", "he"] = "own"

    @field_validator("log_variance")
    @classmethod
    def low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] >= value[1]:
            raise ValueError("the range's lower end comes first")
        return value

    @property
    def parts(self) -> tuple[Added, ...]:
        """What the model is built of, as plug-ins register it."""
        return tuple(Added(PARTS[key].kind, getattr(self, key)) for key in MODEL)


class PriorSettings(Settings):
    """A registered prior and the settings of its constructor, defaults filled in. `plugin` is its file's SHA-256."""

    name: str
    settings: dict[str, Any] = {}
    plugin: str | None = None

    @property
    def inner(self) -> tuple[Added, ...]:
        """Third parties' priors that its settings name, as `two-level` has one on top."""
        named = {*texts(self.settings)} & {*PRIORS.foreign()} - {self.name}
        return tuple(Added(PRIORS.kind, name) for name in sorted(named))


class RegulariserSettings(Settings):
    """A regulariser and the settings of its constructor, defaults filled in."""

    name: Annotated[str, known("regulariser")]
    settings: dict[str, Any] = {}


class Schedule(Settings):
    """The learning rate over epochs: constant, `step` (times `factor` every `every` epochs) or `cosine` to zero."""

    type: Literal["constant", "step", "cosine"] = "constant"
    every: int = Field(200, ge=1)
    factor: float = Field(0.5, gt=0, le=1)


class TrainingSettings(Settings):
    """The budget and the optimiser.

    warm_up: epochs over which the KL's weight rises linearly to 1; the best weights are looked for only after it.
    patience: epochs without a better validation loss after which training ends (0: never).
    keep: the weights of the best validation loss, or the last (for adversarial training, whose loss ranks nothing).
    clip: largest norm of a player's gradient (0: no clipping).
    gradients: as they are, or each tensor's divided by its own norm before Adam sees it (the VampPrior's authors').
    precision: of the networks' products while training; bfloat16 is up to twice as fast, and so is tf32 on a GPU.
        Evaluation is always in float32.
    """

    epochs: int = Field(100, ge=0)
    batch_size: int = Field(100, ge=1)
    lr: float = Field(5e-4, gt=0)
    schedule: Schedule = Schedule()
    warm_up: int = Field(0, ge=0)
    patience: int = Field(0, ge=0)
    keep: Literal["best", "last"] = "best"
    clip: float = Field(0.0, ge=0)
    gradients: Literal["plain", "normalised"] = "plain"
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"


class Run(Settings):
    """One cell of a suite: a method on a data set with a seed."""

    suite: str
    dataset: str
    method: str
    seed: int = Field(ge=0)
    prior: PriorSettings | None
    regularisers: tuple[RegulariserSettings, ...] = ()
    model: ModelSettings
    training: TrainingSettings
    protocol: ProtocolSettings
    metrics: tuple[str, ...]
    source: str = ""
    """How its loader is asked for the data, where that is not what they are called: `folder:PATH`, as it was given."""
    preset: str = ""
    """The suite's preset that was asked for."""
    overrides: tuple[str, ...] = ()
    """The command line's own settings."""
    trial: tuple[str, ...] = ()
    """All that was otherwise than the suite has it, preset and overrides, in full: shown in every note."""
    control: str = ""
    """The control that stands in a model's place, where one does: nothing is trained then."""
    plugins: dict[str, str] = {}
    """SHA-256 of the files of its plug-ins' regularisers, model parts and priors within its prior, by kind and name."""

    @field_validator("control")
    @classmethod
    def known_control(cls, value: str) -> str:
        if value:
            find(CONTROLS, value)
        return value

    @cached_property
    def hash8(self) -> str:
        """Of all that training depends on. Settings at their default are left out, so that a new one moves no run; a
        prior's are all there, so a new one moves that prior's runs."""
        how = self.model_dump(mode="json", exclude=AFTER_TRAINING, exclude_defaults=True)
        return digest({"format": FORMAT, **how})

    @cached_property
    def evaluation(self) -> str:
        """Of all that the estimates of the trained weights depend on, but for which estimates are asked for."""
        return digest(self.protocol.model_dump(mode="json", exclude_defaults=True))

    @property
    def asked(self) -> str:
        """The data set as its loader is asked for it."""
        return self.source or self.dataset

    @property
    def loader(self) -> str:
        """The registered name of the data set's loader."""
        return self.asked.partition(":")[0]

    def demand_prior(self) -> PriorSettings:
        """The prior; ValueError where the run is of the data alone, damaged or not."""
        if self.prior is None:
            raise ValueError(f"{self.name} is a run of the data alone: it has no prior")
        return self.prior

    @property
    def marks(self) -> tuple[str, ...]:
        """What makes it a trial, in short: the preset by its name alone."""
        return (*((f"preset {self.preset}",) if self.preset else ()), *self.overrides)

    @property
    def built(self) -> tuple[Added, ...]:
        """The parts that its training depends on beside the prior: none of the data themselves, which train nothing."""
        regularisers = (Added(REGULARISERS.kind, one.name) for one in self.regularisers)
        return (*self.model.parts, *regularisers, *self.prior.inner) if self.prior else ()

    def with_plugins(self, files: Mapping[Added, str]) -> Run:
        """The same run, whose hash depends on the files that its parts are of."""
        used = {f"{part.kind} {part.name}": files[part] for part in self.built if part in files}
        return self.model_copy(update={"plugins": used}) if used else self

    @property
    def name(self) -> str:
        """The run's folder below the suite's."""
        return f"{slug(self.dataset)}-{slug(self.method)}-s{self.seed}-{self.hash8}"


def texts(value: Any) -> Iterator[str]:
    """All texts in nested settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | Sequence):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from texts(one)


def protocol_of(run: Run, dataset: Dataset) -> dict[str, Any]:
    """All that two estimates must share to be compared, hashed by `digest` for the table's protocol column.

    The kind of device that they are computed on and the training's precision are in it where they are not the usual
    ones: seeds of a CPU and of a GPU are never averaged into one row.
    """
    how = {"device": dataset.train.stored.device.type, "precision": run.training.precision}
    return {
        "dataset": run.dataset,
        "data_sha256": dataset.digest,
        "splits": [len(dataset.train), len(dataset.validation), len(dataset.test)],
        "binarisation": dataset.binarisation,
        "likelihood": run.model.likelihood,
        "images": run.protocol.images,
        **{key: value for key, value in how.items() if value != USUAL[key]},
    }


def prior_settings(name: str, given: dict[str, Any], plugin: str | None = None) -> PriorSettings:
    """Settings of the prior's constructor, validated against its annotations, with the defaults filled in."""
    values = constructor_settings(find(PRIORS, name), given, f"prior.{name}")
    return PriorSettings(name=name, settings=values, plugin=plugin)


def regulariser_settings(name: str, given: dict[str, Any]) -> RegulariserSettings:
    """As `prior_settings`, for a regulariser."""
    values = constructor_settings(find(REGULARISERS, name), given, f"regulariser.{name}")
    return RegulariserSettings(name=name, settings=values)
