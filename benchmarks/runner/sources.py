"""What a run's estimates were made by: the sources that they depend on, and the versions of what computes them."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import benchmarks
import models
import priors
from benchmarks.config.settings import Run
from benchmarks.datasets import DATASETS
from benchmarks.metrics import METRICS
from priors.plugins import is_plugin
from priors.registry import PRIORS, REGISTRIES

PACKAGES = {package.__name__: Path(package.__path__[0]) for package in (priors, models, benchmarks)}
ROOT = "benchmarks.runner.execute"
"""What carries out a run: estimates depend on what it imports, on all metrics and data sets, which it
finds by name, and on all of `priors` and `models`."""

NUMBERS = ("torch", "numpy")
"""Packages whose version may move an estimate."""

MOST = 2000
"""Files of a third party's package that are looked at: more than any offers parts in."""


def maker(run: Run) -> dict[str, str]:
    """What would make the run's estimates now: `sources` and, of third parties' parts, `plugin`, each as a digest, and
    versions."""
    outside = outside_sources(run)
    return {"sources": own_sources(), **versions(), **({"plugin": outside} if outside else {})}


def outside_sources(run: Run) -> str | None:
    """Of all of the run's parts that are third parties', one digest; None where none is."""
    found = sorted({one for module in modules_of(run) if (one := plugin_sources(module))})
    return hashlib.sha256("".join(found).encode()).hexdigest()[:16] if found[1:] else next(iter(found), None)


def modules_of(run: Run) -> set[str]:
    """The modules that define the run's prior, regularisers, model parts, data set and metrics. A tensor that was
    handed to `train` has none."""
    known = {one.kind: one for one in REGISTRIES}
    parts = {(known[part.kind], part.name) for part in run.built}
    parts |= {(DATASETS, run.loader), *((METRICS, name) for name in run.metrics)}
    parts |= {(PRIORS, run.prior.name)} if run.prior else set()
    return {registry.module_of(name) for registry, name in parts if name in registry}


@lru_cache
def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in NUMBERS}


@lru_cache
def own_sources() -> str:
    """Of the project's own modules that estimates depend on."""
    parts = [path for name in ("priors", "models") for path in PACKAGES[name].rglob("*.py")]
    start = [module_file(name) for name in (ROOT, *METRICS.modules(), *DATASETS.modules())]
    return digest({*parts, *reached([path for path in start if path], PACKAGES)})


def foreign_files(run: Run, plugins: bool = False) -> list[Path]:
    """The files of the run's parts that are third parties', sorted; none where all are the project's.

    plugins: only those that `--plugin` brought, with what they import beside them, and no installed package's.
    """
    modules = [module for module in modules_of(run) if is_plugin(module) or not plugins]
    return sorted({path for module in modules for path in outside_files(module)})


@lru_cache
def plugin_sources(module: str) -> str | None:
    """Of a third party's part, by its module, one digest; None of one of ours."""
    files = outside_files(module)
    return digest(files) if files else None


@lru_cache
def outside_files(module: str) -> tuple[Path, ...]:
    """Of a third party's part, by its module: a plug-in's file with what it imports beside it, or a whole package."""
    package, file = module.partition(".")[0], getattr(sys.modules.get(module), "__file__", None)
    if package in PACKAGES or file is None:
        return ()
    path = Path(file)
    if module == package and path.name != "__init__.py":
        return tuple(reached([path], beside(path.parent)))
    return tuple(sorted(folder_of(package).rglob("*.py"))[:MOST])


def folder_of(package: str) -> Path:
    return Path(sys.modules[package].__file__ or sys.modules[package].__path__[0]).parent


def beside(folder: Path) -> dict[str, Path]:
    """The modules and packages of a folder by name, each with the folder or the file that it is."""
    files = {path.stem: path for path in folder.glob("*.py")}
    return files | {path.parent.name: path.parent for path in folder.glob("*/__init__.py")}


def reached(start: Iterable[Path], known: dict[str, Path]) -> set[Path]:
    """These files and all that they import, and so on, of the packages known; of one that imports from within itself,
    all of it. Imports inside functions do not count: they are of what draws, not of what computes."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            imports = imports_of(path)
            waiting += [file for node in imports for name in names(node) if (file := module_file(name, known))]
            waiting += path.parent.glob("*.py") if any(getattr(node, "level", 0) for node in imports) else ()
    return found


def imports_of(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """A file's imports at its top."""
    return [node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.Import | ast.ImportFrom)]


def names(node: ast.Import | ast.ImportFrom) -> tuple[str, ...]:
    """Modules that it may import: `from a import b` is of a, and of a.b where b is one. None of a relative one."""
    found = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        return tuple(found)
    return (node.module, *(f"{node.module}.{name}" for name in found)) if node.module and not node.level else ()


def module_file(name: str, known: dict[str, Path] = PACKAGES) -> Path | None:
    """The file of a module of the packages known."""
    first, *rest = name.split(".")
    place = known.get(first)
    if place is None:
        return None
    path = place.joinpath(*rest)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py", path) if file.is_file()), None)


def digest(paths: Iterable[Path]) -> str:
    """Of the files' names and contents, whatever the folder that they lie in."""
    total = hashlib.sha256()
    for content, name in sorted((path.read_bytes(), f"{path.parent.name}/{path.name}") for path in paths):
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()[:16]
