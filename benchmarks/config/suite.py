"""From a TOML file to a list of frozen runs.

Settings are laid over each other in this order, the later over the earlier: the suite's own sections, what defines the
method in the catalogue, the suite's `[dataset.NAME]`, its `[method.NAME]`, a preset, the command line's `--set`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from benchmarks import datasets
from benchmarks.common.errors import UsageError, cut, find, unknown
from benchmarks.common.escape import in_line
from benchmarks.common.names import FileName, check_labels
from benchmarks.common.settings import Settings, validated
from benchmarks.config import catalogue, methods
from benchmarks.config.labels import Called, called, resolved
from benchmarks.config.published import Published
from benchmarks.config.settings import ModelSettings, Run, TrainingSettings, prior_settings, regulariser_settings
from benchmarks.metrics import METRICS
from benchmarks.metrics.controls import CONTROLS
from benchmarks.metrics.protocol import ProtocolSettings
from models.regularisers import REGULARISERS
from priors.plugins import Added
from priors.registry import PRIORS

SECTIONS = ("model", "training", "protocol", "prior", "regulariser")
NAMED = ("prior", "regulariser")
"""Sections that hold a table a name."""


MOST = 100_000
"""Seeds of a suite, and its runs."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Seeds(Settings):
    """Seeds of the runs: `seeds = 8` means 0 to 7."""

    seeds: tuple[Seed, ...] = Field((0, 1, 2, 3, 4), min_length=1)

    @field_validator("seeds", mode="before")
    @classmethod
    def count_or_list(cls, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if value > MOST:
            raise ValueError(f"a number of seeds is {MOST:,} at most; name them in a list to choose which")
        return tuple(range(value))

    @field_validator("seeds", "datasets", "methods", "metrics", check_fields=False)
    @classmethod
    def each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len({*value}) < len(value):
            twice = next(one for one in value if value.count(one) > 1)
            raise ValueError(f"it names {cut(repr(twice))} twice")
        return value


class Suite(Seeds):
    """The file as it stands. Overrides stay plain tables until they are laid over the sections and validated there.

    A preset is a table of sections that are laid over the suite's, and of `seeds` in the place of the suite's. What
    `slurm` has are options of sbatch, which change where runs happen and nothing of them.
    """

    name: FileName
    title: str
    summary: str = ""
    datasets: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(("nll",), min_length=1)
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    protocol: dict[str, Any] = {}
    prior: dict[str, dict[str, Any]] = {}
    regulariser: dict[str, dict[str, Any]] = {}
    dataset: dict[str, dict[str, Any]] = {}
    method: dict[str, dict[str, Any]] = {}
    preset: dict[FileName, dict[str, Any]] = {}
    published: tuple[Published, ...] = ()
    slurm: dict[str, str | int | float | bool] = {}

    @field_validator("published", mode="before")
    @classmethod
    def table_or_tables(cls, value: Any) -> Any:
        """`[published]` for one table of a paper, `[[published]]` for several."""
        return [value] if isinstance(value, dict) else value


@dataclass(frozen=True)
class Request:
    """What the command line asks of a suite.

    `datasets`, `methods` and `seeds` replace the suite's own where given (all that it names are expanded otherwise).
    """

    datasets: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    preset: str | None = None
    overrides: tuple[str, ...] = ()
    plugins: Mapping[Added, str] = field(default_factory=dict)  # a part to the SHA-256 of its file


def names() -> list[str]:
    """The suites that come with the project."""
    return [*catalogue.suites()]


def path_of(name: str) -> Path:
    """The file of a suite, by name or by the path itself."""
    return Path(name) if name.endswith(".toml") else catalogue.SUITES / f"{name}.toml"


def read(name: str) -> Suite:
    """A suite by name, or by the path of a TOML file; UsageError in one sentence."""
    path = path_of(name)
    if not name.endswith(".toml") and name not in names():
        raise unknown("suite", name, names())
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no suite file {cut(name)}.") from None
    except OSError as error:
        raise UsageError(f"The suite file {cut(name)} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of numbers with thousands of digits
        raise UsageError(f"{path.name} is not valid TOML: {in_line(str(error))}") from None
    return validated(Suite, {"name": path.stem, **content}, path.name)


def expand(suite: Suite, request: Request = Request()) -> list[Run]:
    """All runs of the suite, data set by data set, methods innermost so that a table fills evenly, seed by seed.

    Settings are laid over each other and validated once a cell, whatever its number of seeds, which share them.
    """
    check_names(suite, request)
    preset = preset_sections(suite, request.preset)
    seeds = _preset(suite, request.preset).get("seeds", suite.seeds)
    fewer = validated(Seeds, {"seeds": seeds}, f"{suite.name}: preset {request.preset}")
    given = [parse_override(text) for text in request.overrides]
    named = (f"preset {request.preset}: {', '.join(flat(_preset(suite, request.preset)))}",) if request.preset else ()
    trial = named + request.overrides
    first, *others = dict.fromkeys(request.seeds or fewer.seeds)
    chosen = data_of(suite, request)
    names = dict.fromkeys(request.methods or suite.methods)
    check_number(suite, len(chosen) * len(names) * (len(others) + 1))
    runs: list[Run] = []
    for dataset in chosen:
        rows = [_run(suite, dataset, first, name, (preset, *given), trial, request) for name in names]
        runs += rows
        runs += [row.model_copy(update={"seed": seed}) for seed in others for row in rows]
    return runs


def check_names(suite: Suite, request: Request) -> None:
    """Raises UsageError for a data set, method, metric or section that does not exist."""
    extra = resolved(suite.datasets, request.datasets)
    for name in (*suite.datasets, *extra):
        datasets.check(name)
    for name in (*suite.methods, *request.methods):
        if name not in suite.method and name not in methods.available():
            raise unknown("method", name, {*suite.method, *methods.available()})
    for name in suite.metrics:
        find(METRICS, name)
    for seed in request.seeds:
        if not 0 <= seed < 2**63:
            raise UsageError(f"--seeds {cut(str(seed))}: a seed is 0 or larger, and below 2**63.")
    sets = called(suite.datasets, extra)
    check_labels("data set", (one.label for one in sets))
    check_labels("method", (*suite.methods, *request.methods))
    for section, known in (("dataset", {name for one in sets for name in one}), ("method", None)):
        for name, content in getattr(suite, section).items():
            if known is not None and name not in known:
                raise UsageError(f"{suite.name}: section [{section}.{name}] names no {section} of the suite.")
            if section == "method" and content.get("like", "gaussian") not in methods.available():
                raise UsageError(
                    f"{suite.name}: [method.{name}]: {unknown('method', str(content['like']), methods.available())}"
                )
            defined = {"use", "like", "control"} & {*content} or name in (*suite.methods, *methods.available())
            if section == "method" and not defined:
                raise UsageError(f"{suite.name}: [method.{name}]: {unknown('method', name, suite.methods)}")
            for key in content:
                allowed = (*SECTIONS, "like", "use", "regularisers", "control") if section == "method" else SECTIONS
                if key not in allowed:
                    raise UsageError(f"{suite.name}: [{section}.{name}]: {unknown('key', key, allowed)}")


def data_of(suite: Suite, request: Request = Request()) -> list[Called]:
    """The data sets that are asked for, each once, or else the suite's own. A label of one of these is a name of it."""
    extra = resolved(suite.datasets, request.datasets)
    every = {one.asked: one for one in called(suite.datasets, extra)}
    by_label: dict[str, Called] = {}
    for name in extra or suite.datasets:
        by_label.setdefault(every[name].label, every[name])
    return list(by_label.values())


def sections_of(suite: Suite, dataset: Called) -> dict[str, Any]:
    """What the suite lays over its sections on a data set, which it names by either name."""
    return suite.dataset.get(dataset.asked, suite.dataset.get(dataset.label, {}))


def check_number(suite: Suite, runs: int) -> None:
    """Raises UsageError for more runs than anyone means."""
    if runs > MOST:
        raise UsageError(f"{suite.name}: that are {runs:,} runs, of {MOST:,} at most: take fewer seeds or methods.")


def parse_override(text: str) -> dict[str, Any]:
    """`training.epochs=5` as a nested table; the value is TOML, and a bare word is a string."""
    key, equals, value = text.partition("=")
    section = key.split(".")[0]
    if not equals or "." not in key or not text.isprintable():
        raise UsageError(
            f"--set {in_line(cut(text))}: write it as section.key=value, for example --set training.epochs=5."
        )
    if section not in SECTIONS:
        raise UsageError(f"--set {text}: {unknown('section', section, SECTIONS)}")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        parsed = value
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return parsed


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, table by table."""
    result = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merge(result[key], value) if nested else value
    return result


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as (dotted key, value)."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def flat(settings: Mapping[str, Any]) -> list[str]:
    """Nested settings as `training.epochs=5`."""
    return [f"{key}={value}" for key, value in leaves(settings)]


def check_sections(sections: Mapping[str, Any], where: str) -> None:
    """Raises UsageError for a section that does not exist or is no table, or settings of a part that does not."""
    for name, content in sections.items():
        if name not in SECTIONS:
            raise UsageError(f"{where}: {unknown('section', name, SECTIONS)}")
        if not isinstance(content, Mapping):
            raise UsageError(f"{where}: {name} = {content!r} is not valid: write {name}.key = value.")
    known: dict[str, Mapping[str, object]] = {"prior": PRIORS, "regulariser": REGULARISERS}
    for section in NAMED:
        for name, content in sections[section].items():
            if name not in known[section]:
                raise UsageError(f"{where}: {unknown(section, name, known[section])}")
            if not isinstance(content, Mapping):
                key = f"{section}.{name}"
                raise UsageError(f"{where}: {key} = {content!r} is not valid: write {key}.key = value.")


def definition(suite: Suite, method: str) -> tuple[methods.Method, dict[str, Any]]:
    """The catalogue's entry that a method starts from, by its own name or `like`, and what the suite lays over it."""
    own = dict(suite.method.get(method, {}))
    return methods.definition(own.pop("like", method)), own


def preset_sections(suite: Suite, name: str | None) -> dict[str, Any]:
    """What a preset lays over the suite's sections; UsageError for one that does not exist."""
    return {key: content for key, content in _preset(suite, name).items() if key != "seeds"}


def _preset(suite: Suite, name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in suite.preset:
        raise unknown("preset", name, suite.preset)
    return suite.preset[name]


def check_control(control: object, prior: object, where: str) -> None:
    """Raises UsageError for what names no control, or stands beside a prior."""
    if not isinstance(control, str) or (control and prior is not None):
        raise UsageError(f"{where}: control = {control!r} is not valid: it names a control, without a prior beside it.")
    if control:
        find(CONTROLS, control)


def _run(
    suite: Suite,
    dataset: Called,
    seed: int,
    method: str,
    above: Sequence[Mapping[str, Any]],
    trial: tuple[str, ...],
    request: Request,
) -> Run:
    own = {section: getattr(suite, section) for section in SECTIONS}
    catalogued, laid_over = definition(suite, method)
    where = f"{suite.name} ({method} on {dataset.label})"
    control = laid_over.pop("control", "")
    prior = laid_over.pop("use", None if control else catalogued.use)
    regularisers = laid_over.pop("regularisers", catalogued.regularisers)
    if not isinstance(prior, str | None):
        raise UsageError(f"{where}: use = {prior!r} is not valid: it names a registered prior.")
    check_control(control, prior, where)
    if not isinstance(regularisers, list | tuple) or not all(isinstance(name, str) for name in regularisers):
        raise UsageError(f"{where}: regularisers = {regularisers!r} is not valid: it is a list of names.")
    if len({*regularisers}) < len(regularisers):
        raise UsageError(f"{where}: regularisers = {regularisers!r} names one twice.")
    for layer in (catalogued.sections, sections_of(suite, dataset), laid_over, *above):
        own = merge(own, layer)
    check_sections(own, where)
    file = request.plugins.get(Added(PRIORS.kind, prior or ""))
    run = Run(
        suite=suite.name,
        dataset=dataset.label,
        source=dataset.asked if dataset.asked != dataset.label else "",
        method=method,
        seed=seed,
        control=control,
        prior=None if prior is None else prior_settings(prior, own["prior"].get(prior, {}), file),
        regularisers=tuple(regulariser_settings(name, own["regulariser"].get(name, {})) for name in regularisers),
        model=validated(ModelSettings, own["model"], f"{where}: model"),
        training=validated(TrainingSettings, own["training"], f"{where}: training"),
        protocol=validated(ProtocolSettings, own["protocol"], f"{where}: protocol"),
        metrics=suite.metrics,
        preset=request.preset or "",
        overrides=request.overrides,
        trial=trial,
    )
    return run.with_plugins(request.plugins)
