"""beta-TCVAE: the KL split into mutual information, total correlation and the rest, each with its weight."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.distributions import Distribution

from models.regularisers.base import REGULARISERS, Coded, Regulariser
from priors.base import Host, Unsupported
from priors.parts.normal import LOG_2PI, DiagonalNormal
from priors.space import Float

Estimator = Literal["stratified", "weighted"]


@REGULARISERS.register("tc")
class TC(Regulariser):
    """beta-TCVAE: mutual information, total correlation and the rest of the KL weighed apart (Chen et al. 2018).

        KL = I(x; z) + TC + E_q(z)[ln prod_d q(z_d) - ln p(z)],  TC = KL(q(z) || prod_d q(z_d)), q(z) = E_x q(z|x).

    Adds (alpha - 1) I + (beta - 1) TC + (gamma - 1) (KL - I - TC). The prior enters through the KL alone, so any
    density will do, dpVAE's included; the last part is the sum of KL(q(z_d) || p(z_d)) where p factorises.

    alpha, beta, gamma: the parts' whole weights, beside a loss per image. dpVAE's weigh means beside a batch's sum of
        squared errors: divided by its batch size they are those of here.
    estimator: of q(z) from the batch, see `log_aggregate`.
    Raises Unsupported without a density of every dimension of the posterior.
    """

    space = {"beta": Float(1.0, 50.0, log=True)}

    def __init__(
        self,
        host: Host,
        *,
        alpha: float = 1.0,
        beta: float = 4.0,
        gamma: float = 1.0,
        estimator: Estimator = "stratified",
    ):
        super().__init__()
        if min(alpha, beta, gamma) < 0:
            raise ValueError(f"tc needs alpha, beta and gamma >= 0, not {alpha}, {beta} and {gamma}")
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.count, self.estimator = host.count, estimator

    def term(self, coded: Coded) -> Tensor:
        kl = coded.demand_kl()
        information, correlation = decompose(coded.q, coded.z, self.count, self.estimator)
        rest = kl - information - correlation
        return (self.alpha - 1) * information + (self.beta - 1) * correlation + (self.gamma - 1) * rest


def decompose(q: Distribution, z: Tensor, count: int, estimator: Estimator = "stratified") -> tuple[Tensor, Tensor]:
    """I(x; z) and TC in nats, scalars, from one draw z (B, D) of the batch's posteriors q. count: N training images.

    The logarithm of an estimate is low, that of q(z) more than those of single dimensions: I is high and TC low, by a
    nat each at D = 10, B = 100 and posteriors of a tenth of the variance; more where narrower.
    """
    if not isinstance(q, DiagonalNormal):
        raise Unsupported(
            f"tc needs a density of every dimension of the posterior, which {type(q).__name__} does not give: use "
            "model.posterior = 'normal', or the regulariser factor"
        )
    joint, product = log_aggregate(q, z, count, estimator)
    return (q.log_prob(z) - joint).mean(), (joint - product).mean()


def log_aggregate(q: DiagonalNormal, z: Tensor, count: int, estimator: Estimator) -> tuple[Tensor, Tensor]:
    """ln q(z_i) and ln prod_d q(z_id) from a batch of N = `count` images, z_i a draw of its i-th posterior, (B,) each.

    stratified: q(z_i) = q(z_i|x_i) / N + (N - 1) / (N (B - 1)) sum_{j != i} q(z_i|x_j), unbiased, and exact at B = N
        (the paper gives one of the others another weight than the rest: the same mean with a larger variance).
        A batch of one tells nothing of the others and counts as all the data.
    weighted: 1 / (N B) sum_j q(z_i|x_j), the paper's other estimator: the batch's mixture less a constant, ln N.
    """
    scaled = (z[:, None] - q.mean).square() * (-q.log_variance).exp()
    each = -0.5 * (scaled + q.log_variance + LOG_2PI)  # (B, B, D): ln q(z_id|x_j)
    weight = log_weight(z.new_zeros(len(z), len(z)), count, estimator)  # (B, B)
    joint = (each.sum(-1) + weight).logsumexp(1)
    product = (each + weight[..., None]).logsumexp(1).sum(-1)
    return joint, product


def log_weight(zeros: Tensor, count: int, estimator: Estimator) -> Tensor:
    """Log weight of the j-th posterior for the i-th draw, zeros (B, B) -> (B, B)."""
    size = len(zeros)
    if estimator == "weighted":
        return zeros - math.log(size * count)
    if size == 1:
        return zeros
    return (zeros + math.log((count - 1) / (count * (size - 1)))).fill_diagonal_(-math.log(count))
