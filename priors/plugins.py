"""Parts of third parties: a file given by `--plugin FILE`, or an installed package that declares an entry point.

Either registers parts of any kind as it is imported. Where one fails, all registries are as they were before it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from priors import registry
from priors.wording import Mistake, in_one_line

GROUPS = ("priorbench.plugins", "priorbench.priors")
"""Of entry points: modules that register parts of any kind; the second name is older."""


class PluginError(Mistake):
    """A plug-in that cannot be found, imported, or that registers nothing."""


class PluginWarning(UserWarning):
    """An installed package offers parts and cannot be imported: all that need none of them goes on without."""


class Added(NamedTuple):
    """A part that a plug-in has registered."""

    kind: str
    name: str


_loaded: dict[str, tuple[Added, ...]] = {}
"""What files have registered, by the module that each became."""

_told: list[importlib.metadata.EntryPoint] = []
"""Entry points that this process has warned of."""


def load_plugin(path: str | Path) -> tuple[Added, ...]:
    """Imports a file that registers parts and returns these; PluginError in one sentence.

    A second time it is not imported again.
    """
    path = _existing(path)
    module = f"priorbench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if module not in sys.modules or module not in _loaded:
        before = {*_parts()}
        _import(path, module)
        _loaded[module] = tuple(sorted({*_parts()} - before))
    if not _loaded[module]:
        raise PluginError(f"Plug-in {path} registers nothing: put {_decorators()} above a definition.")
    return _loaded[module]


@contextmanager
def forgotten() -> Iterator[None]:
    """What is loaded within is imported again when it is next asked for: beside `registry.unchanged`, for files of
    which each is looked at by itself."""
    before = {*_loaded}
    try:
        yield
    finally:
        for module in {*_loaded} - before:
            del _loaded[module]
            sys.modules.pop(module, None)


def load_entry_points(warn: bool = True) -> None:
    """Imports every installed package that offers parts. One that fails is somebody else's, which need not be of use
    here: a PluginWarning names it, once a process, and the others are there. warn: False where it was told before, by
    the process that started this one."""
    for point in entry_points():
        try:
            with _all_or_nothing():
                point.load()
        except (Exception, SystemExit) as error:
            if warn and point not in _told:
                message = f"The installed package that offers '{point.name}' ({point.value}) is left out, as it "
                message += f"fails to import: {in_one_line(error)}; mend or uninstall it."
                warnings.warn(message, PluginWarning, stacklevel=2)
                _told.append(point)


def is_plugin(module: str) -> bool:
    """Is the module a file that was given as a plug-in?"""
    return module in _loaded


def plugin_paths() -> list[Path]:
    """The files that are plug-ins of this process, in the order in which they were given."""
    return [Path(str(sys.modules[module].__file__)) for module in _loaded if module in sys.modules]


def entry_points() -> list[importlib.metadata.EntryPoint]:
    """Those of installed packages that offer parts; imports nothing."""
    return [one for group in GROUPS for one in importlib.metadata.entry_points(group=group)]


def _import(path: Path, name: str) -> None:
    """Makes the file a module of this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"Plug-in {path} is not a Python file (its name must end in .py).")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _all_or_nothing():
            spec.loader.exec_module(sys.modules[name])
    except BaseException as error:  # sys.exit() too: it would end the command as if all were well
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError(f"Plug-in {path} fails to import: {in_one_line(error)}") from error


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """What is registered within stays only if nothing is raised."""
    before = registry.states()
    try:
        yield
    except BaseException:
        registry.put_back(before)
        raise


def _parts() -> Iterator[Added]:
    """All parts of third parties."""
    return (Added(one.kind, name) for one in registry.REGISTRIES for name in one.foreign())


def _decorators() -> str:
    """How parts of the kinds known to this process register."""
    *others, last = dict.fromkeys(one.decorator for one in registry.REGISTRIES)
    return f"{', '.join(others)} or {last}" if others else last


def _existing(path: str | Path) -> Path:
    """The plug-in's file, from the root; PluginError where there is none."""
    takes = "--plugin takes a Python file that registers a prior or another part."
    try:
        path = Path(path).resolve()
        if path.is_dir():
            raise PluginError(f"Plug-in {path} is a folder: {takes}")
        if not path.is_file():
            raise PluginError(f"Plug-in {path} does not exist: {takes}")
    except (OSError, RuntimeError) as error:  # too long a name, or links in a circle
        raise PluginError(f"Plug-in {path} cannot be read ({in_one_line(error)}): {takes}") from None
    return path
