"""The aggregated posterior itself as a prior."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from priors.base import Batch, Codes, Host, Unsupported
from priors.parts.checks import at_least
from priors.parts.normal import DiagonalNormal, NormalMixture, NormalMixtureDensity, mixture_of
from priors.registry import register
from priors.space import Int


@register("aggregate")
class Aggregate(NormalMixtureDensity):
    """Mixture of all training images' posteriors, p(z) = 1/N sum_j q(z|x_j): the ELBO's optimum, and its overfitting.

    Of all priors it is the one that maximises the training images' ELBO (Hoffman and Johnson 2016; Takahashi et al.
    2019, eq. 6), and it remembers every image: a reference, with nothing learned but by the encoder.

    In training the mixture is over `components` training images, drawn afresh at every step, and its gradient reaches
    the encoder. Such a mixture has p as its expectation, so its logarithm is too low on average, and the loss too high.
    Where `components` is N or more, N images are drawn. `fit` takes the posteriors of all N, in float64. Validation and
    `log_prob` before that use images drawn at construction, which are part of the state: with the encoder they say
    what the law is.

    Raises Unsupported on an encoder whose posterior is not a diagonal normal: the mixture has no such form then.
    """

    space = {"components": Int(50, 5000, log=True)}
    images: Tensor
    mean: Tensor
    log_variance: Tensor

    def __init__(self, host: Host, *, components: int = 500):
        super().__init__()
        at_least("aggregate", 1, components=components)
        if not host.stochastic:
            raise Unsupported("aggregate mixes posteriors q(z|x), and this model's encoder is deterministic: use a VAE")
        self.components = min(components, host.count)
        self.encode, self.examples = host.encode, host.examples
        self.register_buffer("images", host.examples(self.components))
        none = torch.empty(0, host.latent_dim)  # (N, D) once fitted: the codes again, hence no state
        self.register_buffer("mean", none, persistent=False)
        self.register_buffer("log_variance", none.clone(), persistent=False)

    def law(self) -> NormalMixture:
        """All posteriors once fitted, in float64; before, those of the images drawn at construction."""
        if len(self.mean):
            return mixture_of(DiagonalNormal(self.mean, self.log_variance), "aggregate")
        return mixture_of(self.encode(self.images), "aggregate")

    def sample(self, n: int) -> Tensor:
        return super().sample(n).to(self.images.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.law().log_prob_in_chunks(z).to(z.dtype)

    def frozen(self) -> Callable[[Tensor], Tensor]:
        """The same function in float64."""
        return self.law().double().log_prob_in_chunks

    def divergence(self, batch: Batch, q: Distribution, z: Tensor) -> Tensor:
        """The same estimate as every prior's; in training, p is the mixture over images drawn afresh."""
        if not self.training:
            return super().divergence(batch, q, z)
        fresh = mixture_of(self.encode(self.examples(self.components)), "aggregate")
        return q.log_prob(z) - fresh.log_prob(z)

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """Takes up the posteriors of all training images."""
        law = mixture_of(codes.posterior, "aggregate").double()
        self.mean, self.log_variance = law.mean, law.log_variance
