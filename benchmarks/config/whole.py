"""All that a suite sets, whether its own runs use it or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.settings import validated
from benchmarks.config.published import numbers
from benchmarks.config.settings import ModelSettings, TrainingSettings, prior_settings, regulariser_settings
from benchmarks.config.suite import NAMED, SECTIONS, Request, Suite, check_sections, expand
from benchmarks.metrics.protocol import ProtocolSettings

SCHEMAS: dict[str, type[BaseModel]] = {
    "model": ModelSettings,
    "training": TrainingSettings,
    "protocol": ProtocolSettings,
}

OF_PART: dict[str, Callable[[str, dict[str, Any]], object]] = {
    "prior": prior_settings,
    "regulariser": regulariser_settings,
}


def check_whole(suite: Suite, request: Request) -> None:
    """Raises UsageError for a setting of a part, or of a section, that is none, though no run of the suite has it; for
    a paper without numbers, and for a preset that cannot be expanded."""
    for where, sections in layers(suite):
        known = {name: sections.get(name, {}) for name in SECTIONS}
        check_sections(known, where)
        for name, schema in SCHEMAS.items():
            validated(schema, known[name], f"{where}: {name}")
        for name in NAMED:
            for part, settings in known[name].items():
                OF_PART[name](part, dict(settings))
    for one in suite.published:
        if one.paper not in (papers := {*numbers()["paper"]}):
            raise UsageError(f"{suite.name}: published: {unknown('paper', one.paper, papers)}")
    for preset in suite.preset:
        expand(suite, Request(preset=preset, plugins=request.plugins))


def layers(suite: Suite) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The suite's own sections, and those of its data sets, methods and presets, each with what to call it."""
    yield suite.name, {name: getattr(suite, name) for name in SECTIONS}
    for kind in ("dataset", "method", "preset"):
        for name, sections in getattr(suite, kind).items():
            yield f"{suite.name}: [{kind}.{name}]", sections
