"""The likelihood by annealed importance sampling, which needs no good posterior: the referee of importance sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from benchmarks.common.seeds import seed_for
from benchmarks.estimators.annealing import Annealing, Joint, bounds, lower_bound, tuned_step
from benchmarks.estimators.estimate import Estimate
from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics.base import Deciding, image_estimate, mean_estimate, metric
from benchmarks.metrics.evaluated import Evaluated
from models.base import Indexed
from priors.base import density
from priors.parts.defensive import as_normal

IMAGES, HOW = 50, Annealing(steps=500, chains=8)
"""Test images, the first, and simulated ones; their chains cost 8000 gradients an image."""


@metric("ais", rows=("nll ais", "ais_gap"), deciding=Deciding("likelihood", "nll", "ais", rank=1))
def ais(evaluated: Evaluated) -> list[Estimate]:
    """ln p(x) of the first 50 test images from below, of as many simulated ones from both sides (BDMC); nats.

    Chains start from the posterior, widened, and take one Hamiltonian move a temperature; their step size is tuned on
    a pilot and frozen. `-simulated` rows are of images that the model drew from z ~ p: the negative lower and upper
    bounds on ln p(x), and their difference, which says how far the bound on the test images may be off, as far as the
    model's images are like them. Where the prior's draws are not exact there are no such rows.
    """
    law = density(evaluated.prior)
    how = Estimator("ais", draws=(HOW.steps, HOW.chains), certainty=evaluated.certainty)
    real = joint(evaluated, evaluated.data.test[: min(IMAGES, len(evaluated.data.test))], evaluated.data.test.seen)
    step_size = tuned_step(real, HOW, seed_for(evaluated.seed, "ais", "pilot"))
    lower = lower_bound(real, HOW, step_size, stream_of(evaluated, "test"), telling(evaluated, "ais", len(real)))
    bound = "an upper bound in expectation"
    estimates = [image_estimate("nll", how, -lower, "lower", "nats", bound, common=law.log_prob_error)]
    return estimates if law.certainty != "exact" else estimates + simulated(evaluated, step_size, how)


def simulated(evaluated: Evaluated, step_size: float, how: Estimator) -> list[Estimate]:
    """Both bounds on images of the model's own, and the gap between them."""
    z = evaluated.prior.sample(IMAGES)
    x = evaluated.model.likelihood.sample(evaluated.model.parameters_of_x(z))
    told = telling(evaluated, "ais, simulated images", len(z))
    found = bounds(joint(evaluated, x, x), z, HOW, step_size, stream_of(evaluated, "simulated"), told)
    gap, own = found.upper - found.lower, "of the model's own images"
    above, below = replace(how, of="simulated"), replace(how, of="simulated-reverse")
    return [
        mean_estimate("nll", above, -found.lower, "none", "nats", f"{own}, from above"),
        mean_estimate("nll", below, -found.upper, "none", "nats", f"{own}, from below"),
        mean_estimate("ais_gap", how, gap, "none", "nats", f"between the bounds, {own}"),
    ]


def joint(evaluated: Evaluated, x: Tensor, seen: Indexed) -> Joint:
    """p(x, z) of images, with the posterior that the encoder gives to what it sees of them."""
    q = as_normal(evaluated.model.encode_all(seen[: len(x)]))
    return Joint(x, q, evaluated.model.log_likelihood, density(evaluated.prior).frozen())


def stream_of(evaluated: Evaluated, which: str) -> Callable[[int], int]:
    """Seeds of the blocks of images."""
    return lambda first: seed_for(evaluated.seed, "ais", which, first)


def telling(evaluated: Evaluated, what: str, count: int) -> Callable[[int], None]:
    """Tells the display how many images are done."""
    return lambda done: evaluated.progress(what, done, count)
