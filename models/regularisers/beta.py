"""The KL with a weight of its own."""

from __future__ import annotations

from torch import Tensor

from models.regularisers.base import REGULARISERS, Coded, Regulariser
from priors.base import Host
from priors.space import Float


@REGULARISERS.register("beta")
class Beta(Regulariser):
    """beta-VAE: the KL weighed by beta in place of 1 (beta-VAE-H, Higgins et al. 2017).

    Adds (beta - 1) KL: nothing at beta = 1. The prior enters through the KL alone, so any density will do.
    """

    space = {"beta": Float(0.1, 20.0, log=True)}

    def __init__(self, host: Host, *, beta: float = 5.0):
        super().__init__()
        if beta < 0:
            raise ValueError(f"beta needs beta >= 0, not {beta}")
        self.beta = beta

    def term(self, coded: Coded) -> Tensor:
        return (self.beta - 1) * coded.demand_kl()
