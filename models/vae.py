"""The variational autoencoder, for any prior with a density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from models.base import MODELS, Autoencoder
from priors.base import Batch, Player, Prior, Unsupported, density


@MODELS.register("vae")
class VAE(Autoencoder):
    """Maximises the ELBO, E_q[ln p(x|z)] - KL(q(z|x) || p(z)) (Kingma and Welling 2014, eq. 3), one draw of z an image.

    The KL is the prior's own one-sample estimate (`Density.divergence`). The loss is

        -ln p(x|z) + warm_up (KL + sum of the regularisers' terms) + the prior's penalty.
    """

    def players(self, prior: Prior) -> Sequence[Player]:
        """The VAE with all that the prior shares, then the prior's players, then the regularisers'."""
        density(prior)  # a prior without one cannot be trained by this objective
        if not self.posterior.stochastic:
            raise Unsupported("a VAE needs a density q(z|x), and this posterior has none: use model.type 'wae' or 'ae'")
        shared = (*self.networks, *prior.shared_parameters())
        vae = Player("vae", shared, lambda batch: self.loss(batch, prior))
        return (vae, *prior.players(), *self.regulariser_players(prior))

    def loss(self, batch: Batch, prior: Prior) -> tuple[Tensor, Mapping[str, Tensor]]:
        """(the loss above, its parts): means over the batch, nats an image."""
        q = self.encode(batch.x)
        z = q.rsample()
        distortion = -self.log_likelihood(batch.x, z).mean()
        kl = density(prior).divergence(batch, q, z).mean()
        terms = self.terms(batch, q, z, kl, prior)
        loss = distortion + batch.warm_up * sum(terms.values(), kl)
        parts = {"reconstruction": distortion, "kl": kl, **terms}
        penalty = prior.penalty(batch)
        if penalty is not None:
            loss = loss + penalty
            parts["penalty"] = penalty
        return loss, {name: value.detach() for name, value in parts.items()}

    def validation_loss(self, x: Tensor, prior: Prior) -> Tensor:
        """-ELBO at full weight of the KL and without regularisers, one draw, (B,)."""
        q = self.encode(x)
        z = q.rsample()
        return density(prior).divergence(Batch(x), q, z) - self.log_likelihood(x, z)
