"""The parts of a model by name, and the one function that puts them together.

Nothing here knows a part by its name or type: how each kind is built stands where the kind is defined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from models.backbones import BACKBONES
from models.backbones.initial import he
from models.base import MODELS, Autoencoder
from models.likelihoods import LIKELIHOODS, Likelihood, Observed
from models.posteriors import POSTERIORS
from models.regularisers import REGULARISERS
from priors.registry import Registry

PARTS: Mapping[str, Registry[Any]] = {
    "type": MODELS,
    "backbone": BACKBONES,
    "posterior": POSTERIORS,
    "likelihood": LIKELIHOODS,
    "regulariser": REGULARISERS,
}
"""By what a suite calls each kind."""


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
    initialisation: Literal["own", "he"] = "own",
    step: float = 1 / 255,
    levels: int | None = None,
) -> Autoencoder:
    """An autoencoder for x of `data_shape`, `bounded` if x lies in [0, 1]; its weights from torch's random state.

    widths: None takes the backbone's own. log_variance: range of the posterior's. variance: of the likelihood
    gaussian-fixed. initialisation: "he" draws the networks' weights anew (`initial.he`). step: between the grey levels
    of x, and levels: how many those are, for likelihoods of whole numbers.
    ValueError where the parts do not fit each other or the data.
    """
    p_x = make_likelihood(likelihood, Observed(data_shape, bounded, step, variance, levels))
    q_z = POSTERIORS[posterior](latent_dim, log_variance)
    own = {} if widths is None else {"widths": widths}
    networks = BACKBONES[backbone](data_shape, q_z.outputs, latent_dim, p_x.outputs, **own)
    if initialisation == "he":
        he((*networks, q_z))
    return MODELS[type](networks, q_z, p_x)


def make_likelihood(name: str, observed: Observed) -> Likelihood:
    """The likelihood; ValueError where it cannot describe the data."""
    kind = LIKELIHOODS[name]
    if kind.needs_bounded and not observed.bounded:
        raise ValueError(f"the {name} likelihood needs x in [0, 1]; this data set is unbounded: use a gaussian one")
    return kind.of(observed)
