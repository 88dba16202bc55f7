"""Autoencoders that match their codes to the prior by samples, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.base import MODELS, Autoencoder
from models.regularisers.matching import Matching
from priors.base import Batch, Player, Prior, Unsupported


@MODELS.register("ae")
class AE(Autoencoder):
    """A plain autoencoder: -ln p(x|z) and the regularisers' terms; its prior is fitted to the codes afterwards.

    With the likelihood `gaussian-fixed` of variance 1/2 the first term is the squared error. The regulariser `l2` makes
    it an RAE (Ghosh et al. 2020).
    """

    def players(self, prior: Prior) -> Sequence[Player]:
        """The autoencoder, then the regularisers' players."""
        if prior.players() or prior.shared_parameters():
            raise Unsupported(
                f"{type(prior).__name__} is trained with its autoencoder, and a plain AE trains no prior: use one that "
                "is fitted to the codes, such as gmm or two-stage, or model.type = 'wae' or 'vae'"
            )
        return (self.autoencoder("ae", self.networks, prior), *self.regulariser_players(prior))

    def autoencoder(self, name: str, parameters: tuple[nn.Parameter, ...], prior: Prior) -> Player:
        """The player that descends the model's loss in these parameters."""
        return Player(name, parameters, lambda batch: self.loss(batch, prior))

    def loss(self, batch: Batch, prior: Prior) -> tuple[Tensor, Mapping[str, Tensor]]:
        """(-ln p(x|z) + warm_up x the regularisers' terms, its parts): means over the batch."""
        q = self.encode(batch.x)
        z = q.rsample()
        distortion = -self.log_likelihood(batch.x, z).mean()
        terms = self.terms(batch, q, z, None, prior)
        parts = {"reconstruction": distortion, **terms}
        loss = sum((batch.warm_up * term for term in terms.values()), distortion)
        return loss, {name: value.detach() for name, value in parts.items()}

    def validation_loss(self, x: Tensor, prior: Prior) -> Tensor:
        """-ln p(x|z) at one draw, (B,)."""
        return -self.log_likelihood(x, self.encode(x).rsample())


@MODELS.register("wae")
class WAE(AE):
    """Wasserstein autoencoder: reconstruction + a divergence between q(z) and p(z) (Tolstikhin et al. 2018, eq. 4).

    The divergence is one of the matching regularisers: mmd, gan, wgan, or prior-critic. A prior that learns from
    samples (pgen by its own players, dpflow through its draws) is trained along.
    """

    def players(self, prior: Prior) -> Sequence[Player]:
        """The reconstruction with a joint divergence, the prior's players, then the regularisers'."""
        if not any(isinstance(one, Matching) for one in self.regularisers):
            raise Unsupported("a WAE matches codes to the prior: add the regulariser mmd, gan, wgan or prior-critic")
        shared = prior.shared_parameters()
        if shared and not prior.reparameterised:
            raise Unsupported(
                f"{type(prior).__name__} learns through its density, and a WAE matches samples: use model.type = "
                "'vae', or a prior that learns through its samples, such as pgen or dpflow"
            )
        others = (*prior.players(), *self.regulariser_players(prior))
        owned = {id(parameter) for player in others for parameter in player.parameters}
        rest = tuple(parameter for parameter in shared if id(parameter) not in owned)
        return (self.autoencoder("wae", (*self.networks, *rest), prior), *others)
