"""What a study has found: its trials as a table, its best settings as a suite, its pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import tomli_w
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from benchmarks.common.files import write_atomically
from benchmarks.config import suite
from benchmarks.tuning.objective import OBJECTIVES
from benchmarks.tuning.study import OWN, STATUS, Study, as_overrides
from priors.space import Choice, Range

EDGE = 0.03
"""Height above the axis, as a share of the plot, of the marks of trials without a figure."""


@dataclass(frozen=True)
class Ended:
    """A study as it stands: its first trials, numbered from 0. best: of one objective the lowest, of two those that no
    other beats in both."""

    tuning: Study
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
        settings = ", ".join(
            f"{key.split('.', 1)[1]} {shown(value)}" for key, value in self.tuning.settings(trial).items()
        )
        what = self.values(trial) if trial.state == TrialState.COMPLETE else reason(trial)
        mark = " (best)" if trial in self.best else ""
        return f"trial {trial.number} {STATUS[trial.state]}{mark}: {what}; {settings}"

    @property
    def untuned(self) -> FrozenTrial | None:
        """The trial of the suite's own settings, where it has come to its end."""
        own = (trial for trial in self.study.get_trials(states=(TrialState.COMPLETE,)) if trial.user_attrs.get(OWN))
        return next(own, None)

    def gains(self) -> list[str]:
        """What tuning has gained on the suite's own settings, an objective a line. The best of several trials is so
        partly by chance, on the very images that chose it."""
        before = self.untuned
        if before is None:
            return ["the suite's own settings have no estimate to compare with"]
        lines = [f"the suite's own settings: {self.values(before)}"]
        for i, name in enumerate(self.tuning.objectives):
            gain = before.values[i] - min(trial.values[i] for trial in self.best)
            told = f"tuning gained {gain:.4g} in {name}" if gain > 0 else f"tuning gained nothing in {name}"
            lines.append(f"{told}, on the validation images that it was chosen by")
        return lines

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
            rows.append({**row, **self.tuning.settings(trial), "reason": reason(trial)})
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


def describe(one: Range) -> str:
    if isinstance(one, Choice):
        return " or ".join(map(str, one.values))
    return f"{one.low} to {one.high}" + (", logarithmic" if one.log else "")


# As a suite


def write_suite(several: Sequence[Ended], path: Path) -> None:
    """The suite on one data set, with the best settings laid into its methods."""
    chosen, dataset = several[0].tuning.suite, several[0].tuning.data.asked
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
    fixed = [catalogued.sections, suite.sections_of(chosen, tuning.data), own, preset]
    found = {}
    for trial in ended.best:
        given = (*tuning.given, *as_overrides(tuning.settings(trial)))
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
        lines += [
            f"  {key} = {shown(value)}  ({describe(tuning.space[key])})"
            for key, value in tuning.settings(trial).items()
        ]
    lines += [f"{one[0].upper()}{one[1:]}." for one in ended.gains()]
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
        pairs = [(ended.tuning.settings(trial)[key], trial.values[row]) for trial in trials]
        if isinstance(one, Choice):  # the suite's own value may be none of them
            pairs = [(one.values.index(value), height) for value, height in pairs if value in one.values]
        axes.plot([value for value, _ in pairs], [height for _, height in pairs], *style, **others)

    draw(complete, "o", color="0.55", markersize=5)
    draw(ended.best, "k*", markersize=11)
    if isinstance(one, Choice):
        axes.set_xticks(range(len(one.values)), map(str, one.values))
        axes.margins(x=0.3)
    elif one.log:
        axes.set_xscale("log")
