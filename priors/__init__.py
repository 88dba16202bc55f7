"""Interchangeable laws over the codes of an autoencoder. Start with `base` (the contract) and `registry`."""

from priors.base import Adversarial, Density, Host, OptimiserSettings, Player, Prior, Unsupported
from priors.registry import PRIORS, make, register

__all__ = [
    "PRIORS",
    "Adversarial",
    "Density",
    "Host",
    "OptimiserSettings",
    "Player",
    "Prior",
    "Unsupported",
    "make",
    "register",
]
