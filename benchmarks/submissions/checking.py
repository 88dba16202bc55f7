"""A submission looked at from beginning to end: its form, the laws of the contract, and its numbers made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.cli import Selection, load_plugins, workspace_of
from benchmarks.common.errors import Mistake, UsageError
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request
from benchmarks.datasets import DataError
from benchmarks.laws.examination import examinations, tried
from benchmarks.runner import apart, campaign
from benchmarks.runner.executors import Resources
from benchmarks.submissions import comparing, faults, form, shown
from benchmarks.submissions.form import Claim
from benchmarks.submissions.found import Checked, content
from benchmarks.tables import ledger
from benchmarks.tables.ledger import Ledger

FEW = 5
"""Seeds that are made anew unless it is asked otherwise. On another machine, of twenty normal estimates, one edited
seed is found in half of all checks at 130 standard deviations over seeds where there are three, at 35 where there are
five; a claim that was moved as a whole at 12 and at 4 (simulated)."""

DIGITS = "digits"
"""The data set that needs no files: what is made anew where a claim has it, unless it is asked otherwise."""

SILENCE = 600.0
"""Seconds between two lines while a source is imported and tried by the laws, the slowest of which takes a tenth."""


def check(asked: Selection, path: Path, workers: int, console: Console) -> int:
    """Checks the submissions of a path, and writes what was found beside each; 1 where one does not hold."""
    found = form.found_at(path)
    if not found:
        shown.line(console, f"There is no submission in {path}.")
    results = []
    for file in found:
        checked = looked_at(asked, file, workers, console)
        shown.show(console, checked)
        target = file.with_name(f"{file.stem}{form.CHECKED}")
        form.write(content(checked, file), target)
        shown.line(console, f"{checked.name}: {checked.verdict}; {target}")
        results.append(checked)
    return 0 if all(one.well for one in results) else 1


def looked_at(asked: Selection, file: Path, workers: int, console: Console) -> Checked:
    """One submission. Its source is imported once its form has no fault, and in a process of its own."""
    claim, wrong = form.parsed(file.read_text(encoding="utf-8-sig", errors="replace"), file.name)
    wrong = wrong if claim is None else list(faults.of_files(claim, file))
    if claim is None or wrong:
        return Checked.faulty(file.stem, wrong)
    with TemporaryDirectory(prefix="priorbench-submission-") as folder:
        where = replace(asked, plugin=(file.with_name(claim.plugin.file),), results=Path(folder))
        try:
            return apart.done(partial(tried_anew, claim, file, where, workers), console, SILENCE)
        except apart.Ended as reason:
            return Checked.faulty(claim.name, [f"{claim.plugin.file} cannot be tried: {reason}"])


def tried_anew(claim: Claim, file: Path, where: Selection, workers: int, console: Console, ease: apart.Ease) -> Checked:
    """A claim without fault of form. where: its source, and an empty folder for its runs."""
    try:
        plugins = load_plugins(where.plugin)
    except Mistake as error:
        return Checked.faulty(claim.name, [str(error)])
    wrong = [*faults.of_parts(claim, plugins), *faults.of_runs(claim, file, plugins)]
    if wrong:
        return Checked.faulty(claim.name, wrong)
    chosen = suite.read(where.suite or faults.suite_of(claim, file))
    runs = shared(suite.expand(chosen, request_of(where, claim, plugins)), claim)
    if not runs:
        raise UsageError(
            f"Of what is asked for, {chosen.name} has no run that the claim of '{claim.name}' has: the claim is of "
            f"{claim.suite.name}, of {', '.join(faults.request_of(claim, plugins).datasets)} and of seeds "
            f"{claim.seeds[0]} to {claim.seeds[-1]}, with its own settings."
        )
    laws = examined(claim, where.data, console)
    made, failed, left_out = remade(runs, where, workers, console, ease)
    rows = comparing.rows(claim.entries(), made, failed)
    return Checked(claim.name, (), laws, chosen.name, sorted({run.seed for run in runs}), made, rows, left_out)


def examined(claim: Claim, data: Path, console: Console) -> dict[str, Any]:
    """How many laws each prior keeps, and which it breaks."""
    import torch

    torch.set_num_threads(1)  # all tensors are small: more threads would wait for each other
    found = {}
    for one in examinations([("prior", name) for name in claim.plugin.priors], (), data):
        verdicts = tried(one, console)
        kept = sum(verdict.outcome == "pass" for verdict in verdicts)
        found[one.trial.name] = {"kept": kept, "broken": [v.law.name for v in verdicts if v.outcome == "fail"]}
    return found


def request_of(asked: Selection, claim: Claim, plugins: faults.Plugins) -> Request:
    """What is made anew: data sets that are asked for, or digits, or else all claimed ones; a few of the seeds."""
    entries = claim.entries().values()
    names = dict.fromkeys(one.source for one in entries)
    datasets = asked.dataset or ((DIGITS,) if DIGITS in names else tuple(names))
    methods = asked.method or tuple(dict.fromkeys(one.method for one in entries if one.source in datasets))
    return Request(datasets, methods, asked.seeds or tuple(claim.seeds[:FEW]), plugins=plugins)


def shared(runs: Sequence[Run], claim: Claim) -> list[Run]:
    """Those of the runs that the claim has, with the metrics that it has of them. A name has the hash of all settings
    of a training, whichever suite asks for it."""
    own = [run for run in runs if run.name in claim.runs and run.evaluation == claim.runs[run.name].evaluation]
    return [run.model_copy(update={"metrics": tuple(claim.runs[run.name].metrics)}) for run in own]


def remade(
    runs: Sequence[Run], where: Selection, workers: int, console: Console, ease: apart.Ease
) -> tuple[Ledger, dict[str, str], str]:
    """(the runs made anew, why others failed by their names, what is wrong with data that are not here)."""
    workspace = workspace_of(where)
    if where.download:
        ease()
    try:
        wanted, problems = campaign.prepare(runs, workspace, skip=True)
    except DataError as error:
        return {}, {}, str(error)
    except Mistake as error:  # what cannot be built fails in every run
        return {}, {run.name: str(error) for run in runs}, ""
    ease()
    outcomes = campaign.carry_out(wanted, workspace, console, resources=Resources(workers))
    failed = {one.run.name: one.note for one in outcomes if one.status == "failed"}
    return ledger.entries(wanted, workspace, {}), failed, "; ".join(problems)
