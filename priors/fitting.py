"""Training after training: networks that a prior fits to the codes once the autoencoder is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from priors.base import Batch, Player


def play(players: Sequence[Player], draw: Callable[[], Tensor], steps: int) -> None:
    """Every step, every player's turns in their order, each on fresh codes `draw()` (B, D), by Adam.

    The same players as in training, with codes in place of images; a player's `lr` must be set.
    """
    settings = [player.optimiser for player in players]
    optimisers = [
        torch.optim.Adam(player.parameters, lr=s.lr, betas=s.betas, weight_decay=s.weight_decay)
        for player, s in zip(players, settings, strict=True)
    ]
    for step in range(steps):
        for player, adam in zip(players, optimisers, strict=True):
            for _ in range(player.turns):
                loss, _ = player.loss(Batch(draw(), step=step))
                gradients = torch.autograd.grad(loss, player.parameters)
                for parameter, gradient in zip(player.parameters, gradients, strict=True):
                    parameter.grad = gradient
                adam.step()
