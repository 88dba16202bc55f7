"""The likelihood of test images, by importance sampling, with what tells whether to trust it."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from benchmarks.estimators.estimate import Alarm, Direction, Estimate, Remark, remarks
from benchmarks.estimators.estimator import Certainty, Estimator
from benchmarks.estimators.importance import Importance
from benchmarks.estimators.latent import share
from benchmarks.metrics.base import Deciding, image_estimate, measured_estimate, metric
from benchmarks.metrics.evaluated import Evaluated
from priors.base import Unsupported, density
from priors.parts.pareto import RELIABLE

TOLERATED = 0.05
"""Share of images above it without a warning beside the estimate."""


@metric(
    "nll",
    rows=("nll is", "nll elbo", "reconstruction", "kl elbo"),
    deciding=Deciding("likelihood", "nll", "is"),
)
def nll(evaluated: Evaluated) -> list[Estimate]:
    """-ln p(x) at every K, the negative ELBO, and its parts; nats an image."""
    estimates = likelihoods(evaluated, "nll", "lower", -1.0)
    elbo = Estimator("elbo")
    estimates.append(image_estimate("reconstruction", elbo, evaluated.importance.reconstruction, "none", "nats"))
    common, kl = density(evaluated.prior).log_prob_error, evaluated.importance.kl
    elbo = replace(elbo, certainty=evaluated.certainty)
    estimates.append(image_estimate("kl", elbo, kl, "none", "nats", common=common))
    return estimates


@metric("log_likelihood", deciding=Deciding("likelihood", "log_likelihood", "is"))
def log_likelihood(evaluated: Evaluated) -> list[Estimate]:
    """ln p(x) at every K and the ELBO, for papers that print it with this sign."""
    return likelihoods(evaluated, "log_likelihood", "higher", 1.0)


def likelihoods(evaluated: Evaluated, name: str, direction: Direction, sign: float) -> list[Estimate]:
    """sign x ln p(x) at every K, and the ELBO; then the same under the prior's papers' own normalisations.

    An error of the prior's ln Z is common to all images: it is added to the variance of the mean, not averaged out.
    """
    law, certainty = density(evaluated.prior), evaluated.certainty
    estimates, own = [], by_draws(evaluated.importance)
    for how, values in own.items():
        by = replace(how, certainty=certainty)
        one = image_estimate(name, by, sign * values, direction, "nats", common=law.log_prob_error)
        estimates.append(with_warning(one, how, evaluated.importance, sign))
    for convention, shift in law.conventions().items():
        said = Remark("the paper's own normalisation: off by {} nats, not comparable", (f"{shift:+.4g}",))
        estimates += [
            image_estimate(name, replace(how, variant=convention), sign * (values + shift), direction, "nats", said)
            for how, values in own.items()
        ]
    return estimates


def by_draws(result: Importance) -> dict[Estimator, Tensor]:
    """ln p(x) at every K, and the ELBO, image by image."""
    return {importance(k): values for k, values in result.log_likelihood.items()} | {Estimator("elbo"): result.elbo}


def importance(k: int, certainty: Certainty = "exact") -> Estimator:
    """Importance sampling by K draws."""
    return Estimator("is", draws=(k,), certainty=certainty)


def with_warning(estimate: Estimate, how: Estimator, result: Importance, sign: float) -> Estimate:
    """The estimate with what a reader should know of it: a bound is one, and weights may be unreliable."""
    if how.kind == "elbo":
        return replace(estimate, remarks=remarks("an upper bound" if sign < 0 else "a lower bound"))
    alarm, remark = warning(result, *how.draws)
    return replace(estimate, alarm=alarm, remarks=remarks(remark))


@metric("bits_per_dim")
def bits_per_dim(evaluated: Evaluated) -> list[Estimate]:
    """NLL / (D ln 2) at the largest K; of data on a grid a density's first gets -D ln step nats added.

    step is the distance between two grey levels (`Dataset.step`): 1/255 of pictures that are x/255, so that it adds
    log2 255 bits and not 8. The estimate is then of the bins, `step` wide, around the grey levels, with the density
    constant inside each: comparable to a discretised likelihood's only in so far as this holds.

    An error of the prior's ln Z is common to all images here too, divided by D ln 2.
    """
    values = -evaluated.importance.log_likelihood[last(evaluated.importance)]
    dimensions = math.prod(evaluated.data.shape)
    discrete = evaluated.model.likelihood.discrete
    if not discrete and evaluated.data.levels is None:
        raise Unsupported("bits/dim needs data on a grid of grey levels, and these are real-valued")
    shift = 0.0 if discrete else -dimensions * math.log(evaluated.data.step)
    nats = dimensions * math.log(2)  # of one bit a dimension
    how, common = importance(last(evaluated.importance), evaluated.certainty), density(evaluated.prior).log_prob_error
    return [image_estimate("bits_per_dim", how, (values + shift) / nats, "lower", "bits", common=common / nats)]


@metric("reliability", rows=("effective_share", "largest_weight", "pareto_k", "unreliable_images"))
def reliability(evaluated: Evaluated) -> list[Estimate]:
    """Effective sample size, largest weight and Pareto k-hat of the importance weights at the largest K."""
    result = evaluated.importance
    how = importance(last(result))
    estimates = [
        image_estimate("effective_share", how, result.effective, "higher", "share"),
        image_estimate("largest_weight", how, result.largest, "lower", "share"),
    ]
    if not result.pareto_k.isnan().any():
        estimates.append(image_estimate("pareto_k", how, result.pareto_k, "lower", "none"))
        unreliable = result.pareto_k > RELIABLE
        estimate = measured_estimate("unreliable_images", how, share(unreliable), "lower", "share")
        estimates.append(replace(estimate, values=unreliable.double()))
    return estimates


@metric(
    "excess_nll",
    rows=("excess_nll", "nll exact"),
    deciding=Deciding("likelihood", "excess_nll", "is", rank=-1),
)
def excess_nll(evaluated: Evaluated) -> list[Estimate]:
    """NLL minus the exact one of the data's law, example by example: estimates KL(data || model), which is >= 0.

    A value more than three of its errors below 0 is marked impossible. The error includes that of the prior's ln Z.
    """
    if evaluated.data.log_prob is None:
        raise Unsupported("the exact log p(x) of this data set is not known")
    result = evaluated.importance
    exact = evaluated.data.log_prob(evaluated.data.test[: len(result.elbo)].cpu()).to(result.elbo)
    told = "of the data's own law, not of the model"
    estimates = [image_estimate("nll", Estimator("exact"), -exact, "lower", "nats", told)]
    common = density(evaluated.prior).log_prob_error
    for k, values in result.log_likelihood.items():
        how = importance(k, evaluated.certainty)
        estimates.append(possible(image_estimate("excess_nll", how, exact - values, "lower", "nats", common=common)))
    return estimates


def possible(excess: Estimate) -> Estimate:
    """The estimate, with an alarm where it lies further below 0 than its whole error explains."""
    if excess.error is None or excess.value >= -3 * excess.error:
        return excess
    why = remarks("impossible: the model cannot beat the data's own law")
    return replace(excess, alarm="impossible", remarks=why)


def last(result: Importance) -> int:
    """The largest K."""
    return max(result.log_likelihood)


def warning(result: Importance, k: int) -> tuple[Alarm, str]:
    """Alarm and remark for the estimate at K draws, where it is the largest K and its weights call for them."""
    unreliable = (result.pareto_k > RELIABLE).double().mean().item()
    if k < last(result) or unreliable <= TOLERATED:
        return "", ""
    return "unreliable", f"unreliable: k-hat > {RELIABLE} for over {TOLERATED:.0%} of images"
