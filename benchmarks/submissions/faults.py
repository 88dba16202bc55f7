"""What is wrong with a claim before anything is run: its files, and its runs beside what the suite asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from benchmarks.common.errors import Mistake
from benchmarks.common.files import digest_of
from benchmarks.common.settings import validated
from benchmarks.config import suite
from benchmarks.config.declared import first_line
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, leaves
from benchmarks.metrics import METRICS
from benchmarks.submissions.claiming import uses
from benchmarks.submissions.form import Claim
from benchmarks.tables.ledger import Entry, Ledger
from priors.plugins import Added
from priors.registry import PRIORS

Plugins = Mapping[Added, str]


def of_files(claim: Claim, file: Path) -> Iterator[str]:
    """Names, and the source file beside the claim. A sentence each; nothing is imported."""
    if file.stem != claim.name:
        yield f"{file.name}: it is called '{claim.name}' inside: name the file {claim.name}.json."
    source = file.with_name(claim.plugin.file)
    if not source.is_file():
        yield f"{source.name} is not beside {file.name}: a claim comes with the file that it is of."
    elif (found := digest_of(source)) != claim.plugin.sha256:
        yield (
            f"{source.name} is not the file that the claim is of: its SHA-256 is {found[:16]}..., and the claim has "
            f"{claim.plugin.sha256[:16]}...; run it anew and submit again."
        )


def of_parts(claim: Claim, plugins: Plugins) -> Iterator[str]:
    """Does the file register the priors that the claim names?"""
    there = {part.name: first_line(PRIORS[part.name].__doc__) for part in plugins if part.kind == PRIORS.kind}
    for name, summary in claim.plugin.priors.items():
        if name not in there:
            registers = ", ".join(there) or "none"
            yield f"{claim.plugin.file} registers no prior '{name}', which the claim names: it registers {registers}."
        elif there[name] != summary:
            yield f"The claim's line on '{name}' is not the first of its docstring."


def of_runs(claim: Claim, file: Path, plugins: Plugins) -> Iterator[str]:
    """Are the runs those that the suite asks for, all of its seeds, and with all of its metrics?"""
    entries, runs = claim.entries(), dict[str, Run]()
    for name, entry in entries.items():
        try:
            runs[name] = validated(Run, {**entry.settings, "seed": entry.seed}, name)
        except Mistake as error:
            yield str(error)
    if len(runs) < len(entries):
        return
    try:
        chosen = suite.read(suite_of(claim, file))
        asked = {run.name: run for run in suite.expand(chosen, request_of(claim, plugins))}
    except Mistake as error:
        yield f"The claim's suite cannot be asked for its runs: {error}"
        return
    if chosen.name != claim.suite.name:
        yield f"The claim is of the suite '{claim.suite.name}', and its file is of '{chosen.name}'."
    for name, run in runs.items():
        yield from of_run(name, run, entries[name], claim, asked)
    yield from of_seeds(runs.values(), chosen.seeds)


def of_seeds(runs: Collection[Run], seeds: Collection[int]) -> Iterator[str]:
    """Are all seeds of the suite there, of each method on each data set?"""
    for dataset, method in dict.fromkeys((run.dataset, run.method) for run in runs):
        there = {run.seed for run in runs if (run.dataset, run.method) == (dataset, method)}
        for seed in sorted({*seeds} - there):
            yield f"Seed {seed} of {method} on {dataset} is missing: a claim has all seeds of its suite."


def of_run(name: str, own: Run, entry: Entry, claim: Claim, asked: Mapping[str, Run]) -> Iterator[str]:
    """One run. Its name has the hash of all that its training depends on."""
    if own.trial or own.preset or own.overrides:
        yield f"{name}: it is a trial ({', '.join(own.trial or own.marks)}), and no claim is of one."
    elif not uses(own, claim.plugin.sha256):
        yield f"{name}: no part of it is of {claim.plugin.file}, whose claim this is."
    elif own.name != name:
        yield f"{name}: its settings are those of {own.name}."
    elif name not in asked or asked[name].metrics != own.metrics or asked[name].evaluation != own.evaluation:
        yield f"{name}: {differing(own, asked)}."
    elif entry.evaluation != own.evaluation:
        yield f"{name}: the hash of its evaluation is not that of its settings."
    else:
        yield from of_metrics(name, own, entry)


def of_metrics(name: str, own: Run, entry: Entry) -> Iterator[str]:
    """Are a run's metrics those that the suite asks for?"""
    for metric in sorted({*entry.metrics} - {*own.metrics}):
        yield f"{name}: the metric {metric} is none that the suite asks for."
    if entry.training.get("status") == "ok":
        for metric in sorted({*own.metrics} - {*entry.metrics}):
            if not METRICS[metric].inception:
                yield f"{name}: the metric {metric}, which the suite asks for, is left out."


def suite_of(claim: Claim, file: Path) -> str:
    """The suite as a command is asked for it."""
    return str(file.with_name(claim.suite.file)) if claim.suite.file else claim.suite.name


def request_of(claim: Claim, plugins: Plugins) -> Request:
    """The runs of the claim's data sets, methods and seeds."""
    entries: Ledger = claim.entries()
    datasets = tuple(dict.fromkeys(one.source for one in entries.values()))
    methods = tuple(dict.fromkeys(one.method for one in entries.values()))
    return Request(datasets, methods, tuple(claim.seeds), plugins=plugins)


def differing(own: Run, asked: Mapping[str, Run]) -> str:
    """The first setting in which the suite's run of the same method, data set and seed is another."""
    cell = (own.dataset, own.method, own.seed)
    theirs = next((run for run in asked.values() if (run.dataset, run.method, run.seed) == cell), None)
    if theirs is None:
        return f"the suite has no {own.method} on {own.dataset} with seed {own.seed}"
    here, there = (dict(leaves(run.model_dump(mode="json"))) for run in (own, theirs))
    key = next(key for key in there if here.get(key) != there[key])
    return f"its settings are not the suite's: {key} is {here.get(key)}, and the suite has {there[key]}"
