"""What there is to choose from, a line each: suites, methods, priors, regularisers, data sets and metrics."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import datasets
from benchmarks.config import methods, suite
from benchmarks.metrics import METRICS
from models.registry import PARTS
from priors.plugins import load_entry_points
from priors.registry import PRIORS


def everything() -> dict[str, dict[str, str]]:
    """Lines by name, by the title of their section. Priors of installed packages are among them."""
    load_entry_points()
    suites = {name: suite.read(name) for name in suite.names()}
    return {
        "suites": {name: f"{one.title}. {one.summary}" for name, one in suites.items()},
        "methods": {name: describe(methods.definition(name)) for name in methods.catalogue()},
        "priors (each that has a density is a method too: a VAE with it)": {
            name: first_line(prior) for name, prior in PRIORS.items()
        },
        "regularisers": {name: first_line(one) for name, one in PARTS["regulariser"].items()},
        "data sets": {name: one.summary for name, one in datasets.DATASETS.items()},
        "metrics": {name: one.summary for name, one in METRICS.items()},
    }


def describe(method: methods.Method) -> str:
    """Its title, source, what it is made of, and what it needs."""
    source = f" ({method.source})" if method.source else ""
    if method.use is None:
        return f"{method.title}{source}: no model"
    parts = " + ".join((method.model.get("type", "vae"), method.use, *method.regularisers))
    return f"{method.title}{source}: {parts}" + (f"; needs {method.needs}" if method.needs else "")


def first_line(thing: Callable[..., object] | type) -> str:
    """Of a docstring."""
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""
