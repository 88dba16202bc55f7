"""The KL held to a capacity that grows."""

from __future__ import annotations

import torch
from torch import Tensor

from models.regularisers.base import REGULARISERS, Coded, Regulariser
from priors.base import Host
from priors.space import Float


@REGULARISERS.register("capacity")
class Capacity(Regulariser):
    """beta-VAE with capacity: gamma |KL - C| in place of the KL (beta-VAE-B, Burgess et al. 2018).

    Adds gamma |KL - C| - KL, with KL the mean over the batch. C rises linearly from 0 to `capacity` nats an image over
    the first `steps` training steps. dpVAE's code compares sums over a batch of 24: its C of 25 is 25/24 here.
    """

    space = {"gamma": Float(1.0, 100.0, log=True), "capacity": Float(0.5, 50.0, log=True)}

    def __init__(self, host: Host, *, gamma: float = 15.0, capacity: float = 25.0, steps: int = 100_000):
        super().__init__()
        if gamma < 0 or capacity < 0 or steps < 1:
            raise ValueError(
                f"capacity needs gamma >= 0, capacity >= 0 and steps >= 1, not {gamma}, {capacity} and {steps}"
            )
        self.gamma, self.capacity, self.steps = gamma, capacity, steps

    def target(self, step: int | Tensor) -> Tensor:
        """C after `step` steps, in nats an image, a scalar."""
        return self.capacity * torch.as_tensor(step / self.steps).clamp(max=1.0)

    def term(self, coded: Coded) -> Tensor:
        kl = coded.demand_kl()
        return self.gamma * (kl - self.target(coded.batch.step)).abs() - kl
