"""Networks: an encoder x -> numbers of the posterior, and a decoder z -> numbers of the likelihood.

    name          source                                             data      widths
    mlp           gated layers (IOP, VampPrior)                      any       of the hidden layers, also none
    dense         a plain ReLU network                               any       of the hidden layers, also none
    conv          none: a small pair                                 images    channels, each halving the side
    dpvae         Burgess et al. 2018, as dpVAE uses it for MNIST    images    channels, dense units
    flexae        FlexAE (Mondal et al. 2021)                        images    channels, channels, dense units
    hvae          VampPrior (Tomczak and Welling 2018), two levels   any       of the layers, two
    infogan       2-Stage VAE (Dai and Wipf 2019)                    images    channels, channels, dense units
    vaepp         VAEPP, for 28 x 28 pixels                          images    channels of the blocks
    vaepp-cifar   VAEPP, for CIFAR-10                                images    channels before and after halving

A backbone is a function that registers as `@BACKBONES.register("name")` and is called as

    backbone(data_shape, encoder_outputs, latent_dim, outputs, widths) -> Backbone(encoder, decoder)

with the data's shape, the numbers that the posterior reads, the latent dimension, the numbers that the likelihood reads
for an element, and widths whose default is the source's: they are left out where a suite gives none. It raises
ValueError for data or widths that do not fit. Sides need not be divisible by anything: the decoder gives exactly the
encoder's shape. Weights start at PyTorch's defaults but where a docstring says otherwise.
"""

from models.backbones.base import BACKBONES, Backbone, Shape

__all__ = ["BACKBONES", "Backbone", "Shape"]
