"""How codes and prior fit each other: divergences, leakage, the parts of the ELBO's KL term."""

from __future__ import annotations

import math

from benchmarks.evaluation.metric import finite, metric
from benchmarks.evaluation.subject import CODES, Subject
from benchmarks.metrics import latent
from benchmarks.metrics.codes import active_units, wasserstein_1
from benchmarks.metrics.figure import Figure
from priors.base import Density, Unsupported, density

LEVELS = (0.001, 0.01, 0.1)
"""Quantiles of ln p(z) at which leakage is shown."""


@metric("prior")
def prior(subject: Subject) -> list[Figure]:
    """What the fitted prior knows of itself: a learned beta, ln Z with its error, an acceptance rate."""
    subject.prior.sample(64)  # a sampler's acceptance is known once it has run
    known = subject.prior.report()
    if not known:
        raise Unsupported(f"{type(subject.prior).__name__} has nothing to tell of itself")
    return [Figure(one.name, "prior", one.value, one.unit, "none", one.error) for one in known]


@metric("skl", draws=True)
def skl(subject: Subject) -> list[Figure]:
    """KL(p||q) + KL(q||p) of the prior and the aggregate posterior q(z): in-sample, leave-one-out, and by 1-NN.

    `direct` weighs a code's own posterior in q(z), `leave-one-out` leaves it out: at narrow posteriors the first mostly
    measures the number of images. `1-nn` needs samples alone (dpVAE's protocol); a prior without a density has only it.
    """
    draws = subject.draws
    estimator, floor = f"1-nn-{CODES}", latent.skl_knn(draws, subject.prior.sample(CODES)).value
    figures = [
        Figure("skl", estimator, latent.skl_knn(draws, subject.codes[0]).value, "nats", "lower"),
        Figure("skl", f"{estimator}-floor", floor, "nats", "none", note="between two samples of the prior"),
    ]
    if isinstance(subject.prior, Density):
        prior = latent.divergence(subject.log_p_at_draws, subject.aggregate.log_prob_in_chunks(draws))
        for name, log_q in (("direct", subject.at_codes.aggregate), ("leave-one-out", subject.at_codes.without)):
            both = latent.SymmetricKL(prior, latent.divergence(log_q, subject.log_p_at_codes)).total
            estimator = f"{name}-{CODES}{subject.certainty}"
            figures.append(Figure("skl", estimator, both.value, "nats", "lower", both.error))
    return figures


@metric("leakage", draws=True)
def leakage(subject: Subject) -> list[Figure]:
    """LS(tau), codes where ln p(z) < tau weighed by ln q(z) - ln p(z), over dpVAE's tau and at quantiles of ln p.

    An error of the prior's ln Z moves ln p(z) of all codes alike, and quantiles of ln p are of draws: both are part of
    the figures' errors.
    """
    common = density(subject.prior).log_prob_error
    log_q, log_p = subject.at_codes.aggregate, subject.log_p_at_codes
    thresholds: dict[str, float | latent.Quantile] = {f"tau={tau:g}": tau for tau in latent.THRESHOLDS}
    levels = latent.quantile_thresholds(subject.log_p_at_draws, LEVELS)
    thresholds |= {f"quantile={level:g}": tau for level, tau in zip(LEVELS, levels, strict=True)}
    figures = []
    found = latent.leakage(log_p, log_q, list(thresholds.values()), common)
    for name, at in zip(thresholds, found, strict=True):
        estimator, note = f"{name}{subject.certainty}", "" if at.share.value else "no code leaks"
        figures.append(Figure("leakage", estimator, at.score.value, "nats", "lower", finite(at.score.error), note))
        among = f"{estimator}+leaking-only"
        if at.share.value:
            figures.append(Figure("leakage", among, at.among.value, "nats", "lower", finite(at.among.error)))
        figures.append(Figure("leaking_codes", estimator, at.share.value, "share", "lower", at.share.error))
    return figures


@metric("elbo_surgery")
def elbo_surgery(subject: Subject) -> list[Figure]:
    """The training set's KL term as I(image; code) + KL(q(z)||p) (Hoffman and Johnson 2016)."""
    common = density(subject.prior).log_prob_error
    at = subject.at_codes
    parts = latent.elbo_surgery(at.conditional, at.aggregate, subject.log_p_at_codes)
    errors = {"kl": common, "mutual_information": 0.0, "marginal": common}
    return [
        Figure(
            name,
            f"in-sample-{CODES}{subject.certainty}",
            part.value,
            "nats",
            "none",
            math.hypot(part.error, errors[name]),
        )
        for name, part in vars(parts).items()
    ]


@metric("latent_w1", draws=True)
def latent_w1(subject: Subject) -> list[Figure]:
    """Wasserstein-1 distance between test codes and the prior's draws, exact between 1000 points of each.

    Between two samples of one law it is not 0: that floor (the prior against itself) is printed beside it.
    """
    count = min(1000, len(subject.data.test))
    codes, first, second = subject.q[:count].sample(), subject.prior.sample(count), subject.prior.sample(count)
    floor = wasserstein_1(first, second)
    return [
        Figure("latent_w1", f"ot-{count}", wasserstein_1(codes, first), "none", "lower"),
        Figure("latent_w1", f"ot-{count}-floor", floor, "none", "none", note="between two samples of the prior"),
        Figure("latent_spread", "codes", codes.double().var(0).sum().sqrt().item(), "none", "none"),
    ]


@metric("active_units")
def active(subject: Subject) -> list[Figure]:
    """Latent dimensions that the encoder uses."""
    return [Figure("active_units", "variance>0.01", active_units(subject.q.mean), "dimensions", "none")]
