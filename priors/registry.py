"""The one place that knows priors by name.

A prior of this project registers by decorator. One of a third party does the same, in a file given by `--plugin FILE`
or in an installed package that declares an entry point in the group `priorbench.priors`.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from priors.base import Host, Prior

GROUP = "priorbench.priors"
P = TypeVar("P", bound=type[Prior])

_priors: dict[str, type[Prior]] = {}


class PluginError(ValueError):
    """A plug-in that cannot be found, imported, or that registers no prior."""


def register(name: str) -> Callable[[P], P]:
    """Names a prior: `@register("mine")` above its class."""

    def keep(prior: P) -> P:
        if not (isinstance(prior, type) and issubclass(prior, Prior)):
            raise TypeError(f"'{name}' must be a subclass of priors.Prior, not {prior!r}")
        previous = _priors.get(name)
        if previous and (previous.__module__, previous.__qualname__) != (prior.__module__, prior.__qualname__):
            raise ValueError(f"A prior named '{name}' is registered already, by {previous.__module__}")
        _priors[name] = prior
        return prior

    return keep


def available() -> dict[str, type[Prior]]:
    """All registered priors by name."""
    _import_own()
    return dict(sorted(_priors.items()))


def find(name: str) -> type[Prior]:
    """The prior's class; ValueError with the near name for an unknown one."""
    priors = available()
    if name in priors:
        return priors[name]
    raise ValueError(f"Unknown prior '{name}'. {_near(name, priors)}Available: {', '.join(priors)}.")


def _near(name: str, known: Iterable[str]) -> str:
    """The sentence that offers the near name, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"Did you mean '{near[0]}'? " if near else ""


def make(name: str, host: Host, **settings: Any) -> Prior:
    """Builds the prior `name` for `host`; ValueError for a setting that it does not have."""
    prior = find(name)
    known = settings_of(prior)
    for key in settings:
        if key not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"Prior '{name}' has no setting '{key}'. {_near(key, known)}It has: {names}.")
    return prior(host, **settings)


def settings_of(prior: type[Prior]) -> dict[str, inspect.Parameter]:
    """The keyword settings of a prior's constructor, with annotations evaluated."""
    parameters = list(inspect.signature(prior.__init__, eval_str=True).parameters.values())[2:]  # self, host
    return {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def load_plugin(path: str | Path) -> tuple[str, ...]:
    """Imports a file that registers priors and returns the names that it added; PluginError in one sentence."""
    path = Path(path).resolve()
    if not path.is_file():
        raise PluginError(f"Plug-in {path} does not exist: --plugin takes a Python file that registers a prior.")
    before = available()
    module_name = f"priorbench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if module_name in sys.modules:
        return tuple(name for name, prior in before.items() if prior.__module__ == module_name)
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"Plug-in {path} is not a Python file (its name must end in .py).")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        _priors.clear()
        _priors.update(before)
        raise PluginError(f"Plug-in {path} fails to import: {in_one_line(error)}") from error
    added = tuple(sorted(_priors.keys() - before.keys()))
    if not added:
        raise PluginError(f'Plug-in {path} registers no prior: put @register("name") above its class.')
    return added


def load_entry_points() -> None:
    """Imports every installed package that offers priors; PluginError names the one that fails."""
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            message = f"Entry point '{point.name}' ({point.value}) fails to import: {in_one_line(error)}"
            raise PluginError(message) from error


def in_one_line(error: Exception) -> str:
    """`ValueError: what went wrong`."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@cache
def _import_own() -> None:
    """Imports the modules of this package, so that their priors register: a new prior is a new file, no list.

    Once a process: looking for files takes longer than all else that a suite's expansion does.
    """
    package = importlib.import_module("priors")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"priors.{module.name}")
