"""Importance sampling of an unnormalised density f from the defensive proposal: weights, ln Z, and draws by weight."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from priors import sizes
from priors.parts.defensive import Defensive
from priors.parts.log_z import LogZ, log_z_of

ROWS = 1024
"""How many codes' ln f is computed at a time on a CPU."""

CATEGORIES = 2**24
"""The largest number of categories that `torch.multinomial` draws from."""


def log_normaliser(log_f: Callable[[Tensor], Tensor], proposal: Defensive, draws: int) -> LogZ:
    """ln Z = ln E_r[f(z) / r(z)] by importance sampling, exactly half of the draws from each side of r.

    log_f: (n, D) -> (n,), in nats. Each half estimates its side's mean weight, so Z's estimate stays unbiased.
    """
    return log_z_of(*(log_weights(log_f, proposal, z) for z in proposal.sides(draws // 2)))


def log_weights(log_f: Callable[[Tensor], Tensor], proposal: Defensive, z: Tensor) -> Tensor:
    """ln f(z) - ln r(z), (n, D) -> (n,), float64 and without a gradient."""
    with torch.no_grad():
        return torch.cat([log_f(part).double() for part in z.split(rows(z))]) - proposal.log_prob(z)


def rows(z: Tensor) -> int:
    """Codes whose ln f, which may take an image each, is computed at a time, or whose chains move together."""
    return sizes.rows(z.device, sizes.IMAGE, ROWS)


def drawn(weight: Tensor, n: int) -> Tensor:
    """n indices of weights (N,), with replacement, each as often as its weight says, (n,).

    Beyond CATEGORIES they are found in the running total, in float64, as float32 would merge the weights.
    """
    if len(weight) <= CATEGORIES:
        return torch.multinomial(weight, n, replacement=True)
    total = weight.double().cumsum(0)
    at = torch.rand(n, dtype=total.dtype, device=total.device) * total[-1]
    return torch.searchsorted(total, at, right=True).clamp(max=len(weight) - 1)


def one_of_each(z: Tensor, log_weight: Tensor) -> Tensor:
    """Of every row's K proposals z (n, K, D) one, by its weight among them, from log weights (n, K); (n, D)."""
    k = torch.multinomial(log_weight.softmax(-1), 1)
    return z.gather(1, k[..., None].expand(-1, -1, z.shape[-1])).squeeze(1)
