"""The contract of an autoencoder: it encodes, decodes, scores a reconstruction, and says which players train it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from models.backbones import Backbone
from models.likelihoods import Likelihood
from models.posteriors import Posterior
from priors.base import Host, Player, Prior


class Indexed(Protocol):
    """Images that need not exist as floating point all at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice, /) -> Tensor: ...


class Autoencoder(nn.Module, ABC):
    """A backbone between a posterior q(z|x) and a likelihood p(x|z); the objective is the subclass's."""

    def __init__(self, backbone: Backbone, posterior: Posterior, likelihood: Likelihood):
        super().__init__()
        self.encoder, self.decoder = backbone.encoder, backbone.decoder
        self.posterior, self.likelihood = posterior, likelihood

    def encode(self, x: Tensor) -> Distribution:
        """x (B, *data_shape) -> q(z|x), batch (B,), event (D,)."""
        return self.posterior(self.encoder(x).to(x.dtype))

    def encode_all(self, x: Indexed, chunk: int = 1000) -> Distribution:
        """q(z|x) of all images, batch (N,), in chunks and without a gradient. x is indexed by slices."""
        with torch.no_grad():
            parts = [self.encoder(x[i : i + chunk]) for i in range(0, len(x), chunk)]
        return self.posterior(torch.cat(parts))

    def parameters_of_x(self, z: Tensor) -> Tensor:
        """What the likelihood needs at each code, z (..., D) -> (..., P, *data_shape)."""
        out = self.decoder(z.reshape(-1, z.shape[-1])).to(z.dtype)  # back from autocast, before any logarithm
        return out.reshape(*z.shape[:-1], *out.shape[1:])

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z], z (..., D) -> (..., *data_shape)."""
        return self.likelihood.mean(self.parameters_of_x(z))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """ln p(x|z) in nats, x (B, *data_shape), z (..., B, D) -> (..., B)."""
        return self.likelihood.log_prob(x, self.parameters_of_x(z))

    def host(self, data_shape: tuple[int, ...], bounded: bool, examples: Callable[[int], Tensor]) -> Host:
        """This model as a prior sees it."""
        return Host(
            latent_dim=self.posterior.latent_dim,
            data_shape=data_shape,
            bounded=bounded,
            stochastic=self.posterior.stochastic,
            encode=self.encode,
            decode=self.decode,
            examples=examples,
        )

    @abstractmethod
    def players(self, prior: Prior) -> Sequence[Player]:
        """The turns of one training step, in their order, the prior's own players among them.

        A player owns its parameters for the whole step; what a prior leaves over descends the model's loss.
        """

    @abstractmethod
    def validation_loss(self, x: Tensor, prior: Prior) -> Tensor:
        """The figure that early stopping watches, in nats an image, (B,)."""
