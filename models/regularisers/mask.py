"""What drives a mask on the codes to 0 or 1."""

from __future__ import annotations

from torch import Tensor

from models.masked import MaskedPoint
from models.regularisers.base import REGULARISERS, Coded, Regulariser
from priors.base import Host, Unsupported
from priors.space import Float


@REGULARISERS.register("mask")
class Mask(Regulariser):
    """weight sum_i m_i (1 - m_i) + sparsity sum_i m_i of the codes' mask m (after Mondal et al. 2020, MaskAAE).

    The first is least where every m_i is 0 or 1; the second is what an open dimension costs, in nats an image. The
    paper's own terms have the same minima, and other slopes. Raises Unsupported but for the posterior masked.
    """

    space = {"weight": Float(0.1, 10.0, log=True), "sparsity": Float(1e-3, 1.0, log=True)}

    def __init__(self, host: Host, *, weight: float = 1.0, sparsity: float = 0.1):
        super().__init__()
        if weight < 0 or sparsity < 0:
            raise ValueError(f"mask needs weight >= 0 and sparsity >= 0, not {weight} and {sparsity}")
        self.weight, self.sparsity = weight, sparsity

    def term(self, coded: Coded) -> Tensor:
        if not isinstance(coded.q, MaskedPoint):
            raise Unsupported("mask is of masked codes: use model.posterior = 'masked'")
        m = coded.q.mask
        return self.weight * (m * (1 - m)).sum() + self.sparsity * m.sum()
