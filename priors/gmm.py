"""A Gaussian mixture fitted to the codes after training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from priors.base import Codes, Density, Host
from priors.parts.checks import above, at_least
from priors.parts.normal import log_standard_normal, normal_like
from priors.registry import register
from priors.space import Choice, Int

ITERATIONS = 2000
"""Most steps of expectation maximisation; a fit seldom takes a tenth of them."""


@register("gmm")
class GMM(Density):
    """Mixture of K Gaussians fitted to the codes after training, p(z) = sum_k w_k N(z | m_k, L_k L_k').

    The ex-post density estimation of Ghosh et al. (2020). In training p is N(0, I), against which a VAE trains; a plain
    autoencoder asks for no prior. `fit` then maximises the likelihood of one draw of z ~ q(z|x) for every training
    image (the code itself where the encoder is deterministic) by scikit-learn's expectation maximisation, once, from a
    start by k-means that torch's random state determines.

    covariance: "full", or "diag" for axes along the dimensions.
    floor: added to every variance, so that a dimension that no image uses does not make the density infinite.
    """

    space = {"components": Int(1, 100, log=True), "covariance": Choice(("full", "diag"))}
    reparameterised = True
    fitted: Tensor
    log_weight: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        host: Host,
        *,
        components: int = 10,
        covariance: Literal["full", "diag"] = "full",
        floor: float = 1e-6,
    ):
        super().__init__()
        at_least("gmm", 1, components=components)
        above("gmm", 0, floor=floor)
        self.covariance, self.floor = covariance, floor
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("log_weight", torch.full((components,), -math.log(components)))
        self.register_buffer("mean", torch.zeros(components, host.latent_dim))
        self.register_buffer("scale", torch.eye(host.latent_dim).repeat(components, 1, 1))  # L_k: K times N(0, I)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        component = torch.multinomial(self.log_weight.exp(), n, replacement=True)
        z = normal_like(self.mean, n)
        counts = (component == torch.arange(len(self.mean), device=z.device)[:, None]).sum(1).tolist()
        for rows, mean, scale in zip(component.argsort(stable=True).split(counts), self.mean, self.scale, strict=True):
            z[rows] = mean + z[rows] @ scale.T
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        return log_mixture(z, self.log_weight, self.mean, self.scale)

    def frozen(self) -> Callable[[Tensor], Tensor]:
        """The same function in float64: a full covariance may be all but singular."""
        law = [part.double() for part in (self.log_weight, self.mean, self.scale)]
        return lambda z: log_mixture(z.double(), *law)

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """Expectation maximisation; ValueError where there are fewer codes than components."""
        if self.fitted:
            return
        from sklearn.mixture import GaussianMixture  # half a second to import, for this alone

        z, components = codes.posterior.sample().double().cpu(), len(self.mean)
        if len(z) < components:
            raise ValueError(f"gmm needs components <= {len(z)}, the number of training codes, not {components}")
        em = GaussianMixture(
            components,
            covariance_type=self.covariance,
            reg_covar=self.floor,
            max_iter=ITERATIONS,
            random_state=int(torch.randint(2**31, ())),
        ).fit(z.numpy())
        covariance = torch.from_numpy(em.covariances_)
        self.log_weight.copy_(torch.from_numpy(em.weights_).log())
        self.mean.copy_(torch.from_numpy(em.means_))
        self.scale.copy_(
            torch.linalg.cholesky(covariance) if self.covariance == "full" else covariance.sqrt().diag_embed()
        )
        self.fitted.fill_(True)


def log_mixture(z: Tensor, log_weight: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """ln sum_k w_k N(z | m_k, L_k L_k') in nats, (..., D) -> (...).

    log_weight: (K,). mean: (K, D). scale: the L_k, lower triangular, (K, D, D).
    """
    centred = (z.reshape(-1, z.shape[-1]) - mean[:, None]).mT  # (K, D, B)
    white = torch.linalg.solve_triangular(scale, centred, upper=False).mT  # (K, B, D)
    log_det = scale.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    joint = log_standard_normal(white) + (log_weight - log_det)[:, None]
    return joint.logsumexp(0).reshape(z.shape[:-1])
