"""A small autoencoder to try a prior on, without training anything: for tests, examples and plug-in authors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from priors.base import Codes, Host
from priors.parts.normal import DiagonalNormal


class ToyAutoencoder(nn.Module):
    """Random linear networks, x (B, P) -> q(z|x) of D dimensions and z (B, D) -> E[x|z] (B, P), and N training x."""

    images: Tensor

    def __init__(self, latent_dim: int, data_dim: int, count: int):
        super().__init__()
        self.encoder = nn.Linear(data_dim, 2 * latent_dim)
        self.decoder = nn.Linear(latent_dim, data_dim)
        self.register_buffer("images", torch.rand(count, data_dim))

    def encode(self, x: Tensor) -> DiagonalNormal:
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        return DiagonalNormal(2 * mean, log_variance)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).sigmoid()


@dataclass(frozen=True)
class ToyHost(Host):
    """A host that knows the autoencoder behind its callables, which a real one does not."""

    autoencoder: ToyAutoencoder


def toy_host(latent_dim: int = 2, data_dim: int = 6, dtype: torch.dtype = torch.float32, count: int = 500) -> ToyHost:
    """A host with random linear networks: `count` training x in [0, 1]^data_dim, q(z|x) a diagonal normal.

    The parameters of `host.autoencoder` take part in the gradient as a real encoder's do.
    """
    toy = ToyAutoencoder(latent_dim, data_dim, count).to(dtype)
    return ToyHost(
        latent_dim=latent_dim,
        data_shape=(data_dim,),
        count=count,
        bounded=True,
        stochastic=True,
        encode=toy.encode,
        decode=toy.decode,
        examples=lambda n: toy.images[torch.randint(count, (n,), device=toy.images.device)],
        inputs=lambda index: toy.images[index],
        autoencoder=toy,
    )


def toy_codes(host: ToyHost) -> Codes:
    """The codes of all training x of a `toy_host`, for `Prior.fit`."""
    toy = host.autoencoder
    with torch.no_grad():
        q = toy.encode(toy.images)
    return Codes(lambda: q)
