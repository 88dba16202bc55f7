"""The contract of an autoencoder: it encodes, decodes, scores a reconstruction, and says which players train it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from models.backbones.base import Backbone
from models.likelihoods import Likelihood
from models.posteriors import Posterior
from models.regularisers.base import Coded, Networks, Regulariser, Regularisers
from priors.base import Batch, Host, IndexedDistribution, Player, Prior
from priors.registry import Registry, subclass_of


class Indexed(Protocol):
    """Images that need not exist as floating point all at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice, /) -> Tensor: ...


class Autoencoder(nn.Module, ABC):
    """A backbone between a posterior q(z|x) and a likelihood p(x|z); the objective is the subclass's.

    A third party's registers as `@MODELS.register("name")` and is built as kind(backbone, posterior, likelihood).
    """

    def __init__(self, backbone: Backbone, posterior: Posterior, likelihood: Likelihood):
        super().__init__()
        self.encoder, self.decoder = backbone.encoder, backbone.decoder
        self.posterior, self.likelihood = posterior, likelihood
        self.regularisers = Regularisers()

    def regularise(self, regularisers: Sequence[Regulariser]) -> None:
        """Adds terms to the objective; they are built on this model's `host`, hence after it."""
        self.regularisers.extend(regularisers)

    def encode(self, x: Tensor) -> IndexedDistribution:
        """x (B, *data_shape) -> q(z|x), batch (B,), event (D,)."""
        return self.posterior(self.encoder(self.likelihood.seen(x)).to(x.dtype))

    def encode_all(self, x: Indexed, chunk: int = 1000) -> IndexedDistribution:
        """q(z|x) of all images, batch (N,), in chunks and without a gradient. x is indexed by slices."""
        with torch.no_grad():
            parts = [self.encoder(self.likelihood.seen(x[i : i + chunk])) for i in range(0, len(x), chunk)]
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

    def score(self, x: Tensor, z: Tensor) -> Tensor:
        """`log_likelihood` where nobody asks for its gradient: the same up to rounding, and faster on a CPU."""
        return self.likelihood.score(x, self.parameters_of_x(z))

    def host(
        self,
        data_shape: tuple[int, ...],
        count: int,
        bounded: bool,
        examples: Callable[[int], Tensor],
        inputs: Callable[[Tensor], Tensor],
    ) -> Host:
        """This model as a prior or a regulariser sees it. count: N, training examples."""
        return Host(
            latent_dim=self.posterior.latent_dim,
            data_shape=data_shape,
            count=count,
            bounded=bounded,
            stochastic=self.posterior.stochastic,
            encode=self.encode,
            decode=self.decode,
            examples=examples,
            inputs=inputs,
        )

    @property
    def halves(self) -> Networks:
        """The parameters of what gives the codes, and of the decoder."""
        return Networks((*self.encoder.parameters(), *self.posterior.parameters()), tuple(self.decoder.parameters()))

    @property
    def networks(self) -> tuple[nn.Parameter, ...]:
        """What the reconstruction trains: encoder, posterior, decoder and likelihood."""
        parts = (self.encoder, self.posterior, self.decoder, self.likelihood)
        return tuple(p for part in parts for p in part.parameters() if p.requires_grad)

    def regulariser_players(self, prior: Prior) -> tuple[Player, ...]:
        """The players of all regularisers, in their order; Unsupported where one cannot work with the prior."""
        for one in self.regularisers:
            one.check(prior)
        return tuple(player for one in self.regularisers for player in one.players(self.halves, prior))

    def terms(self, batch: Batch, q: Distribution, z: Tensor, kl: Tensor | None, prior: Prior) -> dict[str, Tensor]:
        """What the regularisers add to the loss, by the regulariser's class."""
        coded = Coded(batch, q, z, kl, prior, self.halves)
        return {type(one).__name__.lower(): one.term(coded) for one in self.regularisers}

    @abstractmethod
    def players(self, prior: Prior) -> Sequence[Player]:
        """The turns of one training step, in their order, the prior's own players among them.

        What a prior leaves over descends the model's loss. Several players may train the same parameters, each by an
        optimiser of its own (FlexAE's encoder has three turns a step).
        """

    @abstractmethod
    def validation_loss(self, x: Tensor, prior: Prior) -> Tensor:
        """The loss that early stopping watches, in nats an image, (B,)."""


MODELS: Registry[type[Autoencoder]] = Registry(
    "model type",
    ("models.vae", "models.wae"),
    subclass_of(Autoencoder),
    "a subclass of models.base.Autoencoder",
    '@MODELS.register("name")',
)
