"""Training curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common import style
from benchmarks.plots.base import Drawing, Results, plot
from priors.base import Unsupported

VALIDATION = ".validation"
"""After the type of a model, each of which has a curve of its own: a WAE's is of another kind than a VAE's."""

NOT_LOSSES = ("epoch", "seconds", "warm_up", "seed", "log_z_error")
IN_NATS = ("validation", "reconstruction", "kl", "log_z")
MARGIN = 0.1
"""Of an axis beside its curves."""

CUT = 0.01
"""Share of the bands' epochs that may leave an axis on each side: one step gone wrong would flatten all else."""


@plot("training")
def training(results: Results) -> Iterator[Drawing]:
    """Losses and their parts over epochs: the mean over seeds in a band of one standard deviation."""
    curves = {method: histories(results, method) for method in results.methods}
    names = losses([frame for frame in curves.values() if len(frame)])
    if not names:
        raise Unsupported("nothing was trained for more than one epoch")
    shared = [name for name in names if sum(name in frame for frame in curves.values()) > 1 or len(curves) == 1]
    own = [name for name in names if name not in shared]
    for part, chosen in (("", shared), ("players", own)):
        if chosen:
            figure = panels(results, {name: summaries(curves, name) for name in chosen})
            yield Drawing(figure, caption(results, part), part)


def panels(results: Results, shown: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """A panel a loss, in it a line a method."""
    styles = style.styles(results.methods)
    figure, grid = style.panels(len(shown), across=3, size=(3.3, 2.5))
    for axes, (name, curves) in zip(grid, shown.items(), strict=True):
        for method, curve in curves.items():
            line(axes, curve, method, styles[method])
        limits(axes, list(curves.values()))
        axes.set(xlabel="epoch", ylabel=unit(name), title=name)
        if name == "vae" + VALIDATION:
            least_loss(axes, results)
    style.legend(figure, grid)
    return figure


def histories(results: Results, method: str) -> pd.DataFrame:
    """The training curves of a method's seeds, a row a seed and epoch, from the end of the KL's warm-up on."""
    frames = [
        results.history(run).assign(seed=run.seed).rename(columns={"validation": run.model.type + VALIDATION})
        for run in results.of(method)
    ]
    together = pd.concat(frames, ignore_index=True)
    if together.empty:
        return together
    after = together[together["warm_up"] >= 1]
    return after if len(after) else together


def losses(frames: Sequence[pd.DataFrame]) -> list[str]:
    """Columns that are curves: the validation loss first, then the parts of every player's loss, or the loss itself
    where it has none. What is always 0 is left out."""
    found = dict.fromkeys(str(name) for frame in frames for name in frame if name not in NOT_LOSSES)
    players = {name.rpartition(".")[0] for name in found if not name.endswith(".loss")}
    names = [
        name
        for name in found
        if not (name.endswith(".loss") and name.rpartition(".")[0] in players)
        and any(name in frame and frame["epoch"].nunique() > 1 and frame[name].any() for frame in frames)
    ]
    return sorted(names, key=lambda name: not name.endswith(VALIDATION))


def summaries(curves: Mapping[str, pd.DataFrame], name: str) -> dict[str, pd.DataFrame]:
    """Mean and standard deviation over seeds by epoch, of the methods that have this loss; 0 for one seed."""
    grouped = {method: frame.groupby("epoch")[name] for method, frame in curves.items() if name in frame}
    return {method: pd.DataFrame({"mean": one.mean(), "std": one.std().fillna(0)}) for method, one in grouped.items()}


def line(axes: Axes, curve: pd.DataFrame, method: str, style: Mapping[str, Any]) -> None:
    """The mean with its band."""
    every = max(1, len(curve) // 5)
    axes.plot(curve.index, curve["mean"], label=method, markevery=(every // 2, every), **style)
    low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
    axes.fill_between(curve.index, low, high, color=style["color"], alpha=0.2, linewidth=0)


def unit(name: str) -> str:
    """What a loss is measured in, as far as its name tells."""
    return "nats an image" if name.split(".")[-1] in IN_NATS else "the loss's own unit"


def least_loss(axes: Axes, results: Results) -> None:
    """A line at the data's own -ln p(x), where the law is known: no model's expected loss is lower."""
    run = results.runs[0]
    data = results.workspace.dataset(run)
    if data.log_prob is not None:
        least = -data.log_prob(data.validation[:]).mean().item()
        axes.axhline(least, color="0.4", linewidth=0.8, label="the data's own")


def caption(results: Results, part: str) -> str:
    seeds = len({run.seed for run in results.runs})
    spread = f"mean over {seeds} seeds, band: one standard deviation" if seeds > 1 else "one seed"
    if part:
        what = (
            "parts of the losses that one method alone descends, by player and part, and ln Z as estimated before each "
            "validation"
        )
    else:
        what = (
            "validation loss, for a VAE the negative ELBO at one draw, in which an unknown normaliser is estimated "
            "anew unless the suite goes its paper's way, and parts of the training loss by player and part"
        )
    return (
        f"Training curves on {results.datasets[0]} from the end of the KL's warm-up on ({spread}): {what}. Axes leave "
        "out what the first tenth of the epochs alone, or one in a hundred, reach."
    )


def limits(axes: Axes, curves: Sequence[pd.DataFrame]) -> None:
    """Limits that show how curves end: what the first tenth of the epochs alone, or CUT of them, reach is cut off."""
    late = pd.concat([curve[len(curve) // 10 :] for curve in curves])
    low, high = (float((late["mean"] + k * late["std"]).quantile(at)) for k, at in ((-1, CUT), (1, 1 - CUT)))
    if math.isfinite(high - low) and high > low:
        axes.set_ylim(low - MARGIN * (high - low), high + MARGIN * (high - low))
