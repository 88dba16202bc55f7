"""The log-likelihood by importance sampling, with what tells whether to trust it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.estimators.indexed import Indexed
from priors import sizes
from priors.base import IndexedDistribution
from priors.parts.normal import log_mean_exp
from priors.parts.pareto import pareto_k

ROWS = 1024
"""Codes decoded at a time on a CPU: enough for full-speed products, few enough that activations stay in the cache."""


@dataclass(frozen=True)
class Importance:
    """Estimates for N images, float64, nats.

    log_likelihood: K -> ln p(x), (N,). elbo, reconstruction, kl: (N,), means over all draws.
    effective: share of the draws that count, (sum w)^2 / (K sum w^2), (N,).
    largest: largest normalised weight, (N,). pareto_k: shape of the weights' tail, (N,); above 0.7 it is unreliable.
    """

    log_likelihood: dict[int, Tensor]
    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor
    effective: Tensor
    largest: Tensor
    pareto_k: Tensor


FIGURES = ("elbo", "reconstruction", "kl", "effective", "largest", "pareto_k")


def importance_sampling(
    x: Indexed,
    q: IndexedDistribution,
    log_likelihood: Callable[[Tensor, Tensor], Tensor],
    log_prior: Callable[[Tensor], Tensor],
    samples: Sequence[int],
    seed: Callable[[int], int],
    numbers: int = sizes.IMAGE,
    rows: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Importance:
    """ln p(x) = logsumexp_k [ln p(x|z_k) + ln p(z_k) - ln q(z_k|x)] - ln K, z_k ~ q(z|x) (Burda et al. 2016, eq. 8).

    Every K takes the first K draws of one stream. Image i draws from its own stream, seeded by seed(i), so neither
    the number of rows at a time nor the other images change its estimates but by rounding, 1e-5 of them at most.

    x: the images, x[i] (*shape), a tensor or anything indexed like one. q: batch (N,), already encoded.
    log_likelihood: (x (B, *shape), z (S, B, D)) -> (S, B). log_prior: (S, B, D) -> (S, B).
    samples: the values of K. numbers: that a decoded code takes, about. rows: codes decoded at a time, where not as
    many as usual. Memory: `rows` decoded codes, and max(K) numbers an image.
    """
    samples, most, device = sorted(samples), max(samples), x[0].device
    rows = rows or sizes.rows(device, numbers, ROWS)
    side = sizes.rows(device, most * numbers, max(1, rows // most))  # images decoded together
    size = max(side, 64 * rows // most)  # images summarised together: bounds memory, and how often progress is told
    count = q.batch_shape[0]
    estimates = torch.empty(len(samples) + len(FIGURES), count, dtype=torch.float64)
    for start in range(0, count, size):
        images = range(start, min(start + size, count))
        parts = [images[i : i + side] for i in range(0, len(images), side)]
        terms = [draw(x, q, part, log_likelihood, log_prior, most, seed, rows) for part in parts]
        distortion, rate = (torch.cat(list(term)) for term in zip(*terms, strict=True))  # (B, K) each
        # Kept apart, they would split the heap.
        estimates[:, start : images.stop] = summarise(distortion, rate, samples)
        progress(images.stop)
    of_samples, others = estimates.split([len(samples), len(FIGURES)])
    return Importance(dict(zip(samples, of_samples, strict=True)), **dict(zip(FIGURES, others, strict=True)))


def draw(
    x: Indexed,
    q: IndexedDistribution,
    images: range,
    log_likelihood: Callable[[Tensor, Tensor], Tensor],
    log_prior: Callable[[Tensor], Tensor],
    samples: int,
    seed: Callable[[int], int],
    rows: int,
) -> tuple[Tensor, Tensor]:
    """-ln p(x|z_k) and ln q(z_k|x) - ln p(z_k) of some images' draws, (B, K) each, float64."""
    seen = x[images.start : images.stop]
    drawn = [own_draw(q[i : i + 1], samples, seed(i), seen.device) for i in images]
    z, log_q = (torch.cat(part, 1) for part in zip(*drawn, strict=True))
    chunks = z.split(max(1, rows // len(images)))
    distortion = torch.cat([-log_likelihood(seen, chunk).double() for chunk in chunks])
    log_p = torch.cat([log_prior(chunk).double() for chunk in chunks])
    return distortion.T, (log_q - log_p).T


def own_draw(q: IndexedDistribution, samples: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """z_k (K, 1, D) and ln q(z_k|x) (K, 1), float64, of one image, from its own stream. q: batch (1,)."""
    seeded(seed, device)
    whole = -(-samples // 16) * 16  # torch draws in blocks of 16: the first K are then the same for any larger K
    z = q.sample((whole,))
    log_q = q.log_prob(z)[:samples].double()  # of the whole draw, which a flow posterior need not invert
    return z[:samples], log_q


def seeded(seed: int, device: torch.device) -> None:
    """The state that `torch.manual_seed` leaves, without asking every device that is not used: dear once an image."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def summarise(distortion: Tensor, rate: Tensor, samples: Sequence[int]) -> Tensor:
    """ln p(x) for every number of samples, then FIGURES, (F, B), from the terms of B images under K draws, (B, K)."""
    log_weight = -distortion - rate  # ln p(x, z_k) - ln q(z_k|x)
    normalised = log_weight.log_softmax(1)
    effective = (-(2 * normalised).logsumexp(1)).exp() / log_weight.shape[1]
    estimates = [log_mean_exp(log_weight[:, :k], 1) for k in samples]
    means = [log_weight.mean(1), distortion.mean(1), rate.mean(1)]
    return torch.stack([*estimates, *means, effective, normalised.amax(1).exp(), pareto_k(log_weight)])
