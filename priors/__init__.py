"""Interchangeable laws over the codes of an autoencoder, and all that a law of one's own is written with.

`base` is the contract, `registry` knows the laws by name, and every other module at this level is one law or a part of
the contract. A plug-in imports from here, never from `parts`.
"""

from priors.base import (
    Adversarial,
    Batch,
    Codes,
    DataCritic,
    Density,
    Diagnostic,
    Host,
    IndexedDistribution,
    OptimiserSettings,
    Player,
    Prior,
    Unsupported,
    density,
)
from priors.parts.energy import Energy
from priors.parts.fitting import play
from priors.parts.flows import Flow, TransformKind, autoregressive_layers, bounded, univariate
from priors.parts.latent_gan import LatentGAN
from priors.parts.mcmc import hmc, mala, tune
from priors.parts.networks import Scalar, code_critic, data_critic, mlp
from priors.parts.normal import (
    DiagonalNormal,
    NormalMixture,
    NormalMixtureDensity,
    log_mean_exp,
    log_standard_normal,
    mixture_of,
    normal_like,
)
from priors.parts.penalties import PENALTIES, interpolate, wgan_gp
from priors.parts.residual import residual_critic
from priors.registry import PRIORS, make, register
from priors.space import Choice, Float, Int, Range

# the contract
__all__ = ["Adversarial", "DataCritic", "Density", "Energy", "Flow", "NormalMixtureDensity", "Prior"]
__all__ += ["Batch", "Codes", "Diagnostic", "Host", "IndexedDistribution", "OptimiserSettings", "Player", "Unsupported"]
__all__ += ["PRIORS", "Choice", "Float", "Int", "Range", "density", "make", "register"]
# laws that others are made of
__all__ += ["DiagonalNormal", "NormalMixture", "log_mean_exp", "log_standard_normal", "mixture_of", "normal_like"]
__all__ += ["TransformKind", "autoregressive_layers", "bounded", "univariate"]
# networks, what trains them after the autoencoder, and chains
__all__ += ["LatentGAN", "Scalar", "code_critic", "data_critic", "mlp", "residual_critic"]
__all__ += ["PENALTIES", "interpolate", "play", "wgan_gp"]
__all__ += ["hmc", "mala", "tune"]
