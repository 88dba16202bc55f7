"""What an energy prior's parts are at: its critic of data, its normaliser's estimate, its distance from N(0, I)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from benchmarks.estimators.estimate import Estimate, remarks
from benchmarks.estimators.estimator import Certainty, Estimator
from benchmarks.metrics.base import mean_estimate, metric
from benchmarks.metrics.evaluated import CHUNK, CODES, Evaluated, in_chunks
from models.posteriors import TruncatedNormal
from priors.base import DataCritic, Prior, Unsupported, density
from priors.parts.defensive import as_normal
from priors.parts.normal import log_standard_normal

IMAGES = 64
"""x ~ p(x|z) at each code, over which a critic's mean is taken."""


@metric("critic", draws=True, rows=("critic_generated", "critic_reconstructed", "critic_mean_gap"))
def critic(evaluated: Evaluated) -> list[Estimate]:
    """D(G(z)) at the prior's draws and at codes, and how far E[D(x)] of x ~ p(x|z) is from it (VAEPP, section 5.4).

    The gap is of each code: the mean over codes of |mean of D(x) - D(G(z))|, IMAGES draws of x a code, whose own spread
    it contains. Under a Bernoulli likelihood these x are 0 and 1, while the critic was trained on images before any
    binarisation: the gap tells what it makes of the draws, not of the data.
    """
    criticise, model = critic_of(evaluated.prior).criticise_data, evaluated.model
    z = evaluated.q[: evaluated.count].sample()
    generated, reconstructed = (
        torch.cat([criticise(model.decode(part)) for part in in_chunks(codes)])
        for codes in (evaluated.prior.sample(evaluated.count), z)
    )
    gaps, rows = [], CHUNK // IMAGES  # codes at a time, of the first CHUNK
    for part, at_mean in zip(z[:CHUNK].split(rows), reconstructed[:CHUNK].split(rows), strict=True):
        x = model.likelihood.sample(model.parameters_of_x(part.repeat_interleave(IMAGES, 0)))
        gaps.append((criticise(x).unflatten(0, (len(part), IMAGES)).mean(1) - at_mean).abs())
    how, of_each = draws(evaluated.count), draws(IMAGES)
    return [
        mean_estimate("critic_generated", how, generated.double(), "none", "none"),
        mean_estimate("critic_reconstructed", how, reconstructed.double(), "none", "none"),
        mean_estimate("critic_mean_gap", of_each, torch.cat(gaps).double(), "none", "none"),
    ]


def critic_of(prior: Prior) -> DataCritic:
    """The prior as one that holds a critic of data, or Unsupported with the reason."""
    if isinstance(prior, DataCritic):
        return prior
    raise Unsupported(f"{type(prior).__name__} has no critic of data")


@metric("normaliser", rows=("kl_base_to_prior", "var_zhat_normal", "var_zhat_truncated"))
def normaliser(evaluated: Evaluated) -> list[Estimate]:
    """KL(N(0, I)||p), and the relative variance of Z-hat's weights under normal and truncated posteriors (VAEPP, 5.4).

    Z-hat's weight at z ~ q(z|x_j) is N f(z) / q(z|x_j) (equation 8). Its variance over its squared mean, divided by the
    number of draws, is the relative variance of Z-hat. Truncation makes it small by leaving out what makes it large:
    neither is a measure of Z-hat's error as an estimate of Z.
    """
    law = density(evaluated.prior)
    if law.certainty == "exact":
        raise Unsupported(f"{type(evaluated.prior).__name__} is normalised exactly: it has no Z to estimate")
    z = torch.randn(CODES, evaluated.q.event_shape[0], device=evaluated.q.mean.device)
    divergence = log_standard_normal(z) - evaluated.log_p(z)
    how, common = draws(CODES, evaluated.certainty), law.log_prob_error
    with_error = mean_estimate("kl_base_to_prior", how, divergence, "none", "nats", common=common)
    normal = as_normal(evaluated.encoded)[torch.randint(len(evaluated.data.train), (CODES,), device=z.device)]
    laws: dict[str, Distribution] = {"normal": normal, "truncated": TruncatedNormal(normal)}
    told = "of one draw's weight, over its squared mean; the paper does not say what its variance is relative to"
    return [with_error] + [
        Estimate(
            f"var_zhat_{name}", draws(CODES), relative_variance(evaluated, q), "none", "none", remarks=remarks(told)
        )
        for name, q in laws.items()
    ]


def draws(count: int, certainty: Certainty = "exact") -> Estimator:
    """A mean over so many draws."""
    return Estimator("draws", draws=(count,), certainty=certainty)


def relative_variance(evaluated: Evaluated, q: Distribution) -> float:
    """Var(w) / E(w)^2 of the weights w = p(z) / q(z|x_j), z ~ q(z|x_j), one draw a row of q."""
    z = q.sample()
    log_weight: Tensor = evaluated.log_p(z) - q.log_prob(z).double()
    weight = (log_weight - log_weight.max()).exp()
    return (weight.var() / weight.mean().square()).item()
