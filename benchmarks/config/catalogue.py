"""What there is to choose from, a line each: suites, methods, priors, regularisers, data sets and metrics.

Nothing of ours is imported for it but where an installed package brings parts of its own: importing all takes seconds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.common.errors import unknown
from benchmarks.config import methods
from benchmarks.config.declared import declared, first_line
from priors.plugins import entry_points, load_entry_points

SUITES = Path(__file__).parent / "suites"


def everything(plugins: bool = False) -> dict[str, dict[str, str]]:
    """Lines by name, by the title of their section. Parts of installed packages are among them, and with `plugins`
    those that have registered."""
    parts = imported() if plugins or entry_points() else own()
    return {
        "suites": {name: titled(path) for name, path in suites().items()},
        "methods": {name: describe(one) for name, one in methods.catalogue().items()},
        "priors (each that has a density is a method too: a VAE with it)": parts["prior"],
        "regularisers": parts["regulariser"],
        "data sets": parts["data set"],
        "metrics": parts["metric"],
    }


def section(word: str, sections: Mapping[str, object]) -> str:
    """The title of the section that a word means, or "papers"; UsageError with the near one."""
    words = {title.partition(" (")[0].replace(" ", ""): title for title in sections} | {"papers": "papers"}
    if word not in words:
        raise unknown("section", word, words)
    return words[word]


def lines(sections: Mapping[str, Mapping[str, str]], chosen: str = "") -> Iterator[str]:
    """What `list` prints of one section, or of all."""
    for title, entries in sections.items():
        if chosen in ("", title):
            yield title
            yield from (f"  {name:24} {line}" for name, line in entries.items())


def suites() -> dict[str, Path]:
    """The files of the suites that come with the project, by name."""
    return {path.stem: path for path in sorted(SUITES.glob("*.toml"))}


def titled(path: Path) -> str:
    """A suite's title and summary."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return f"{content['title']}. {content.get('summary', '')}"


def own() -> dict[str, dict[str, str]]:
    """The project's parts by kind, read from its sources; in the order that each registry has."""
    return {
        "prior": in_order(declared("priors", "register")),
        "regulariser": in_order(declared("models/regularisers", "REGULARISERS.register")),
        "data set": in_order(declared("benchmarks/datasets", "register")),
        "metric": declared("benchmarks/metrics", "metric", "metric_of_data"),
    }


def in_order(lines: dict[str, str]) -> dict[str, str]:
    """Sorted by name."""
    return dict(sorted(lines.items()))


def imported() -> dict[str, dict[str, str]]:
    """All parts by kind, those of installed packages too, as the registries have them."""
    from benchmarks.datasets import DATASETS  # with torch and more: see above
    from benchmarks.metrics import METRICS
    from models.regularisers import REGULARISERS
    from priors.registry import PRIORS

    load_entry_points()
    lines = {one.kind: {name: entry.summary for name, entry in one.items()} for one in (DATASETS, METRICS)}
    for one in (PRIORS, REGULARISERS):
        lines[one.kind] = {name: first_line(part.__doc__) for name, part in one.items()}
    return lines


def describe(method: methods.Method) -> str:
    """Its title, source, what it is made of, and what it needs."""
    source = f" ({method.source})" if method.source else ""
    if method.use is None:
        return f"{method.title}{source}: no model"
    parts = " + ".join((method.model.get("type", "vae"), method.use, *method.regularisers))
    return f"{method.title}{source}: {parts}" + (f"; needs {method.needs}" if method.needs else "")
