"""From finished runs to a claim. Nothing is run here: what is missing is told, with the command that runs it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cli import Selection, workspace_of
from benchmarks.common.errors import UsageError
from benchmarks.common.files import digest_of
from benchmarks.common.names import check_flag
from benchmarks.common.started import program
from benchmarks.config import suite
from benchmarks.config.declared import first_line
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.sources import foreign_files
from benchmarks.runner.workspace import Workspace
from benchmarks.submissions import form
from benchmarks.tables import ledger
from priors.registry import PRIORS


def write(asked: Selection, out: Path | None) -> Path:
    """Writes the claim with its sources, and gives its folder. UsageError for what cannot be claimed."""
    refuse(asked)
    (plugin,) = asked.plugin
    request, workspace, chosen = asked.request(), workspace_of(asked), suite.read(asked.suite)
    priors = {part.name: first_line(PRIORS[part.name].__doc__) for part in request.plugins if part.kind == PRIORS.kind}
    usual = usual_name(plugin, priors)
    name = asked.name or usual
    check_flag("--name", name)
    runs = claimed(chosen, request, priors, digest_of(plugin))
    check_one_file(runs, plugin)
    check_finished(runs, asked, workspace)
    own = chosen if asked.suite.endswith(".toml") else None
    text = content(name, priors, plugin, chosen.name, Path(asked.suite).name if own else "")
    text |= ledger.packed(ledger.entries(runs, workspace, {}))
    folder = out or asked.results / "submissions" / name
    sources = {folder / f"{name}.py": plugin} | ({folder / Path(asked.suite).name: Path(asked.suite)} if own else {})
    check_place(folder, name, priors, sources)
    put(text, folder, name, sources)
    return folder


def refuse(asked: Selection) -> None:
    """UsageError for flags with which nothing is claimed."""
    if not asked.suite:
        raise UsageError("Name the suite that the prior was run on, with --suite, or a submission with --check.")
    if len(asked.plugin) != 1:
        raise UsageError(f"A submission is of one file, and {len(asked.plugin)} are given: name it with --plugin FILE.")
    trial = (*((f"--preset {asked.preset}",) if asked.preset else ()), *(f"--set {one}" for one in asked.set))
    if trial:
        raise UsageError(
            f"{', '.join(trial)}: a trial is no submission, as its settings are not the suite's and stand beside no "
            "other prior's; leave that out, or write a suite of your own, which is submitted with the claim."
        )


def usual_name(plugin: Path, priors: dict[str, str]) -> str:
    """The prior's, or the file's where it registers several."""
    if not priors:
        raise UsageError(f"{plugin} registers no prior: a submission is of a prior.")
    return next(iter(priors)) if len(priors) == 1 else plugin.stem


def claimed(chosen: Suite, request: Request, priors: dict[str, str], sha256: str) -> list[Run]:
    """The runs of the plug-in's methods: those of the suite, or else each prior by its name; with --method, these."""
    runs = suite.expand(chosen, request)
    if not request.methods and not any(uses(run, sha256) for run in runs):
        runs = suite.expand(chosen, Request(request.datasets, (*priors,), request.seeds, plugins=request.plugins))
    if others := {run.method for run in runs if not uses(run, sha256)} & {*request.methods}:
        raise UsageError(f"--method {', '.join(sorted(others))}: of another's parts; a claim is of the plug-in's own.")
    if missing := sorted({*chosen.seeds} - {run.seed for run in runs}):
        raise UsageError(
            f"--seeds leaves out {', '.join(map(str, missing))}: a claim has all seeds of its suite, so that none are "
            "chosen by what came out."
        )
    return [run for run in runs if uses(run, sha256)]


def uses(run: Run, sha256: str) -> bool:
    """Is the run's prior, or another of its parts, of the file with this SHA-256?"""
    return sha256 in (run.prior and run.prior.plugin, *run.plugins.values())


def check_one_file(runs: Sequence[Run], plugin: Path) -> None:
    """UsageError where the runs depend on more files of third parties than the one that is submitted."""
    others = {path.name for run in runs for path in foreign_files(run)} - {plugin.resolve().name}
    if others:
        raise UsageError(
            f"{plugin} needs {', '.join(sorted(others))}: a submission is one file, with all that it needs."
        )


def check_finished(runs: Sequence[Run], asked: Selection, workspace: Workspace) -> None:
    """UsageError with the reason and the command where runs are not finished."""
    missing = [run for run in runs if not workspace.done(run)]
    if not missing:
        return
    why = next(filter(None, (instead(run, workspace) for run in missing)), "")
    raise UsageError(
        f"{len(missing)} of {len(runs)} runs are not finished in {asked.results}{why}. `{command(asked, missing)}` "
        "runs them."
    )


def instead(run: Run, workspace: Workspace) -> str:
    """What is there in a run's place, if that says why it is not: runs of the plug-in as it was, or trials."""
    for settings in others(run, workspace):
        prior = settings.get("prior") or {}
        if run.prior and prior.get("plugin") and prior["plugin"] != run.prior.plugin:
            return (
                f": the plug-in has changed since, as the runs there are of a file with SHA-256 {prior['plugin'][:16]} "
                f"and this one has {str(run.prior.plugin)[:16]}"
            )
        if trial := settings.get("trial"):
            return f": what is there is a trial ({', '.join(trial)}), whose settings are not the suite's"
    return ""


def others(run: Run, workspace: Workspace) -> Iterator[dict[str, Any]]:
    """The settings of the finished runs of the same method, data set and seed."""
    stem = run.name.removesuffix(run.hash8)
    for path in sorted((workspace.results / "runs" / run.suite).glob("*/done")):
        if path.parent.name.startswith(stem) and path.parent.name != run.name:
            with suppress(Damaged):
                yield Record(path.parent).read("config.json") or {}


def command(asked: Selection, missing: Sequence[Run]) -> str:
    """What runs these."""
    words = ["--suite", asked.suite, "--plugin", str(asked.plugin[0])]
    words += ["--method", *dict.fromkeys(run.method for run in missing)]
    words += ["--dataset", *dict.fromkeys(run.asked for run in missing)]
    if asked.seeds:
        words += ["--seeds", *map(str, dict.fromkeys(run.seed for run in missing))]
    usual = {field: Selection.__dataclass_fields__[field].default for field in ("results", "data")}
    for field, value in usual.items():
        if getattr(asked, field) != value:
            words += [f"--{field}", str(getattr(asked, field))]
    return f"{program('run')} {shlex.join(words)}"


def content(name: str, priors: dict[str, str], plugin: Path, suite_name: str, suite_file: str) -> dict[str, Any]:
    """What a claim has beside its runs."""
    return {
        "format": form.FORMAT,
        "name": name,
        "summary": next(iter(priors.values())),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "plugin": {"file": f"{name}.py", "sha256": digest_of(plugin), "priors": priors},
        "suite": {"name": suite_name, "file": suite_file},
    }


def check_place(folder: Path, name: str, priors: Collection[str], sources: Mapping[Path, Path]) -> None:
    """UsageError where the folder has another's claim, or files of these names that are of no claim."""
    for path in form.claims_in(folder):
        if path.stem != name or form.priors_of(path) not in ({*priors}, set()):
            raise UsageError(
                f"{path} is there, another claim, and a folder has one: name the submission otherwise with --name, or "
                "another folder with --out."
            )
    if not (folder / f"{name}{form.CLAIM}").is_file():
        for target, source in sources.items():
            if target.exists() and target.read_bytes() != source.read_bytes():
                raise UsageError(
                    f"{target} is there and of no submission: move it away, or name another folder with --out."
                )


def put(text: dict[str, Any], folder: Path, name: str, sources: Mapping[Path, Path]) -> None:
    """Claim, source and, where it is the author's own, suite. What was found of an earlier claim goes."""
    folder.mkdir(parents=True, exist_ok=True)
    for target, source in sources.items():
        if target.resolve() != source.resolve():
            shutil.copyfile(source, target)
    (folder / f"{name}{form.CHECKED}").unlink(missing_ok=True)
    form.write(text, folder / f"{name}{form.CLAIM}")
