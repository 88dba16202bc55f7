"""Leaks and pockets as curves: codes where the prior is low, and draws of the prior where the codes' law is."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import style
from benchmarks.common.seeds import stream
from benchmarks.estimators import latent
from benchmarks.metrics import Evaluated
from benchmarks.metrics.evaluated import CODES
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.plots.pictures import seeds
from priors.base import Unsupported, density

STEPS = 120
"""Thresholds, and levels, of a curve."""

LEAST = 1e-3
"""Smallest level: CODES / 1000 draws lie below it."""

FEW = 10
"""Leaking codes below which a mean over them is not drawn."""

SIZE = (4.0, 3.7)

SCORE = (
    f"Left: LS(τ) = E[1{{ln p(z) < τ}} (ln q(z) - ln p(z))] over {CODES} codes z ~ q(z), which ends at KL(q||p); "
    f"right: the mean over the codes with ln p(z) < τ alone, where these are {FEW} or more. q(z) is the mixture of all "
    "training posteriors, a code's own among them."
)
SHARE = (
    f"Left: the share of {CODES} codes z ~ q(z) whose ln p(z) is below the α-quantile of ln p at as many draws of the "
    "prior; right: the share of these draws whose ln q(z) is below the α-quantile of ln q at the codes, each without "
    "the posterior that it was drawn from. Above the diagonal are leaks and pockets; a prior that fits is on it, 19 "
    "times in 20 within the band (two standard errors)."
)

Style = Mapping[str, Any]


class Densities(NamedTuple):
    """Log-densities in nats at codes z ~ q(z) and at draws z ~ p(z), (n,) each.

    without: ln q(z) at codes without the posterior that each was drawn from. A draw of the prior has none of its own,
    so that this is what ln q(z) there compares with.
    """

    p_at_codes: Tensor
    q_at_codes: Tensor
    without: Tensor
    p_at_draws: Tensor
    q_at_draws: Tensor


@plot("leakage")
def leakage(results: Results) -> Iterator[Drawing]:
    """Latent leaks and pockets: the leakage score (dpVAE, Figure 4), and shares at quantiles, which fit any D."""
    models = {method: results.evaluated(run) for method, run in results.first().items()}
    found: dict[str, Densities] = {}
    reasons: dict[str, str] = {}
    for method, evaluated in models.items():
        try:
            found[method] = densities(evaluated)
        except Unsupported as reason:
            reasons[method] = str(reason)
    if not found:
        raise Unsupported("; ".join(dict.fromkeys(reasons.values())) or "none of these runs has a model")
    shown, styles = {method: models[method] for method in found}, style.styles(models)
    about = f"{results.datasets[0]}, {seeds(shown)}"
    yield Drawing(score(found, styles), f"Leakage score on {about}. {SCORE}{notes(shown, reasons)}", "score")
    yield Drawing(share(found, styles), f"Leaks and pockets on {about}. {SHARE}{notes(shown, reasons)}", "share")


def densities(evaluated: Evaluated) -> Densities:
    """Of a run; Unsupported where the codes or the prior have none."""
    with stream(evaluated.seed, "plot of leakage"):
        at, draws = evaluated.at_codes, evaluated.aggregate.log_prob_in_chunks(evaluated.draws)
        return Densities(evaluated.log_p_at_codes, at.aggregate, at.without, evaluated.log_p_at_draws, draws)


def notes(shown: Mapping[str, Evaluated], left_out: Collection[str]) -> str:
    """What a caption says of densities that are not exact, or missing."""
    certainty = {method: density(evaluated.prior).certainty for method, evaluated in shown.items()}
    unsure = [f"{method} ({kind})" for method, kind in certainty.items() if kind != "exact"]
    text = [f"ln p(z) is not exact of {', '.join(unsure)}"] * bool(unsure)
    text += [f"left out, without a density of codes or prior: {', '.join(left_out)}"] * bool(left_out)
    return f" Here {'; '.join(text)}." * bool(text)


def score(found: Mapping[str, Densities], styles: Mapping[str, Style]) -> Figure:
    """LS(tau), and the mean over leaking codes alone, over thresholds that span all methods' codes."""
    low = min(one.p_at_codes.quantile(LEAST).item() for one in found.values())
    high = max(one.p_at_codes.max().item() for one in found.values())
    thresholds = torch.linspace(low, high, STEPS).tolist()
    figure, (left, right) = style.panels(2, size=SIZE)
    for method, one in found.items():
        at = latent.leakage(one.p_at_codes, one.q_at_codes, thresholds)
        among = [leak.among.value if leak.share.value * CODES >= FEW else math.nan for leak in at]
        curve(left, thresholds, [leak.score.value for leak in at], method, styles[method])
        curve(right, thresholds, among, method, styles[method])
    left.set(ylabel="leakage score LS(τ), nats", title="all codes")
    right.set(ylabel="mean of ln q(z) - ln p(z), nats", title="leaking codes alone")
    for axes in (left, right):
        axes.set_xlabel("threshold τ of ln p(z), nats")
        axes.locator_params(axis="x", nbins=6)
    style.legend(figure, [left])
    return figure


def share(found: Mapping[str, Densities], styles: Mapping[str, Style]) -> Figure:
    """Codes below quantiles of ln p at the prior's draws, and the prior's draws below quantiles of ln q at codes."""
    levels = torch.logspace(math.log10(LEAST), 0, STEPS, dtype=torch.float64)
    figure, (left, right) = style.panels(2, size=SIZE, sharex=True, sharey=True)
    for method, one in found.items():
        curve(left, levels.tolist(), below(one.p_at_codes, one.p_at_draws, levels).tolist(), method, styles[method])
        curve(right, levels.tolist(), below(one.q_at_draws, one.without, levels).tolist(), method, styles[method])
    left.set(xlabel="level α of ln p(z) at draws of the prior", ylabel="share of codes below", title="leaks")
    right.set(xlabel="level α of ln q(z) at codes", ylabel="share of the prior's draws below", title="pockets")
    for axes in (left, right):
        diagonal(axes, levels)
        axes.tick_params(labelleft=True)
    style.legend(figure, [left])
    return figure


def below(other: Tensor, own: Tensor, levels: Tensor) -> Tensor:
    """Share of one set of log-densities below quantiles of another, (n,), (m,), (k,) -> (k,), nan in the place of 0."""
    thresholds = own.quantile(levels.to(own))
    shares = torch.searchsorted(other.sort().values, thresholds) / len(other)
    return shares.where(shares > 0, math.nan).cpu()


def diagonal(axes: Axes, levels: Tensor) -> None:
    """Where draws of one law lie: the quantile of CODES and the share of CODES each vary by a (1 - a) / CODES."""
    error = (levels * (1 - levels) * 2 / CODES).sqrt()
    lowest = LEAST / 2
    axes.plot(levels, levels, color="0.5", linewidth=0.8)
    band = (levels - 2 * error).clamp_min(lowest), levels + 2 * error
    axes.fill_between(levels, *band, color="0.85", linewidth=0, label="a prior that fits")
    axes.set(xscale="log", yscale="log", xlim=(LEAST, 1), ylim=(lowest, 1.3))


def curve(axes: Axes, x: Sequence[float], y: Sequence[float], method: str, style: Style) -> None:
    """A method's line with six markers."""
    every = STEPS // 6
    axes.plot(x, y, label=method, markevery=(every // 2, every), **style)
