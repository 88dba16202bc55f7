"""Networks: an encoder x -> numbers of the posterior, and a decoder z -> numbers of the likelihood.

    name          source                                             data      widths
    mlp           gated layers (IOP, VampPrior)                      any       of the hidden layers, also none
    dense         a plain ReLU network                               any       of the hidden layers, also none
    conv          none: a small pair                                 images    channels, each halving the side
    dpvae         Burgess et al. 2018, as dpVAE uses it for MNIST    images    channels, dense units
    flexae        FlexAE (Mondal et al. 2021)                        images    channels, channels, dense units
    infogan       2-Stage VAE (Dai and Wipf 2019)                    images    channels, channels, dense units
    vaepp         VAEPP, for 28 x 28 pixels                          images    channels of the blocks
    vaepp-cifar   VAEPP, for CIFAR-10                                images    channels before and after halving

A backbone is a function of the data's shape, the numbers that the posterior reads, the latent dimension, the numbers
that the likelihood reads for an element, and widths whose default is the source's. It raises ValueError for data or
widths that do not fit. Sides need not be divisible by anything: the decoder gives exactly the encoder's shape.
Weights start at PyTorch's defaults but where a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from models.backbones.base import Backbone, Shape
from models.backbones.conv import conv
from models.backbones.dense import dense
from models.backbones.dpvae import dpvae
from models.backbones.flexae import flexae, infogan
from models.backbones.gated import GatedLinear, gated_stack, mlp
from models.backbones.vaepp import vaepp, vaepp_cifar

__all__ = ["BACKBONES", "Backbone", "GatedLinear", "Shape", "gated_stack"]
__all__ += ["conv", "dense", "dpvae", "flexae", "infogan", "mlp", "vaepp", "vaepp_cifar"]

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "mlp": mlp,
    "dense": dense,
    "conv": conv,
    "dpvae": dpvae,
    "flexae": flexae,
    "infogan": infogan,
    "vaepp": vaepp,
    "vaepp-cifar": vaepp_cifar,
}
