"""The density and the draws: they must be of one law."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from priors.base import Density
from priors.conformance.density import POINTWISE
from priors.conformance.law import NotApplicable, demand, law
from priors.conformance.samples import sample_form
from priors.conformance.trial import DRAWS, ERRORS, LIKELY, Trial, grid


def normalised(trial: Trial) -> Density:
    """The fitted prior, unless its density is a bound: then the grid has nothing to say."""
    if trial.density.certainty == "bound":
        raise NotApplicable("a bound of a density need not integrate to 1")
    return trial.density


@law(Density, after=POINTWISE)
def certainty(trial: Trial) -> None:
    """certainty is exact, estimate or bound; log_prob_error is finite, 0 if exact, above 0 for an estimate."""
    kinds = ("exact", "estimate", "bound")
    found, error = trial.density.certainty, trial.density.log_prob_error
    demand(found in kinds, f"certainty = {found!r}", f"write one of {', '.join(kinds)}")
    demand(math.isfinite(error) and error >= 0, f"log_prob_error = {error}", "give a standard error in nats")
    fix = "say `estimate` and give ln Z's standard error, or say `exact` and give none"
    # a bound from draws that are chosen once has an error too, one from a formula has none
    demand(found == "bound" or (error > 0) == (found == "estimate"), f"{found}, with log_prob_error = {error:.4g}", fix)


@law(Density, after=(certainty,))
def mass(trial: Trial) -> None:
    """exp(log_prob) integrates to 1 over the plane, within the error that the prior states.

    That of a bound to no more than 1.
    """
    error, bound = trial.density.log_prob_error, trial.density.certainty == "bound"
    log_mass = (trial.log_p + grid().area.log()).logsumexp(0).item()
    if bound:
        log_mass = max(0.0, log_mass)
    found = f"it integrates to {math.exp(log_mass):.5g}: ln p is off by {log_mass:+.4g} nats"
    fix = "look for the constant (D/2 ln 2 pi), the log-determinant, the weights' logsumexp; or state the error of ln Z"
    demand(abs(log_mass) <= 1e-3 + ERRORS * error, found, fix)


@law(Density, after=(certainty, sample_form))
def entropy(trial: Trial) -> None:
    """-ln p(z) averaged over draws is the entropy that the grid gives."""
    value = -normalised(trial).log_prob(trial.draws).detach()
    expected = -torch.where(trial.share > 0, trial.share * trial.log_p, 0).sum().item()
    error = value.std().item() / math.sqrt(len(value))
    found = f"{value.mean():.4f} over draws, {expected:.4f} on the grid, s.e. {error:.4f} nats"
    fix = "the draws are too wide or too narrow for log_prob: compare the scales (a variance taken for a deviation?)"
    demand(abs(value.mean().item() - expected) <= ERRORS * error + 1e-3, found, fix)


@law(Density, after=(certainty, sample_form))
def draws(trial: Trial) -> None:
    """Draws fall where the density says: chi-squared over 64 regions of the plane, p > 0.0001."""
    normalised(trial)
    region = regions(trial.share)
    cell = torch.bucketize(trial.draws.contiguous(), grid().edges[1:-1])
    side = len(grid().edges) - 1
    observed = torch.bincount(region[cell[:, 0] * side + cell[:, 1]], minlength=64).double()
    expected = DRAWS * torch.zeros(64, dtype=torch.float64).index_add(0, region, trial.share)
    p = chi_squared(observed, expected)
    fix = "sample and log_prob describe different laws: compare means, signs, the order of dimensions, and the weights"
    demand(p > LIKELY, f"p = {p:.2g}: {DRAWS} draws are not of this density", fix)


def regions(share: Tensor, count: int = 8) -> Tensor:
    """The region, of count^2, that each cell is in: products of intervals, about equally probable on either axis."""
    side = math.isqrt(len(share))

    def interval(marginal: Tensor) -> Tensor:
        """The interval of every cell on an axis, 0 to count - 1, from the probabilities on it."""
        return (count * (marginal.cumsum(0) - marginal / 2)).long().clamp(0, count - 1)

    square = share.reshape(side, side)
    return (count * interval(square.sum(1))[:, None] + interval(square.sum(0))).flatten()


def chi_squared(observed: Tensor, expected: Tensor) -> float:
    """Pearson's p-value; what is expected less than five times is counted together."""
    order = expected.argsort(descending=True)
    last = max(1, int((expected >= 5).sum())) - 1
    observed, expected = (torch.cat([n[order][:last], n[order][last:].sum(0, True)]) for n in (observed, expected))
    if last == 0:
        raise NotApplicable("all of the density lies within a few cells of the grid, which is too coarse for it")
    statistic = ((observed - expected).square() / expected).sum()
    return torch.special.gammaincc(torch.tensor(last / 2).double(), statistic / 2).item()
