"""The command `python -m benchmarks.tune`: the best settings of a method, found on validation images."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import optuna
import pandas as pd
import tomli_w
import tyro
from loky import ProcessPoolExecutor
from loky.process_executor import TerminatedWorkerError
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import display, pictures, run, suite, table
from benchmarks.datasets import DataError
from benchmarks.errors import UsageError, unknown
from benchmarks.execute import prepare_worker
from benchmarks.executors.local import interrupts_ignored, start_worker
from benchmarks.record import write_atomically
from benchmarks.run import STYLE, Several, named
from benchmarks.settings import Run, digest, slug
from benchmarks.study import (
    OBJECTIVES,
    STATUS,
    Tuning,
    ValidationPlace,
    as_overrides,
    parse_range,
    rehearse,
    searched,
    settings_of,
    tidy,
    work,
)
from benchmarks.suite import Request, Suite
from priors.registry import PluginError
from priors.space import Choice, Range

EDGE = 0.03
"""Height above the axis, as a share of the plot, of the marks of trials without a figure."""


@dataclass(frozen=True)
class Command:
    """Tunes methods of a suite on its validation images; test images take no part.

    What is searched: the ranges that the method's prior and regularisers declare, but for what makes the method what it
    is (the catalogue's settings, the suite's [method.NAME], and what --set gives). The first trial is the suite's own
    settings. One objective: unpromising trials are cut short where the validation loss tells. Two: the trials that no
    other beats in both, and none is cut short.

    RESULTS/studies/SUITE-DATASET-METHOD.toml is a suite with the best settings, for `python -m benchmarks.run --suite`;
    beside it are the trials (.csv), their history and the settings' importance (.png), and the study itself (.db).
    After Ctrl-C or a crash the same command goes on. Copies of it, on any machine that reaches the --storage, join in.

    For example:
      python -m benchmarks.tune --suite quickstart --method vampprior
      python -m benchmarks.tune --suite quickstart --method vampprior mixture --trials 50 --workers 2
      python -m benchmarks.tune --suite quickstart --method pullback --objective nll fd --set training.epochs=50
      python -m benchmarks.tune --suite quickstart --method gaussian --space training.lr=1e-4:1e-2:log
    """

    suite: Annotated[str, named("NAME")]
    """Name of a suite (`python -m benchmarks.run list`), or path of a TOML file."""
    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Methods, tuned in turn, each by equally many trials (default: all of the suite's that have something to tune)."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Data sets, each with a study of its own (default: the suite's)."""
    objective: Annotated[tuple[str, ...], named("NAME ...")] = ("nll",)
    """nll: -ln p(x) in nats an image. fd: Frechet distance of generated images in a classifier's features. Or both."""
    trials: Annotated[int, named("N")] = 30
    """Trials of the whole study, those of earlier commands included; what fails counts."""
    space: Annotated[tuple[str, ...], Several, named("KEY=LOW:HIGH")] = ()
    """Search this too, or in this range: --space prior.vampprior.components=10:500:log, --space training.lr=1e-4:1e-2,
    --space prior.pullback.penalty=wgan-gp,wgan-div-1. May be repeated."""
    seeds: Annotated[tuple[int, ...], named("SEED ...")] = ()
    """Seeds whose mean figure is a trial's (default: the suite's first)."""
    samples: Annotated[int, named("K")] = 500
    """Importance samples an image of the objective nll."""
    preset: Annotated[str | None, named("NAME")] = None
    """A smaller budget that the suite offers."""
    set: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """Fix a setting for all trials: --set training.epochs=50. What is fixed is not searched. May be repeated."""
    name: Annotated[str | None, named("NAME")] = None
    """Begins the studies' names, in the place of the suite's."""
    storage: Annotated[str | None, named("URL")] = None
    """A database for studies that several machines share, as postgresql://HOST/NAME (default: a SQLite file each)."""
    workers: int = 1
    """Processes at once, one thread each. With one the trials are the same each time."""
    data: Path = Path(os.environ.get("PRIORBENCH_DATA", "data"))
    """Folder of the data sets (environment: PRIORBENCH_DATA)."""
    results: Path = Path("results")
    """Folder of the results."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers priors. May be repeated."""
    download: bool = False
    """Fetch missing data sets."""
    any_checksum: bool = False
    """Accept data files that are not the published ones."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 every study has a best trial, 1 one has none, 2 wrong usage, 130 stopped by Ctrl-C."""
    try:
        command = tyro.cli(Command, args=arguments, prog="python -m benchmarks.tune", config=STYLE)
        return tune(command, Console())
    except (UsageError, DataError, PluginError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TerminatedWorkerError:
        print("error: A worker was killed (for its memory?): the same command goes on; try fewer.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


def tune(command: Command, console: Console) -> int:
    """One study after another, each written when it ends; then the methods of a data set as one suite."""
    chosen = suite.read(command.suite)
    tunings = prepare(command, chosen, console)
    ended = []
    for tuning in tunings:
        study = tuning.begin()
        introduce(console, tuning, study)
        try:
            with View(console, tuning, study).watch():
                carry_out(tuning, command.workers)
        finally:
            ended.append(Ended(tuning, tidy(study, tuning.trials)))
            conclude(console, ended[-1])
    for dataset in dict.fromkeys(one.tuning.dataset for one in ended):
        together = [one for one in ended if one.best and one.tuning.dataset == dataset]
        if len(together) > 1:
            name = study_name(command, chosen, dataset, *(one.tuning.method for one in together))
            write_suite(together, together[0].tuning.place.results / f"{name}.toml")
            console.print(f"these methods as one suite: {name}.toml", highlight=False, markup=False, soft_wrap=True)
    return 0 if all(one.best for one in ended) else 1


# Before the first trial


def prepare(command: Command, chosen: Suite, console: Console) -> list[Tuning]:
    """Every study, with all checked that can be before hours of work."""
    check(command)
    plugins, place = run.load_plugins(command.plugin), make_place(command)
    extra, known, tunings = dict(map(parse_range, command.space)), set(), []
    overrides = (*command.set, f"protocol.samples=[{command.samples}]")
    for dataset in dict.fromkeys(command.dataset or chosen.datasets):
        for method in dict.fromkeys(command.method or chosen.methods):
            seeds = command.seeds or chosen.seeds[:1]
            request = Request((dataset,), (method,), seeds, command.preset, overrides, plugins)
            base = suite.expand(chosen, request)[0]
            known |= settings_of(base).keys()
            space = searched(chosen, request, base, extra)
            if space:
                tunings.append(one_study(command, chosen, request, space, place, base))
            elif command.method:
                raise UsageError(f"{method} on {dataset} has nothing to tune: name settings with --space KEY=LOW:HIGH.")
            else:
                console.print(f"left out: {method}, which has nothing to tune", style="yellow", highlight=False)
    for key in extra.keys() - known:
        raise unknown("setting", key, known)
    return tunings


def check(command: Command) -> None:
    """Raises UsageError for a number or an objective that cannot be."""
    for flag in ("trials", "workers", "samples"):
        if getattr(command, flag) < 1:
            raise UsageError(f"--{flag} {getattr(command, flag)}: it is 1 or larger.")
    for name in command.objective:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)


def make_place(command: Command) -> ValidationPlace:
    """Where trials happen: in a folder of their own, on validation images."""
    shared = {field.name: getattr(command, field.name) for field in fields(run.Command) if hasattr(command, field.name)}
    place = run.make_place(run.Command(**shared))
    run.check_writable(command.results)
    return ValidationPlace(command.results / "studies", place.data, place.device, place.options, place.plugins)


def one_study(
    command: Command, chosen: Suite, request: Request, space: dict[str, Range], place: ValidationPlace, base: Run
) -> Tuning:
    """A method's study on a data set; UsageError where an objective is undefined or the ends of a range are no valid
    settings."""
    name = study_name(command, chosen, base.dataset, base.method)
    storage = command.storage or f"sqlite:///{(place.results / name).resolve()}.db"
    prunes = rehearse(base, place.dataset(base), command.objective)
    tuning = Tuning(name, chosen, request, space, command.objective, command.trials, place, storage, prunes)
    for key, one in space.items():
        for value in one.values if isinstance(one, Choice) else (one.low, one.high):
            tuning.runs({key: value})
    return tuning


def study_name(command: Command, chosen: Suite, dataset: str, *names: str) -> str:
    """What makes a study another one is in its name, so that the same command always finds its own."""
    parts = [command.name or chosen.name, slug(dataset), "+".join(map(slug, names))]
    if command.objective != ("nll",):
        parts.append("+".join(command.objective))
    if command.preset:
        parts.append(command.preset)
    options = [sorted(command.set), sorted(command.space), command.seeds, command.samples]
    if options != [[], [], (), Command.samples]:
        parts.append(digest(options))
    return "-".join(parts)


def introduce(console: Console, tuning: Tuning, study: optuna.Study) -> None:
    """What is to be done, before it is."""
    seeds = ", ".join(map(str, tuning.request.seeds))
    done = sum(trial.state in STATUS for trial in tidy(study, tuning.trials).trials)
    lines = [
        f"{tuning.name}: {tuning.trials} trials of {tuning.method} on {tuning.dataset}, seeds {seeds}; {done} are done",
        f"  judged by {' and '.join(tuning.objectives)} of validation images; "
        + ("cut short by the validation loss" if tuning.prunes else "every trial is trained to its end"),
    ]
    for key, one in tuning.space.items():
        lines.append(f"  {key}: {describe(one)}; the suite's own is {tuning.own[key]}")
    lines += [f"  {key} = {value}, fixed" for key, value in tuning.fixed.items()]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def describe(one: Range) -> str:
    if isinstance(one, Choice):
        return " or ".join(map(str, one.values))
    return f"{one.low} to {one.high}" + (", logarithmic" if one.log else "")


# Trials


def carry_out(tuning: Tuning, workers: int) -> None:
    """One worker is this process; several are processes that share the study."""
    if workers == 1:
        prepare_worker()
        work(tuning)
        return
    pool = ProcessPoolExecutor(workers, initializer=start_worker, initargs=(os.getpid(),), env={"OMP_NUM_THREADS": "1"})
    try:
        with interrupts_ignored():
            futures = [pool.submit(work, tuning) for _ in range(workers)]
        for future in as_completed(futures):
            future.result()
    finally:
        pool.shutdown(wait=True, kill_workers=True)


class View:
    """What a person sees of a study under way: a bar with the best so far, and a line for every trial that ends."""

    def __init__(self, console: Console, tuning: Tuning, study: optuna.Study):
        self.console, self.tuning, self.study = console, tuning, study
        columns = ("{task.description}", "{task.fields[best]}", "{task.fields[now]}")
        first, best, now = (TextColumn(column, markup=False) for column in columns)
        parts = (first, BarColumn(24), MofNCompleteColumn(), best, now, TimeElapsedColumn())
        self.bar = Progress(*parts, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task(tuning.method, total=tuning.trials, best="", now="")
        self.told = {trial.number for trial in tidy(study, tuning.trials).trials if trial.state in STATUS}

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Looks at the database once a second, whoever carries out the trials."""
        over = threading.Event()

        def look_on() -> None:
            while not over.wait(1):
                self.look()

        thread = threading.Thread(target=look_on, daemon=True)
        with self.bar:
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
                self.look()

    def look(self) -> None:
        ended = Ended(self.tuning, tidy(self.study, self.tuning.trials))
        for trial in ended.study.trials:
            if trial.state in STATUS and trial.number not in self.told:
                self.told.add(trial.number)
                line = f"{len(self.told)}/{self.tuning.trials} {ended.line(trial)}"
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        best = "best " + ended.values(ended.best[0]) if ended.best else ""
        self.bar.update(self.task, completed=len(self.told), best=best, now=self.now(ended.study))

    def now(self, study: optuna.Study) -> str:
        """How far the first trial under way is."""
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            for one in self.tuning.runs(trial.params):
                status = self.tuning.place.record(one).read("status.json")
                if status and status["stage"] != "done":
                    return display.describe(status)
        return ""


# Results


@dataclass(frozen=True)
class Ended:
    """A study as it stands: its first trials, numbered from 0. best: of one objective the lowest, of two those that no
    other beats in both."""

    tuning: Tuning
    study: optuna.Study

    @property
    def best(self) -> list[FrozenTrial]:
        found = self.study.best_trials
        return found[:1] if len(self.tuning.objectives) == 1 else found

    def values(self, trial: FrozenTrial) -> str:
        """`nll 22.801 ± 0.21`, the standard error being over images."""
        told = zip(self.tuning.objectives, trial.values, trial.user_attrs["errors"], strict=True)
        return ", ".join(f"{name} {value:.6g}" + (f" ± {error:.2g}" if error else "") for name, value, error in told)

    def line(self, trial: FrozenTrial) -> str:
        """How a trial ended, for people."""
        settings = ", ".join(f"{key.split('.', 1)[1]} {shown(value)}" for key, value in trial.params.items())
        what = self.values(trial) if trial.state == TrialState.COMPLETE else reason(trial)
        mark = " (best)" if trial in self.best else ""
        return f"trial {trial.number} {STATUS[trial.state]}{mark}: {what}; {settings}"

    def frame(self) -> pd.DataFrame:
        """A row a trial."""
        best = {trial.number for trial in self.best}
        rows = []
        for trial in self.study.trials:
            if trial.state not in STATUS:
                continue
            row = {"trial": trial.number, "status": STATUS[trial.state], "best": trial.number in best}
            for i, name in enumerate(self.tuning.objectives):
                complete = trial.state == TrialState.COMPLETE
                row[name] = trial.values[i] if complete else None
                row[f"{name}_estimator"] = trial.user_attrs["estimators"][i] if complete else ""
                row[f"{name}_stderr"] = trial.user_attrs["errors"][i] if complete else None
            rows.append({**row, **trial.params, "reason": reason(trial)})
        return pd.DataFrame(rows)

    def importances(self) -> dict[str, float]:
        """Shares of what the settings explain of being among the better trials (PED-ANOVA, Watanabe et al. 2023); none
        where trials are too few to tell."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            try:
                return optuna.importance.get_param_importances(self.study)
            except (UserWarning, ValueError):
                return {}


def reason(trial: FrozenTrial) -> str:
    """Why a trial has no figure, if it has none."""
    if trial.state == TrialState.PRUNED:
        return f"cut short after epoch {trial.last_step}"
    lost = "its process was killed again and again" if trial.state == TrialState.FAIL else ""
    return trial.user_attrs.get("reason", lost)


def shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def conclude(console: Console, ended: Ended) -> None:
    """Writes all that a study gives, and says where."""
    path = ended.tuning.place.results / ended.tuning.name
    table.write(ended.frame(), path.with_name(f"{path.name}.csv"))
    if not ended.best:
        line = f"{path.name}: no trial has a figure yet, see {path}.csv"
        console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
        return
    write_suite([ended], path.with_name(f"{path.name}.toml"))
    pictures.write_figure(path.with_name(f"{path.name}-history.png"), history(ended))
    pictures.write_figure(path.with_name(f"{path.name}-importance.png"), importance(ended))
    lines = [ended.line(trial) for trial in ended.best]
    lines += [f"run it: python -m benchmarks.run --suite {path}.toml"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def write_suite(several: Sequence[Ended], path: Path) -> None:
    """The suite on one data set, with the best settings laid into its methods."""
    chosen, dataset = several[0].tuning.suite, several[0].tuning.dataset
    own = chosen.model_dump(mode="json", exclude_unset=True, exclude={"name", "dataset", "method"})
    tuned = {label: entry for one in several for label, entry in entries(one).items()}
    named = {"title": f"{chosen.title}, tuned", "datasets": [dataset], "methods": list(tuned)}
    text = "\n".join(comment(one) for one in several) + "\n" + tomli_w.dumps({**named, **own, **named, "method": tuned})
    write_atomically(path, lambda file: file.write(text.encode()))


def entries(ended: Ended) -> dict[str, dict[str, Any]]:
    """The best trials as [method.NAME]: one under the method's own name, several with the trial's number."""
    tuning = ended.tuning
    name, chosen = tuning.method, tuning.suite
    catalogued, own = suite.definition(chosen, name)
    parts = {"use": own.pop("use", catalogued.use)}
    parts["regularisers"] = list(own.pop("regularisers", catalogued.regularisers))
    preset = suite.preset_sections(chosen, tuning.request.preset)
    fixed = [catalogued.sections, chosen.dataset.get(tuning.dataset, {}), own, preset]
    found = {}
    for trial in ended.best:
        given = (*tuning.given, *as_overrides(trial.params))
        layers = [*fixed, *map(suite.parse_override, given)]
        label = name if len(tuning.objectives) == 1 else f"{name}-{trial.number}"
        found[label] = dict(parts)
        for layer in layers:
            found[label] = suite.merge(found[label], layer)
    return found


def comment(ended: Ended) -> str:
    """What a tuned suite says of where its settings come from."""
    tuning, counts = ended.tuning, ended.frame()["status"].value_counts()
    how = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines = [
        f"{tuning.method} on {tuning.dataset}: the best of {counts.sum()} trials ({how}), chosen on validation images.",
        f"Objective: {' and '.join(tuning.objectives)}; seeds {', '.join(map(str, tuning.request.seeds))}.",
    ]
    for trial in ended.best:
        estimators = " and ".join(trial.user_attrs["estimators"])
        lines.append(f"Trial {trial.number}: {ended.values(trial)} ({estimators}; s.e. over images)")
        lines += [f"  {key} = {shown(value)}  ({describe(tuning.space[key])})" for key, value in trial.params.items()]
    given = [*([f"preset {tuning.request.preset}"] if tuning.request.preset else []), *tuning.given]
    lines += [f"All trials had {', '.join(given)}, and so has this suite."] if given else []
    return "".join(f"# {line}\n" for line in lines)


# Pictures


def history(ended: Ended) -> Figure:
    """The objectives trial by trial, with the best so far."""
    names = ended.tuning.objectives
    figure = Figure(figsize=(6.4, 3.2 * len(names)), layout="constrained")
    for i, (name, axes) in enumerate(zip(names, figure.subplots(len(names), squeeze=False)[:, 0], strict=True)):
        complete = ended.study.get_trials(states=(TrialState.COMPLETE,))
        numbers, values = [t.number for t in complete], [t.values[i] for t in complete]
        axes.plot(numbers, values, "o", color="0.55", markersize=5, label="trial")
        axes.step(numbers, pd.Series(values).cummin(), "k-", where="post", linewidth=1.2, label="best so far")
        best = ended.best
        axes.plot([t.number for t in best], [t.values[i] for t in best], "k*", markersize=11, label="chosen")
        without_figure(axes, ended.study)
        axes.set(xlabel="trial (0: the suite's own settings)", ylabel=OBJECTIVES[name].axis)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].set_title(f"{ended.tuning.method} on {ended.tuning.dataset}")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def without_figure(axes: Axes, study: optuna.Study) -> None:
    """Marks at the lower edge for trials that were cut short or failed."""
    for state, marker, label in ((TrialState.PRUNED, "|", "cut short"), (TrialState.FAIL, "x", "failed")):
        numbers = [trial.number for trial in study.get_trials(states=(state,))]
        if numbers:
            where = axes.get_xaxis_transform()
            axes.plot(numbers, [EDGE] * len(numbers), marker, color="k", transform=where, label=label)


def importance(ended: Ended) -> Figure:
    """The objectives over each setting, the most important first; its importance stands above."""
    shares = ended.importances() or dict.fromkeys(ended.tuning.space)
    names = ended.tuning.objectives
    size = (max(4.8, 3.2 * len(shares)), 3.2 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(names), len(shares), squeeze=False, sharey="row")
    for row, name in enumerate(names):
        for axes, (key, share) in zip(grid[row], shares.items(), strict=True):
            against(axes, ended, key, row)
            axes.set_xlabel(key)
            if row == 0 and share is not None and len(shares) > 1:
                axes.set_title(f"importance {share:.2f}")
        grid[row, 0].set_ylabel(OBJECTIVES[name].axis)
    return figure


def against(axes: Axes, ended: Ended, key: str, row: int) -> None:
    """One objective over one setting; the chosen trials are stars."""
    one, complete = ended.tuning.space[key], ended.study.get_trials(states=(TrialState.COMPLETE,))

    def draw(trials: Sequence[FrozenTrial], *style: Any, **others: Any) -> None:
        values = [trial.params[key] for trial in trials]
        at = [one.values.index(value) for value in values] if isinstance(one, Choice) else values
        axes.plot(at, [trial.values[row] for trial in trials], *style, **others)

    draw(complete, "o", color="0.55", markersize=5)
    draw(ended.best, "k*", markersize=11)
    if isinstance(one, Choice):
        axes.set_xticks(range(len(one.values)), map(str, one.values))
        axes.margins(x=0.3)
    elif one.log:
        axes.set_xscale("log")


if __name__ == "__main__":
    sys.exit(main())
