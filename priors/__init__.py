"""Interchangeable laws over the codes of an autoencoder. Start with `base` (the contract) and `registry`."""

from priors.base import Adversarial, Density, Host, OptimiserSettings, Player, Prior, Unsupported
from priors.registry import available, make, register

__all__ = [
    "Adversarial",
    "Density",
    "Host",
    "OptimiserSettings",
    "Player",
    "Prior",
    "Unsupported",
    "available",
    "make",
    "register",
]
