"""A prior on the indices of quantised codes, one after another: VQ-VAE's second stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from priors.base import Batch, Codes, Diagnostic, Host, OptimiserSettings, Player, Prior, Unsupported
from priors.parts.checks import above, at_least
from priors.parts.fitting import Done, play
from priors.parts.grid import positions_of
from priors.parts.normal import normal_like
from priors.registry import register
from priors.space import Float, Int

ROWS = 2000
"""Codes that are drawn, or scored, at a time."""


class Next(nn.Module):
    """Logits of every index given those before it: a gated recurrent network over the positions."""

    def __init__(self, entries: int, width: int):
        super().__init__()
        self.embed = nn.Embedding(entries + 1, width)  # the last is what stands before the first
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, entries)

    def forward(self, before: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(logits (B, T, K), state) of the positions after `before` (B, T)."""
        h, state = self.recurrent(self.embed(before), state)
        return self.out(h), state


@register("indices")
class Indices(Prior):
    """Autoregressive law on quantised codes' indices, fitted after training (van den Oord et al. 2017, section 3.2).

        p(i_1, ..., i_P) = prod_t p(i_t | i_1, ..., i_{t-1}),   each a softmax over the vectors that codes are made of.

    The vectors are found in the codes themselves: a code of D numbers is P vectors (`positions_of`), of which there may
    be `entries` different ones in all. A gated recurrent network of `width` units stands for the paper's PixelCNN, in
    the order of the positions; `steps`, `lr`, `batch_size`: of its training, by Adam. Before it is fitted draws are of
    N(0, I), and a plain autoencoder asks for none.

    Its law is on a finite set of codes and no density on R^D: there is no likelihood. The diagnostic "index_nll" is
    -ln p of a training image's indices, in nats, which is a rate of the codes and no likelihood of images.
    Raises Unsupported where codes are of more than `entries` vectors, as those that are not quantised.
    """

    space = {"width": Int(32, 512, log=True), "steps": Int(500, 50_000, log=True), "lr": Float(1e-4, 1e-2, log=True)}
    reparameterised = True  # in training: it learns nothing there
    vectors: Tensor
    used: Tensor
    nll: Tensor

    def __init__(
        self,
        host: Host,
        *,
        entries: int = 512,
        width: int = 128,
        steps: int = 3000,
        lr: float = 1e-3,
        batch_size: int = 200,
    ):
        super().__init__()
        at_least("indices", 1, entries=entries, width=width, batch_size=batch_size)
        at_least("indices", 0, steps=steps)
        above("indices", 0, lr=lr)
        self.positions, self.entries = positions_of(host.latent_dim), entries
        self.steps, self.lr, self.batch_size = steps, lr, batch_size
        self.network = Next(entries, width)
        self.register_buffer("vectors", torch.zeros(entries, host.latent_dim // self.positions))
        self.register_buffer("used", torch.tensor(entries))
        self.register_buffer("nll", torch.zeros(2, dtype=torch.float64))  # and its standard error
        self.done = Done()

    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """None: the network is trained in `fit` and takes no part in the model's loss."""
        return ()

    def logits(self, before: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Those of the next indices (B, T, K), -inf for vectors that do not exist."""
        logits, state = self.network(before, state)
        return logits.masked_fill(torch.arange(self.entries, device=before.device) >= self.used, -math.inf), state

    def shifted(self, index: Tensor) -> Tensor:
        """What stands before every index, (B, P)."""
        return torch.cat([torch.full_like(index[:, :1], self.entries), index[:, :-1]], 1)

    def rate(self, index: Tensor) -> Tensor:
        """-ln p of indices (B, P) in nats, (B,)."""
        logits, _ = self.logits(self.shifted(index))
        return F.cross_entropy(logits.mT, index, reduction="none").sum(1)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        like = self.vectors.new_empty(1, self.positions * self.vectors.shape[1])
        if not self.done.known:
            return normal_like(like, n)
        parts = [self.vectors[self.drawn(len(part))].flatten(1) for part in torch.arange(n).split(ROWS)]
        return torch.cat([*parts, like[:0]])

    def drawn(self, n: int) -> Tensor:
        """n draws of the indices, (n, P), position by position."""
        last, state, found = torch.full((n, 1), self.entries, device=self.vectors.device), None, []
        for _ in range(self.positions):
            logits, state = self.logits(last, state)
            last = torch.multinomial(logits[:, 0].softmax(-1), 1)
            found.append(last)
        return torch.cat(found, 1)

    def fit(self, codes: Codes) -> None:
        """Finds the vectors and trains the network on their indices, once."""
        if self.done.known:
            return
        index = self.indexed(codes.posterior.mean.detach())

        def draw() -> Tensor:
            return index[torch.randint(len(index), (self.batch_size,), device=index.device)]

        player = Player("indices", tuple(self.network.parameters()), self.loss, OptimiserSettings(self.lr))
        self.network.train()  # cuDNN has no gradient of a recurrent network in evaluation mode
        play([player], draw, self.steps)
        self.network.train(self.training)
        self.done.settle()
        with torch.no_grad():
            rate = torch.cat([self.rate(part) for part in index.split(ROWS)]).double()
        self.nll.copy_(torch.stack([rate.mean(), rate.std(correction=0) / len(rate) ** 0.5]))

    def indexed(self, z: Tensor) -> Tensor:
        """Codes (N, D) as indices of their vectors (N, P), which are kept."""
        vectors, index = z.unflatten(1, (self.positions, -1)).flatten(0, 1).unique(dim=0, return_inverse=True)
        if len(vectors) > self.entries:
            raise Unsupported(
                f"indices is a law on {self.entries} vectors, and these codes are of {len(vectors)}: use "
                "model.posterior = 'quantised', or more entries"
            )
        self.vectors[: len(vectors)] = vectors
        self.used.fill_(len(vectors))
        return index.view(-1, self.positions)

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The mean of -ln p over indices `batch.x` (B, P), nats an image."""
        return self.rate(batch.x).mean(), {}

    def report(self) -> Sequence[Diagnostic]:
        value, error = self.nll.tolist()
        return (Diagnostic("index_nll", value, "nats", error),) if self.done.known else ()
