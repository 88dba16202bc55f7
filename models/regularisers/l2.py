"""RAE-L2: codes and decoder weights kept small."""

from __future__ import annotations

from torch import Tensor

from models.regularisers.base import REGULARISERS, Coded, Regulariser
from priors.base import Host
from priors.space import Float


@REGULARISERS.register("l2")
class L2(Regulariser):
    """L2 of the codes and of the decoder's weights: weight E||z||^2 + decoder_weight ||theta||^2 (Ghosh et al. 2020).

    It needs no KL and no density of the posterior: beside a squared error and a deterministic encoder it is RAE-L2.
    RAE's code takes means over the P elements of x and the D of z: beside the squared error of a whole image (the
    likelihood gaussian-fixed of variance 1/2) its beta and L2 are weight = P beta / D and decoder_weight = P L2.
    The defaults are its 1e-4 and 1e-7 of MNIST, P = 784, D = 16; CIFAR-10's 1e-3 and 1e-6 give 0.024 and 3.1e-3.
    """

    space = {"weight": Float(1e-4, 1.0, log=True)}

    def __init__(self, host: Host, *, weight: float = 4.9e-3, decoder_weight: float = 7.84e-5):
        super().__init__()
        if weight < 0 or decoder_weight < 0:
            raise ValueError(f"l2 needs weight >= 0 and decoder_weight >= 0, not {weight} and {decoder_weight}")
        self.weight, self.decoder_weight = weight, decoder_weight

    def term(self, coded: Coded) -> Tensor:
        codes = coded.z.square().sum(-1).mean()
        theta = sum(parameter.square().sum() for parameter in coded.networks.decoder)
        return self.weight * codes + self.decoder_weight * theta
