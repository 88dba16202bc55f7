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
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from priors.base import Host, Prior

GROUP = "priorbench.priors"
P = TypeVar("P", bound=type[Prior])

LONGEST = 200
"""Characters of an exception's text that are told."""

QUOTED = re.compile(r"""(['"])(?:[A-Za-z]:)?[/\\][^'"\n]*[/\\]([^'"/\\\n]+)\1""")
PATH = re.compile(r"""(?<![\w:/.\\])(?:[A-Za-z]:)?[/\\](?:[^\s'",;:()/\\]+[/\\])+([^\s'",;:()/\\]+)""")
"""Absolute paths, whose last part is their last group."""

NAME = re.compile(r"[^\W_][\w.+-]{0,79}")
"""Of a prior."""

_priors: dict[str, type[Prior]] = {}


class PluginError(ValueError):
    """A plug-in that cannot be found, imported, or that registers no prior."""


def register(name: str) -> Callable[[P], P]:
    """Names a prior: `@register("mine")` above its class.

    TypeError or ValueError for a name that is none: suites, tables and files are to have it.
    """
    if not isinstance(name, str):
        raise TypeError(f'a prior\'s name is a text, not {name!r}: write @register("name") above its class')
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no prior's name: it has 1 to 80 letters, digits, '-', '_', '+' and '.'")

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
    path = _existing(path)
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
    except BaseException as error:  # sys.exit() too: it would end the command as if all were well
        del sys.modules[module_name]
        _priors.clear()
        _priors.update(before)
        if isinstance(error, KeyboardInterrupt):
            raise
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
        except (Exception, SystemExit) as error:
            message = f"Entry point '{point.name}' ({point.value}) fails to import: {in_one_line(error)}"
            raise PluginError(message) from error


def _existing(path: str | Path) -> Path:
    """The plug-in's file, from the root; PluginError where there is none."""
    takes = "--plugin takes a Python file that registers a prior."
    try:
        path = Path(path).resolve()
        if path.is_dir():
            raise PluginError(f"Plug-in {path} is a folder: {takes}")
        if not path.is_file():
            raise PluginError(f"Plug-in {path} does not exist: {takes}")
    except (OSError, RuntimeError) as error:  # too long a name, or links in a circle
        raise PluginError(f"Plug-in {path} cannot be read ({in_one_line(error)}): {takes}") from None
    return path


def in_one_line(error: BaseException) -> str:
    """`ValueError: what went wrong`, or `ValueError` where it has no text.

    It is kept in tables that others read: of paths the file's name stays, and of long texts the beginning.
    """
    try:
        text = " ".join(_without_folders(str(error)).split())
    except Exception:  # an exception of somebody else's, whose text is an error of its own
        text = ""
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 3]}..."


def _without_folders(text: str) -> str:
    """Absolute paths, quoted or not, as the last of their parts; addresses of the web stay as they are.

    >>> _without_folders("No such file: '/home/a b/x.csv' or /tmp/y/z.py, see https://x.org/a/b and a/b/c")
    "No such file: 'x.csv' or z.py, see https://x.org/a/b and a/b/c"
    """
    return PATH.sub(r"\1", QUOTED.sub(r"\1\2\1", text))


@cache
def _import_own() -> None:
    """Imports the modules of this package, so that their priors register: a new prior is a new file, no list.

    Once a process: looking for files takes longer than all else that a suite's expansion does.
    """
    package = importlib.import_module("priors")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"priors.{module.name}")
