"""The implicit optimal prior: the standard normal times a learned density ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from priors.base import Batch, Host, OptimiserSettings, Player, Unsupported
from priors.parts.checks import at_least, layered
from priors.parts.energy import Energy
from priors.parts.importance import rows
from priors.parts.networks import dropout, mlp
from priors.parts.normal import log_standard_normal
from priors.registry import register
from priors.space import Float, Int


@register("implicit")
class Implicit(Energy):
    """Implicit optimal prior: p(z) = N(z | 0, I) exp(T(z)) / Z, T a learned log density ratio (Takahashi et al. 2019).

    T estimates ln q(z) / N(z | 0, I), q the aggregated posterior (eq. 14). Its player descends

        E_q softplus(-T(z1)) + E_N softplus(T(z0)),

    which is eq. 13 (an argmax, not a maximum) with the sign turned: z1 ~ q(z|x) for the batch's x, z0 ~ N(0, I), as
    many of each, and no gradient to the encoder. In the VAE's loss the gradient of T reaches the encoder through z
    (eq. 19); that T should itself follow the encoder is what eq. 21 neglects. Dropout before T's last layer acts in
    the player's own loss only; initialisation is Glorot's, biases 0.

    The paper takes N(z) exp(T(z)) for a density. It is one only where T is exact: `log_prob` subtracts ln Z, and the
    paper's figure is the convention "unnormalised", ln p + ln Z.

    turns: updates of T a training step, the first on the step's batch and the others on fresh images. Ten are as many
        in an epoch as the paper's ten epochs of T for one of the VAE.
    selection: "paper" stops early by the loss without ln Z, which picks epochs at which Z is large: they look better
        than they are. "normalised" is `Energy`'s.
    sampling: "resampling" and "mcmc" draw from the normalised density (`Energy`). "ancestral", the paper's, takes a
        training image x, then z ~ q(z|x): the law of these draws is the aggregated posterior, whatever T is.
    Raises Unsupported on a deterministic encoder, whose codes have no density ratio to N(0, I).
    """

    space = {
        "dropout": Float(0.0, 0.8),
        "lr": Float(1e-4, 1e-2, log=True),
        "turns": Int(1, 20),
    }

    def __init__(
        self,
        host: Host,
        *,
        widths: tuple[int, ...] = (500, 500),
        dropout: float = 0.5,
        lr: float = 1e-3,
        turns: int = 10,
        sampling: Literal["resampling", "mcmc", "ancestral"] = "resampling",
        draws: int = 20_000,
        oversample: int = 10,
        moves: int = 100,
        selection: Literal["normalised", "paper"] = "normalised",
    ):
        super().__init__(
            host.latent_dim,
            draws=draws,
            selection=selection,
            sampling="mcmc" if sampling == "mcmc" else "resampling",
            oversample=oversample,
            moves=moves,
        )
        layered("implicit", widths=widths)
        if not 0 <= dropout < 1:
            raise ValueError(f"implicit needs 0 <= dropout < 1, not {dropout}")
        at_least("implicit", 1, turns=turns)
        if not host.stochastic:
            raise Unsupported(
                "implicit compares draws of q(z|x) with N(0, I), and this model's encoder is deterministic: use a VAE"
            )
        *hidden, self.last = mlp(host.latent_dim, widths, 1, nn.Tanh)
        self.hidden = nn.Sequential(*hidden)
        for layer in (*self.hidden, self.last):
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.dropout, self.lr, self.turns = dropout, lr, turns
        self.ancestral = sampling == "ancestral"
        self.encode, self.examples = host.encode, host.examples

    def log_ratio(self, z: Tensor, drop: float = 0.0) -> Tensor:
        """T(z), (..., D) -> (...)."""
        return self.last(dropout(self.hidden(z), drop)).squeeze(-1)

    def log_f(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) + self.log_ratio(z)

    def players(self) -> tuple[Player, ...]:
        return (Player("density-ratio", tuple(self.parameters()), self.loss, OptimiserSettings(self.lr), self.turns),)

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Cross-entropy of telling codes from N(0, I), 2 ln 2 where they cannot be told apart, in nats a pair."""
        with torch.no_grad():
            z1 = self.encode(batch.x).sample()
        z0 = torch.randn_like(z1)
        t1, t0 = self.log_ratio(torch.cat([z1, z0]), self.dropout).chunk(2)
        loss = F.softplus(-t1).mean() + F.softplus(t0).mean()
        return loss, {"density_ratio": loss.detach()}

    @property
    def sampler(self) -> str:
        return "codes of training images" if self.ancestral else super().sampler

    def sample(self, n: int) -> Tensor:
        if not self.ancestral:
            return super().sample(n)
        with torch.no_grad():
            x = self.examples(n)
            return torch.cat([self.encode(part).sample() for part in x.split(rows(x))])

    def conventions(self) -> Mapping[str, float]:
        return {} if self.fitted is None else {"unnormalised": self.fitted.kept.value}
