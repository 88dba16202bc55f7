"""What holds a codebook and the encoder's numbers together."""

from __future__ import annotations

from torch import Tensor

from models.quantised import QuantisedPoint
from models.regularisers.base import REGULARISERS, Coded, Regulariser
from priors.base import Host, Unsupported
from priors.space import Float


@REGULARISERS.register("commitment")
class Commitment(Regulariser):
    """VQ-VAE's two terms between codebook and encoder (van den Oord et al. 2017, eq. 3).

    ||sg[h] - e||^2 + weight ||h - sg[e]||^2, h the encoder's numbers, e the codebook's entries in their place, sg no
    gradient; a sum over the code, mean over the batch.

    The first moves the codebook, the second the encoder. Raises Unsupported but for the posterior quantised.
    """

    space = {"weight": Float(0.05, 2.0, log=True)}

    def __init__(self, host: Host, *, weight: float = 0.25):
        super().__init__()
        if weight < 0:
            raise ValueError(f"commitment needs weight >= 0, not {weight}")
        self.weight = weight

    def term(self, coded: Coded) -> Tensor:
        q = coded.q
        if not isinstance(q, QuantisedPoint):
            raise Unsupported("commitment is of quantised codes: use model.posterior = 'quantised'")
        codebook = (q.before.detach() - q.chosen).square().sum(-1).mean()
        encoder = (q.before - q.chosen.detach()).square().sum(-1).mean()
        return codebook + self.weight * encoder
