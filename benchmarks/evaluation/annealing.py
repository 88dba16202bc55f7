"""The likelihood by annealed importance sampling, which needs no good posterior: the referee of importance sampling."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from benchmarks.evaluation.metric import image_figure, mean_figure, metric
from benchmarks.evaluation.subject import Subject
from benchmarks.metrics.annealing import Annealing, Joint, bounds, lower_bound, tuned_step
from benchmarks.metrics.figure import Figure
from benchmarks.seeds import seed_for
from models.base import Indexed
from priors.base import density
from priors.parts.defensive import as_normal

IMAGES, HOW = 50, Annealing(steps=500, chains=8)
"""Test images, the first, and simulated ones; their chains cost 8000 gradients an image."""


@metric("ais")
def ais(subject: Subject) -> list[Figure]:
    """ln p(x) of the first 50 test images from below, of as many simulated ones from both sides (BDMC); nats.

    Chains start from the posterior, widened, and take one Hamiltonian move a temperature; their step size is tuned on
    a pilot and frozen. `-simulated` rows are of images that the model drew from z ~ p: the negative lower and upper
    bounds on ln p(x), and their difference, which says how far the bound on the test images may be off, as far as the
    model's images are like them. Where the prior's draws are not exact there are no such rows.
    """
    law = density(subject.prior)
    name = f"ais-{HOW.steps}x{HOW.chains}{subject.certainty}"
    real = joint(subject, subject.data.test[: min(IMAGES, len(subject.data.test))], subject.data.test.seen)
    step_size = tuned_step(real, HOW, seed_for(subject.seed, "ais", "pilot"))
    lower = lower_bound(real, HOW, step_size, stream_of(subject, "test"), telling(subject, "ais", len(real)))
    note = "an upper bound in expectation"
    figures = [image_figure("nll", name, -lower, "lower", "nats", note, law.log_prob_error)]
    return figures if law.certainty != "exact" else figures + simulated(subject, step_size, name)


def simulated(subject: Subject, step_size: float, name: str) -> list[Figure]:
    """Both bounds on images of the model's own, and the gap between them."""
    z = subject.prior.sample(IMAGES)
    x = subject.model.likelihood.sample(subject.model.parameters_of_x(z))
    told = telling(subject, "ais, simulated images", len(z))
    found = bounds(joint(subject, x, x), z, HOW, step_size, stream_of(subject, "simulated"), told)
    gap, own = found.upper - found.lower, "of the model's own images"
    return [
        mean_figure("nll", f"{name}-simulated", -found.lower, "none", "nats", f"{own}, from above"),
        mean_figure("nll", f"{name}-simulated-reverse", -found.upper, "none", "nats", f"{own}, from below"),
        mean_figure("ais_gap", name, gap, "none", "nats", f"between the bounds, {own}"),
    ]


def joint(subject: Subject, x: Tensor, seen: Indexed) -> Joint:
    """p(x, z) of images, with the posterior that the encoder gives to what it sees of them."""
    q = as_normal(subject.model.encode_all(seen[: len(x)]))
    return Joint(x, q, subject.model.log_likelihood, density(subject.prior).frozen())


def stream_of(subject: Subject, which: str) -> Callable[[int], int]:
    """Seeds of the blocks of images."""
    return lambda first: seed_for(subject.seed, "ais", which, first)


def telling(subject: Subject, what: str, count: int) -> Callable[[int], None]:
    """Tells the display how many images are done."""
    return lambda done: subject.progress(what, done, count)
