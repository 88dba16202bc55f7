"""How codes and prior fit each other: divergences, leakage, the parts of the ELBO's KL term."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.estimators import latent
from benchmarks.estimators.codes import active_units, wasserstein_1
from benchmarks.estimators.estimate import Estimate, remarks
from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics.base import BOTH, Deciding, Sees, finite, metric
from benchmarks.metrics.evaluated import CODES, Evaluated
from priors.base import Density, Unsupported, density

LEVELS = (0.001, 0.01, 0.1)
"""Quantiles of ln p(z) at which leakage is shown."""


DIAGNOSTICS = (
    *("beta", "gamma", "acceptance", "mcmc_acceptance", "log_z", "log_z_effective", "log_z_hat", "log_z_disagreement"),
    *(
        "log_z_mixture",
        "log_z_mixture_effective",
        "log_z_mixture_pareto_k",
        "log_z_annealed",
        "log_z_annealed_effective",
    ),
)
"""What the project's own priors tell of themselves; a plug-in's may tell more, which a table has under its name."""


@metric("prior", rows=DIAGNOSTICS)
def prior(evaluated: Evaluated) -> list[Estimate]:
    """What the fitted prior knows of itself: a learned beta, ln Z with its error, an acceptance rate."""
    evaluated.prior.sample(64)  # a sampler's acceptance is known once it has run
    known = evaluated.prior.report()
    if not known:
        raise Unsupported(f"{type(evaluated.prior).__name__} has nothing to tell of itself")
    return [Estimate(one.name, Estimator("prior"), one.value, one.unit, "none", one.error) for one in known]


@metric(
    "skl",
    draws=True,
    deciding=Deciding("codes", "skl", "leave-one-out"),
    sees=tuple(Sees("skl", BOTH, kind) for kind in ("1-nn", "direct", "leave-one-out")),
)
def skl(evaluated: Evaluated) -> list[Estimate]:
    """KL(p||q) + KL(q||p) of the prior and the aggregate posterior q(z): in-sample, leave-one-out, and by 1-NN.

    `direct` weighs a code's own posterior in q(z), `leave-one-out` leaves it out: at narrow posteriors the first mostly
    measures the number of images. `1-nn` needs samples alone (dpVAE's protocol); a prior without a density has only it.
    """
    draws = evaluated.draws
    nearest, floor = Estimator("1-nn", draws=(CODES,)), latent.skl_knn(draws, evaluated.prior.sample(CODES)).value
    beside, of_prior = replace(nearest, of="floor"), remarks("between two samples of the prior")
    estimates = [
        Estimate("skl", nearest, latent.skl_knn(draws, evaluated.codes[0]).value, "nats", "lower"),
        Estimate("skl", beside, floor, "nats", "none", remarks=of_prior),
    ]
    if isinstance(evaluated.prior, Density):
        prior = latent.divergence(evaluated.log_p_at_draws, evaluated.aggregate.log_prob_in_chunks(draws))
        for name, log_q in (("direct", evaluated.at_codes.aggregate), ("leave-one-out", evaluated.at_codes.without)):
            both = latent.SymmetricKL(prior, latent.divergence(log_q, evaluated.log_p_at_codes)).total
            estimator = Estimator(name, draws=(CODES,), certainty=evaluated.certainty)
            estimates.append(Estimate("skl", estimator, both.value, "nats", "lower", both.error))
    return estimates


@metric(
    "leakage",
    draws=True,
    rows=("leakage", "leaking_codes"),
    sees=tuple(Sees(row, ("coverage",), "quantile", "=0.01") for row in ("leakage", "leaking_codes")),
)
def leakage(evaluated: Evaluated) -> list[Estimate]:
    """LS(tau), codes where ln p(z) < tau weighed by ln q(z) - ln p(z), over dpVAE's tau and at quantiles of ln p.

    An error of the prior's ln Z moves ln p(z) of all codes alike, and quantiles of ln p are of draws: both are part of
    the estimates' errors.
    """
    common = density(evaluated.prior).log_prob_error
    log_q, log_p = evaluated.at_codes.aggregate, evaluated.log_p_at_codes
    levels = latent.quantile_thresholds(evaluated.log_p_at_draws, LEVELS)
    thresholds: dict[Estimator, float | latent.Quantile] = {
        **{Estimator("tau", at=f"={tau:g}"): tau for tau in latent.THRESHOLDS},
        **{Estimator("quantile", at=f"={level:g}"): tau for level, tau in zip(LEVELS, levels, strict=True)},
    }
    found = latent.leakage(log_p, log_q, list(thresholds.values()), common)
    return [
        estimate
        for how, at in zip(thresholds, found, strict=True)
        for estimate in leaks(replace(how, certainty=evaluated.certainty), at)
    ]


def leaks(how: Estimator, at: latent.Leakage) -> list[Estimate]:
    """The estimates at one threshold; where no code leaks, none of the leaking codes alone."""
    told, among = remarks("" if at.share.value else "no code leaks"), replace(how, variant="leaking-only")
    estimates = [Estimate("leakage", how, at.score.value, "nats", "lower", finite(at.score.error), told)]
    if at.share.value:
        estimates.append(Estimate("leakage", among, at.among.value, "nats", "lower", finite(at.among.error)))
    return [*estimates, Estimate("leaking_codes", how, at.share.value, "share", "lower", at.share.error)]


@metric(
    "elbo_surgery",
    rows=("kl in-sample", "mutual_information", "marginal"),
    sees=(Sees("marginal", ("coverage",), worse="higher"),),
)
def elbo_surgery(evaluated: Evaluated) -> list[Estimate]:
    """The training set's KL term as I(image; code) + KL(q(z)||p) (Hoffman and Johnson 2016)."""
    common = density(evaluated.prior).log_prob_error
    at = evaluated.at_codes
    parts = latent.elbo_surgery(at.conditional, at.aggregate, evaluated.log_p_at_codes)
    errors = {"kl": common, "mutual_information": 0.0, "marginal": common}
    how = Estimator("in-sample", draws=(CODES,), certainty=evaluated.certainty)
    return [
        Estimate(name, how, part.value, "nats", "none", math.hypot(part.error, errors[name]))
        for name, part in vars(parts).items()
    ]


@metric(
    "latent_w1",
    draws=True,
    rows=("latent_w1", "latent_spread"),
    deciding=Deciding("codes", "latent_w1", "ot"),
    sees=(Sees("latent_w1", BOTH),),
)
def latent_w1(evaluated: Evaluated) -> list[Estimate]:
    """Wasserstein-1 distance between test codes and the prior's draws, exact between 1000 points of each.

    Between two samples of one law it is not 0: that floor (the prior against itself) is printed beside it.
    """
    count = min(1000, len(evaluated.data.test))
    codes, first, second = evaluated.q[:count].sample(), evaluated.prior.sample(count), evaluated.prior.sample(count)
    transport, floor = Estimator("ot", draws=(count,)), wasserstein_1(first, second)
    beside, of_prior = replace(transport, of="floor"), remarks("between two samples of the prior")
    return [
        Estimate("latent_w1", transport, wasserstein_1(codes, first), "none", "lower"),
        Estimate("latent_w1", beside, floor, "none", "none", remarks=of_prior),
        Estimate("latent_spread", Estimator("codes"), codes.double().var(0).sum().sqrt().item(), "none", "none"),
    ]


@metric("active_units")
def active(evaluated: Evaluated) -> list[Estimate]:
    """Latent dimensions that the encoder uses."""
    how = Estimator("variance", at=">0.01")
    return [Estimate("active_units", how, active_units(evaluated.q.mean), "dimensions", "none")]
