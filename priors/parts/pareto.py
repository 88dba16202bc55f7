"""Whether an importance-sampling estimate can be trusted, by the tail of its weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

RELIABLE = 0.7
"""Pareto k-hat above which an importance-sampling estimate is not to be trusted (Vehtari et al. 2024)."""

EQUAL = 1e-3
"""Largest weight over the tail's threshold, relative to it, below which the weights count as equal."""


def pareto_k(log_weight: Tensor) -> Tensor:
    """k-hat of the largest weights' generalised Pareto tail, (B, K) -> (B,); nan below 25 draws.

    The tail has min(K/5, 3 sqrt(K)) weights (Vehtari et al. 2024). The shape is Zhang and Stephens' (2009) posterior
    mean over a grid of b = -k/sigma, with the weak prior towards 0.5 of 10 pseudo-observations. Weights that are equal
    up to rounding, as under the exact posterior, have no tail to fit: k-hat is 0.
    """
    draws = log_weight.shape[1]
    tail = math.ceil(min(0.2 * draws, 3 * math.sqrt(draws)))
    if draws < 25:
        return torch.full((len(log_weight),), math.nan, dtype=log_weight.dtype, device=log_weight.device)
    top = log_weight.topk(tail + 1, dim=1).values.flip(1)  # ascending
    weight = (top - top[:, -1:]).exp()
    excess = (weight[:, 1:] - weight[:, :1]).clamp(min=1e-300)  # (B, M) over the threshold
    grid = 30 + math.floor(math.sqrt(tail))
    steps = 1 - (grid / (torch.arange(1, grid + 1, dtype=excess.dtype, device=excess.device) - 0.5)).sqrt()  # (G,)
    quartile = excess[:, math.floor(tail / 4 + 0.5) - 1]
    b = 1 / excess[:, -1:] + steps / (3 * quartile[:, None])  # (B, G)
    k = torch.log1p(-b[:, :, None] * excess[:, None]).mean(2)  # (B, G)
    profile = tail * ((-b / k).log() - k - 1)
    b = (b * profile.softmax(1)).sum(1, keepdim=True)
    k = torch.log1p(-b * excess).mean(1)
    shape = (tail * k + 10 * 0.5) / (tail + 10)
    return torch.where(excess[:, -1] < EQUAL, 0.0, shape)
