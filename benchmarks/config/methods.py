"""The catalogue of methods: the rows of the papers' tables, each a combination of prior, model and regularisers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.common.settings import Settings, validated
from priors.registry import PRIORS

CATALOGUE = Path(__file__).parent / "methods.toml"


class Method(Settings):
    """One entry. use: the prior; without one the method is the data themselves. sections: what defines the method in a
    suite's sections, and nothing else: networks, data and budget are the suite's."""

    title: str
    source: str = ""
    needs: str = ""
    use: str | None = None
    regularisers: tuple[str, ...] = ()
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    prior: dict[str, dict[str, Any]] = {}
    regulariser: dict[str, dict[str, Any]] = {}

    @property
    def sections(self) -> Mapping[str, Mapping[str, Any]]:
        """Its settings, section by section."""
        sections = {name: getattr(self, name) for name in ("model", "training", "prior", "regulariser")}
        return {name: content for name, content in sections.items() if content}


@lru_cache
def catalogue() -> dict[str, Method]:
    """All entries of the file, in its order."""
    content = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return {name: validated(Method, entry, f"{CATALOGUE.name}: {name}") for name, entry in content.items()}


def available() -> list[str]:
    """The catalogue's methods, then the registered priors that it does not name, each a VAE with that prior."""
    return list(dict.fromkeys((*catalogue(), *PRIORS)))


def definition(name: str) -> Method:
    """The catalogue's entry, or a plain VAE with the prior of that name."""
    return catalogue().get(name) or Method(title=f"VAE with the prior {name}", use=name)
