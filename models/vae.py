"""The variational autoencoder, for any prior with a density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from models.base import Autoencoder
from priors.base import Batch, Player, Prior, density


class VAE(Autoencoder):
    """Maximises the ELBO, E_q[ln p(x|z)] - KL(q(z|x) || p(z)) (Kingma and Welling 2014, eq. 3), one draw of z an image.

    The KL is the prior's own one-sample estimate (`Density.divergence`), weighted by the warm-up in [0, 1].
    """

    def players(self, prior: Prior) -> Sequence[Player]:
        """The VAE with all that the prior shares, then the prior's players."""
        density(prior)  # a prior without one cannot be trained by this objective
        shared = (*(p for p in self.parameters() if p.requires_grad), *prior.shared_parameters())
        return (Player("vae", shared, lambda batch: self.loss(batch, prior)), *prior.players())

    def loss(self, batch: Batch, prior: Prior) -> tuple[Tensor, Mapping[str, Tensor]]:
        """(-ELBO with the KL warmed up, its parts): means over the batch, nats an image."""
        distortion, rate = self.parts(batch.x, prior)
        loss = distortion + batch.warm_up * rate
        return loss, {"reconstruction": distortion.detach(), "kl": rate.detach()}

    def parts(self, x: Tensor, prior: Prior) -> tuple[Tensor, Tensor]:
        """Batch means of -ln p(x|z) and of ln q(z|x) - ln p(z) at one z ~ q(z|x)."""
        q = self.encode(x)
        z = q.rsample()
        return -self.log_likelihood(x, z).mean(), density(prior).divergence(x, q, z).mean()

    def validation_loss(self, x: Tensor, prior: Prior) -> Tensor:
        """-ELBO at full weight of the KL, one draw, (B,)."""
        q = self.encode(x)
        z = q.rsample()
        return density(prior).divergence(x, q, z) - self.log_likelihood(x, z)
