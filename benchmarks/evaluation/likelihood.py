"""The likelihood of test images, by importance sampling, with what tells whether to trust it."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.evaluation.metric import estimate_figure, image_figure, metric
from benchmarks.evaluation.subject import Subject
from benchmarks.metrics.figure import Direction, Figure
from benchmarks.metrics.latent import share
from benchmarks.metrics.likelihood import Importance
from priors.base import Unsupported, density
from priors.parts.pareto import RELIABLE

TOLERATED = 0.05
"""Share of images above it without a warning beside the figure."""


@metric("nll")
def nll(subject: Subject) -> list[Figure]:
    """-ln p(x) at every K, the negative ELBO, and its parts; nats an image."""
    figures = likelihoods(subject, "nll", "lower", -1.0)
    figures.append(image_figure("reconstruction", "elbo", subject.importance.reconstruction, "none", "nats"))
    common, kl = density(subject.prior).log_prob_error, subject.importance.kl
    figures.append(image_figure("kl", f"elbo{subject.certainty}", kl, "none", "nats", common=common))
    return figures


@metric("log_likelihood")
def log_likelihood(subject: Subject) -> list[Figure]:
    """ln p(x) at every K and the ELBO, for papers that print it with this sign."""
    return likelihoods(subject, "log_likelihood", "higher", 1.0)


def likelihoods(subject: Subject, name: str, direction: Direction, sign: float) -> list[Figure]:
    """sign x ln p(x) at every K, and the ELBO; then the same under the prior's papers' own normalisations.

    An error of the prior's ln Z is common to all images: it is added to the variance of the mean, not averaged out.
    """
    result, plus, common = subject.importance, subject.certainty, density(subject.prior).log_prob_error
    estimates = {f"is-{k}": (values, warning(result, k)) for k, values in result.log_likelihood.items()}
    estimates["elbo"] = (result.elbo, "an upper bound" if sign < 0 else "a lower bound")
    figures = [
        image_figure(name, f"{how}{plus}", sign * values, direction, "nats", note, common)
        for how, (values, note) in estimates.items()
    ]
    for convention, shift in density(subject.prior).conventions().items():
        note = f"the paper's own normalisation: off by {shift:+.4g} nats, not comparable"
        figures += [
            image_figure(name, f"{how}+{convention}", sign * (values + shift), direction, "nats", note)
            for how, (values, _) in estimates.items()
        ]
    return figures


@metric("bits_per_dim")
def bits_per_dim(subject: Subject) -> list[Figure]:
    """NLL / (D ln 2) at the largest K; of data on a grid a density's first gets -D ln step nats added.

    step is the distance between two grey levels (`Dataset.step`): 1/255 of pictures that are x/255, so that it adds
    log2 255 bits and not 8. The figure is then that of the bins, `step` wide, around the grey levels, with the density
    constant inside each: comparable to a discretised likelihood's only in so far as this holds.

    An error of the prior's ln Z is common to all images here too, divided by D ln 2.
    """
    values = -subject.importance.log_likelihood[last(subject.importance)]
    dimensions = math.prod(subject.data.shape)
    discrete = subject.model.likelihood.discrete
    if not discrete and subject.data.levels is None:
        raise Unsupported("bits/dim needs data on a grid of grey levels, and these are real-valued")
    shift = 0.0 if discrete else -dimensions * math.log(subject.data.step)
    nats = dimensions * math.log(2)  # of one bit a dimension
    estimator, common = f"is-{last(subject.importance)}{subject.certainty}", density(subject.prior).log_prob_error
    return [image_figure("bits_per_dim", estimator, (values + shift) / nats, "lower", "bits", common=common / nats)]


@metric("reliability")
def reliability(subject: Subject) -> list[Figure]:
    """Effective sample size, largest weight and Pareto k-hat of the importance weights at the largest K."""
    result = subject.importance
    k = f"is-{last(result)}"
    figures = [
        image_figure("effective_share", k, result.effective, "higher", "share"),
        image_figure("largest_weight", k, result.largest, "lower", "share"),
    ]
    if not result.pareto_k.isnan().any():
        figures.append(image_figure("pareto_k", k, result.pareto_k, "lower", "none"))
        unreliable = result.pareto_k > RELIABLE
        figure = estimate_figure("unreliable_images", k, share(unreliable), "lower", "share")
        figures.append(replace(figure, values=unreliable.double()))
    return figures


@metric("excess_nll")
def excess_nll(subject: Subject) -> list[Figure]:
    """NLL minus the exact one of the data's law, example by example: estimates KL(data || model), which is >= 0.

    A value more than three of its errors below 0 is marked impossible. The error includes that of the prior's ln Z.
    """
    if subject.data.log_prob is None:
        raise Unsupported("the exact log p(x) of this data set is not known")
    result = subject.importance
    exact = subject.data.log_prob(subject.data.test[: len(result.elbo)].cpu()).to(result.elbo)
    figures = [image_figure("nll", "exact", -exact, "lower", "nats", "of the data's own law, not of the model")]
    common = density(subject.prior).log_prob_error
    for k, values in result.log_likelihood.items():
        estimator = f"is-{k}{subject.certainty}"
        figures.append(possible(image_figure("excess_nll", estimator, exact - values, "lower", "nats", common=common)))
    return figures


def possible(excess: Figure) -> Figure:
    """The figure, with a note where it lies further below 0 than its whole error explains."""
    if excess.error is None or excess.value >= -3 * excess.error:
        return excess
    return replace(excess, note="impossible: the model cannot beat the data's own law")


def last(result: Importance) -> int:
    """The largest K."""
    return max(result.log_likelihood)


def warning(result: Importance, k: int) -> str:
    """A note for the figure at K draws, where it is the largest K and its weights call for one."""
    unreliable = (result.pareto_k > RELIABLE).double().mean().item()
    if k < last(result) or unreliable <= TOLERATED:
        return ""
    return f"unreliable: k-hat > {RELIABLE} for over {TOLERATED:.0%} of images"
