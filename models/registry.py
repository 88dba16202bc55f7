"""Models, backbones, posteriors and likelihoods by name, and the one function that puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from models.backbones import BACKBONES
from models.base import Autoencoder
from models.likelihoods import LIKELIHOODS, Gaussian, GaussianFixed, Likelihood, Logistic
from models.posteriors import POSTERIORS
from models.regularisers import REGULARISERS
from models.vae import VAE
from models.wae import AE, WAE

MODELS: dict[str, type[Autoencoder]] = {"vae": VAE, "wae": WAE, "ae": AE}

PARTS: Mapping[str, Mapping[str, Any]] = {
    "type": MODELS,
    "backbone": BACKBONES,
    "posterior": POSTERIORS,
    "likelihood": LIKELIHOODS,
    "regulariser": REGULARISERS,
}


def make(
    data_shape: tuple[int, ...],
    bounded: bool,
    *,
    type: str,
    backbone: str,
    widths: tuple[int, ...] | None,
    latent_dim: int,
    posterior: str,
    likelihood: str,
    log_variance: tuple[float, float] = (-12.0, 4.0),
    variance: float = 0.5,
    step: float = 1 / 255,
) -> Autoencoder:
    """An autoencoder for x of `data_shape`, `bounded` if x lies in [0, 1]; its weights from torch's random state.

    widths: None takes the backbone's own. log_variance: range of the posterior's. variance: of the likelihood
    gaussian-fixed. step: between the grey levels of x, for the logistic likelihood.
    ValueError where the parts do not fit each other or the data.
    """
    p_x = make_likelihood(likelihood, data_shape, bounded, variance, step)
    q_z = POSTERIORS[posterior](latent_dim, log_variance)
    own = {} if widths is None else {"widths": widths}
    networks = BACKBONES[backbone](data_shape, q_z.outputs, latent_dim, p_x.outputs, **own)
    return MODELS[type](networks, q_z, p_x)


def make_likelihood(
    name: str, data_shape: tuple[int, ...], bounded: bool, variance: float = 0.5, step: float = 1 / 255
) -> Likelihood:
    """The likelihood; ValueError where it cannot describe the data."""
    kind = LIKELIHOODS[name]
    if issubclass(kind, Gaussian):
        squash = torch.sigmoid if bounded else torch.nn.Identity()
        return kind(data_shape, squash, variance) if issubclass(kind, GaussianFixed) else kind(data_shape, squash)
    if not bounded:
        raise ValueError(f"the {name} likelihood needs x in [0, 1]; this data set is unbounded: use a gaussian one")
    return kind(data_shape, step) if issubclass(kind, Logistic) else kind(data_shape)
