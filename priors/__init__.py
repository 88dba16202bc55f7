"""Interchangeable laws over the codes of an autoencoder, and all that a law of one's own is written with.

`base` is the contract, `registry` knows the laws by name, and every other module at this level is one law or a part of
the contract. A plug-in imports from here, never from `parts`.

A name is imported when it is first asked for: what is told of mistakes and of registries needs no torch, which takes
seconds to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

MODULES = (
    "priors.space",
    "priors.registry",
    "priors.base",
    "priors.parts.energy",
    "priors.parts.fitting",
    "priors.parts.flows",
    "priors.parts.latent_gan",
    "priors.parts.mcmc",
    "priors.parts.networks",
    "priors.parts.normal",
    "priors.parts.penalties",
    "priors.parts.residual",
)
"""Where these names are defined, those that need no torch first."""


def __getattr__(name: str) -> Any:
    """What a plug-in imports, from the first module that has it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return next(getattr(one, name) for one in map(import_module, MODULES) if hasattr(one, name))
