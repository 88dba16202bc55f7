"""Everything that a run is made of, as frozen and validated settings. A run's name carries their hash."""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator
from pydantic_core import PydanticSerializationError

from benchmarks.common.errors import UsageError, cut, find, unknown
from benchmarks.common.names import slug
from benchmarks.datasets import Dataset
from models.registry import PARTS
from models.regularisers import REGULARISERS
from priors.plugins import Added
from priors.registry import PRIORS, settings_of
from priors.wording import in_one_line

FORMAT = 2
"""To be raised when a default or an algorithm changes what a run's figures mean: no older run is then taken for new."""

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
"""What figures are computed with unless their protocol says so."""


class Settings(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def no_truth(cls, value: Any) -> Any:
        """No setting here is true or false, and pydantic takes these for 1 and 0."""
        if isinstance(value, bool) or (isinstance(value, list) and any(isinstance(one, bool) for one in value)):
            raise ValueError("it is not to be true or false")
        return value


def _part(name: str) -> Any:
    """A string that must name a registered part of a model."""

    def known(value: str) -> str:
        find(PARTS[name], value)
        return value

    return Annotated[str, AfterValidator(known)]


class ModelSettings(Settings):
    """The autoencoder. widths: of the hidden layers or channels (left out: the backbone's own). latent_dim: D.

    log_variance: range that the posterior's log variance is clipped to. variance: of the likelihood gaussian-fixed.
    """

    type: _part("type") = "vae"
    backbone: _part("backbone") = "mlp"
    widths: tuple[Annotated[int, Field(ge=1, le=WIDEST)], ...] | None = None
    latent_dim: int = Field(40, ge=1, le=WIDEST)
    posterior: _part("posterior") = "normal"
    likelihood: _part("likelihood") = "bernoulli"
    log_variance: tuple[float, float] = (-12.0, 4.0)
    variance: float = Field(0.5, gt=0)

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


class RegulariserSettings(Settings):
    """A regulariser and the settings of its constructor, defaults filled in."""

    name: _part("regulariser")
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
    precision: of the networks' products while training; bfloat16 is up to twice as fast. Evaluation is never in it.
    """

    epochs: int = Field(100, ge=0)
    batch_size: int = Field(100, ge=1)
    lr: float = Field(5e-4, gt=0)
    schedule: Schedule = Schedule()
    warm_up: int = Field(0, ge=0)
    patience: int = Field(0, ge=0)
    keep: Literal["best", "last"] = "best"
    clip: float = Field(0.0, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"


class ProtocolSettings(Settings):
    """What makes two numbers comparable, beside the data and the likelihood.

    binarisation: 'auto' takes the data set's own rule; 'expected' trains on grey e as the expectation over x ~
    Bernoulli(e) and scores x drawn once under q(z|e) (VAEPP). size: side to scale images to (0: as stored).
    samples: importance samples K, from one stream. images: test images that the likelihood is estimated on (0: all).
    generated: images a side in figures of samples (fewer where the test set is smaller), which depend on this number.
    """

    binarisation: Literal["auto", "dynamic", "static", "expected", "none"] = "auto"
    size: int = Field(0, ge=0, le=8192)
    samples: tuple[Annotated[int, Field(ge=1)], ...] = Field((10, 100, 1000, 5000), min_length=1)
    images: int = Field(0, ge=0)
    generated: int = Field(10_000, ge=2)


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
    preset: str = ""
    """The suite's preset that was asked for."""
    overrides: tuple[str, ...] = ()
    """The command line's own settings."""
    trial: tuple[str, ...] = ()
    """All that was otherwise than the suite has it, preset and overrides, in full: shown in every note."""
    plugins: dict[str, str] = {}
    """SHA-256 of the files of its plug-ins' regularisers and model parts, by kind and name."""

    @cached_property
    def hash8(self) -> str:
        """Of all that training depends on. Settings at their default are left out, so that a new one moves no run; a
        prior's are all there, so a new one moves that prior's runs."""
        how = self.model_dump(mode="json", exclude=AFTER_TRAINING, exclude_defaults=True)
        return digest({"format": FORMAT, **how})

    @cached_property
    def evaluation(self) -> str:
        """Of all that the figures of the trained weights depend on, but for which figures are asked for."""
        return digest(self.protocol.model_dump(mode="json", exclude_defaults=True))

    @property
    def marks(self) -> tuple[str, ...]:
        """What makes it a trial, in short: the preset by its name alone."""
        return (*((f"preset {self.preset}",) if self.preset else ()), *self.overrides)

    @property
    def built(self) -> tuple[Added, ...]:
        """The parts that its training depends on beside the prior: none of the data themselves, which train nothing."""
        regularisers = (Added(REGULARISERS.kind, one.name) for one in self.regularisers)
        return (*self.model.parts, *regularisers) if self.prior else ()

    def with_plugins(self, files: Mapping[Added, str]) -> Run:
        """The same run, whose hash depends on the files that its parts are of."""
        used = {f"{part.kind} {part.name}": files[part] for part in self.built if part in files}
        return self.model_copy(update={"plugins": used}) if used else self

    @property
    def name(self) -> str:
        """The run's folder below the suite's."""
        return f"{slug(self.dataset)}-{slug(self.method)}-s{self.seed}-{self.hash8}"


def protocol_of(run: Run, dataset: Dataset) -> dict[str, Any]:
    """All that two figures must share to be compared, hashed by `digest` for the table's protocol column.

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


def digest(content: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of the content as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def prior_settings(name: str, given: dict[str, Any], plugin: str | None = None) -> PriorSettings:
    """Settings of the prior's constructor, validated against its annotations, with the defaults filled in."""
    values = constructor_settings(find(PRIORS, name), given, f"prior.{name}")
    return PriorSettings(name=name, settings=values, plugin=plugin)


def regulariser_settings(name: str, given: dict[str, Any]) -> RegulariserSettings:
    """As `prior_settings`, for a regulariser."""
    values = constructor_settings(find(REGULARISERS, name), given, f"regulariser.{name}")
    return RegulariserSettings(name=name, settings=values)


def constructor_settings(kind: type, given: dict[str, Any], where: str) -> dict[str, Any]:
    """The keyword settings of a constructor, validated against its annotations, with the defaults filled in."""
    schema = schema_of(kind, where)
    found = validated(schema, given, where)
    try:
        return found.model_dump(mode="json", warnings="error")  # a default need not be of its annotation
    except (PydanticSerializationError, ValueError) as error:
        raise UsageError(_not_understood(kind, where, error)) from None


@cache
def schema_of(kind: type, where: str) -> type[BaseModel]:
    """The settings of a constructor as a schema, made once: making one takes longer than a hundred validations.

    UsageError for a constructor that cannot be read, which may be anyone's.
    """
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    try:
        parameters = settings_of(kind)
        check_parameters(parameters, where)
        fields = {key: (p.annotation, p.default) for key, p in parameters.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that pydantic has a use for, which do no harm here
            return create_model(where, __config__=config, **fields)
    except UsageError:
        raise
    except Exception as error:  # evaluating an annotation may raise anything
        raise UsageError(_not_understood(kind, where, error)) from None


def check_parameters(parameters: Mapping[str, inspect.Parameter], where: str) -> None:
    """Raises UsageError for a setting that no suite could give, with what to write in its place."""
    for key, one in parameters.items():
        if one.annotation is one.empty:
            raise UsageError(f"{where}: the constructor's setting '{key}' has no annotation: write, say, {key}: int.")
        if one.default is one.empty:
            raise UsageError(
                f"{where}: the constructor's setting '{key}' has no default: write, say, "
                f"{key}: {inspect.formatannotation(one.annotation)} = ... with a value."
            )


def _not_understood(kind: type, where: str, error: Exception) -> str:
    return (
        f"{where}: the settings of the constructor of {kind.__qualname__} cannot be understood "
        f"({in_one_line(error)}): annotate each by int, float, bool, str, Literal[...], tuple[int, ...] or "
        "X | None, with such a default."
    )


def validated(schema: type[BaseModel], content: Any, where: str) -> Any:
    """The content as `schema`, or UsageError in one sentence that names the key, with the near one."""
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise UsageError(explain(error.errors()[0], schema, where)) from None


def explain(error: Any, schema: type[BaseModel], where: str) -> str:
    """A sentence from pydantic's first complaint."""
    *path, last = error["loc"] or ("",)
    place = ".".join(map(str, (where, *path))).strip(".")
    if error["type"] == "extra_forbidden":
        return f"{place}: {unknown('key', str(last), _keys(schema, path))}"
    if error["type"] == "missing":
        return f"{place}: the key '{last}' is missing"
    message = " ".join(str(error.get("ctx", {}).get("error") or error["msg"]).split())
    key = ".".join(cut(str(part)) for part in (*path, last) if part != "[key]")
    return f"{where}: {key} = {cut(repr(error['input']))} is not valid: {message}" if key else f"{where}: {message}"


def _keys(schema: type[BaseModel], path: list[str | int]) -> list[str]:
    """Field names of the model at `path` inside `schema`."""
    for part in path:
        field = schema.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        schema = field.annotation
    return list(schema.model_fields)
