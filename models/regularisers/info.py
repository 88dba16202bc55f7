"""InfoVAE: a divergence of the aggregated posterior in place of a part of the KL."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from models.regularisers.base import REGULARISERS, Coded, Regulariser
from models.regularisers.mmd import imq, mmd2, rbf
from priors.base import Host
from priors.space import Float


@REGULARISERS.register("info")
class Info(Regulariser):
    """InfoVAE: a part of the KL gives way to MMD between the codes and the prior's draws (Zhao et al. 2019).

    The loss is -E ln p(x|z) + (1 - alpha) KL + (alpha + lambda - 1) MMD^2(q(z), p(z)), so what is added is
    -alpha KL + (alpha + lambda - 1) MMD^2. The prior is met through its draws, as many as codes: any prior that a VAE
    can train will do, and one whose draws are `reparameterised` learns from them too. MMD^2 is unbiased (`mmd2`).

    alpha: 0 keeps the KL, 1 drops it. weight: lambda, beside a loss per image; dpVAE's 1000 with alpha = 0 stands
        beside sums over a batch of 24: 1 + 999/24 here.
    kernel: "rbf" is exp(-r^2 / D^2), as in dpVAE; "imq" is that of WAE-MMD.
    """

    space = {"weight": Float(1.0, 1000.0, log=True), "alpha": Float(0.0, 1.0)}

    def __init__(
        self, host: Host, *, alpha: float = 0.0, weight: float = 1000.0, kernel: Literal["rbf", "imq"] = "rbf"
    ):
        super().__init__()
        if alpha > 1 or alpha + weight < 1:
            raise ValueError(f"info needs alpha <= 1 and alpha + weight >= 1, not {alpha} and {weight}")
        self.alpha, self.weight = alpha, weight
        self.kernel = rbf(host.latent_dim**2) if kernel == "rbf" else imq(host.latent_dim)

    def term(self, coded: Coded) -> Tensor:
        discrepancy = mmd2(coded.z, coded.prior.rsample(len(coded.z)), self.kernel)
        return (self.alpha + self.weight - 1) * discrepancy - self.alpha * coded.demand_kl()
