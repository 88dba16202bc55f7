"""The contract of a regulariser: a term added to a model's loss, and the players that it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution

from priors.base import Batch, Player, Prior, Unsupported
from priors.registry import Registry, subclass_of
from priors.space import Range


class Networks(NamedTuple):
    """The autoencoder's parameters, for a player that trains these too: of what gives the codes, and of the decoder."""

    encoder: tuple[nn.Parameter, ...]
    decoder: tuple[nn.Parameter, ...]


@dataclass(frozen=True)
class Coded:
    """A batch with its codes, as a model's loss hands it to regularisers.

    q: q(z|x), batch (B,). z: (B, D), one draw of it, with its gradient. kl: mean over the batch of the prior's
    one-sample estimate of KL(q(z|x) || p), a scalar in nats; None where the model has no such term.
    prior: for its draws (`prior.rsample`). networks: for what weighs the parameters themselves.
    """

    batch: Batch
    q: Distribution
    z: Tensor
    kl: Tensor | None
    prior: Prior
    networks: Networks

    def demand_kl(self) -> Tensor:
        """The KL term, a scalar in nats; Unsupported where the model has none."""
        if self.kl is None:
            raise Unsupported("this regulariser weighs the KL term, which only a VAE has: use model.type = 'vae'")
        return self.kl


class Regulariser(nn.Module, ABC):
    """A term on codes or on decoded interpolations, for any prior.

    A subclass's constructor takes the host, then settings by keyword, each annotated and with a default.
    `space` names the settings worth tuning.
    """

    space: ClassVar[Mapping[str, Range]] = {}

    @abstractmethod
    def term(self, coded: Coded) -> Tensor:
        """What is added to the model's loss (already -E ln p(x|z) + KL for a VAE): a scalar, nats an image."""

    def check(self, prior: Prior) -> None:
        """Raises Unsupported for a prior that it cannot work with."""

    def players(self, networks: Networks, prior: Prior) -> Sequence[Player]:
        """What is trained beside the model's own loss, in this order; a player may train the networks too."""
        return ()


class Regularisers(nn.ModuleList):
    """The regularisers of a model, in their order."""

    def __iter__(self) -> Iterator[Regulariser]:
        return (one for one in self._modules.values() if isinstance(one, Regulariser))


REGULARISERS: Registry[type[Regulariser]] = Registry(
    "regulariser",
    ("models.regularisers",),
    subclass_of(Regulariser),
    "a subclass of models.regularisers.Regulariser",
    '@REGULARISERS.register("name")',
)
