"""The exemplar prior: a mixture around the training images' own codes, each judged by the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors.base import Batch, Codes, Host, Unsupported
from priors.parts.checks import at_least
from priors.parts.normal import LOG_2PI, DiagonalNormal, NormalMixture, NormalMixtureDensity
from priors.registry import register
from priors.space import Int

CHUNK = 1000
"""Training images encoded at a time."""


@register("exemplar")
class Exemplar(NormalMixtureDensity):
    """Mixture around all training images' codes, each judged by the others (Norouzi et al. 2020, eq. 4, 5).

        p(z) = 1/N sum_n N(z; mu(x_n), s^2 I),   one learned s.

    In training an image's own component is left out and its weight goes to the others, so that the encoder gains
    nothing by a code that is its own exemplar: this sets it apart from `aggregate`, which keeps own components and own
    variances. Afterwards nothing is left out. A step takes `exemplars` training images at random (0: half of N, as the
    paper does for MNIST) and of these the `neighbours` nearest to each code, which are encoded anew and carry the
    gradient: what the others would add is missing, so the loss is too high, and by little where components are narrow
    (the paper's section 3.3).
    Nearness goes by every image's code as it was last seen, and so does the density at validation, where the paper
    encodes all images anew. neighbours = 0, or as many as exemplars, encodes all exemplars of a step: exact, and dear.

    Raises Unsupported on an encoder whose posterior is not a diagonal normal.
    """

    space = {"neighbours": Int(1, 50, log=True)}
    means: Tensor

    def __init__(self, host: Host, *, exemplars: int = 0, neighbours: int = 10):
        super().__init__()
        at_least("exemplar", 0, exemplars=exemplars, neighbours=neighbours)
        if not host.stochastic:
            raise Unsupported("exemplar has a normal law around each code, and this model's encoder is deterministic")
        self.count = min(exemplars or max(2, -(-host.count // 2)), host.count)  # exemplars of a step
        if self.count < 2:
            raise ValueError(
                f"exemplar needs two exemplars a step, as an image's own is left out, not {self.count} of {host.count} "
                "images: give more, or exemplars = 0 for half of them"
            )
        self.neighbours = neighbours
        self.every = not 0 < neighbours < self.count  # of so many one may be an image's own
        self.encode, self.inputs = host.encode, host.inputs
        self.log_variance = nn.Parameter(torch.randn((), dtype=host.examples(1).dtype))
        self.register_buffer("means", self.encoded(host))

    @torch.no_grad()
    def encoded(self, host: Host) -> Tensor:
        """The codes of all training images, (N, D)."""
        index = torch.arange(host.count, device=host.examples(1).device)
        return torch.cat([self.centres(part) for part in index.split(CHUNK)])

    def centres(self, index: Tensor) -> Tensor:
        """The codes mu(x) of these training images (..., D), with the encoder's gradient."""
        q = self.encode(self.inputs(index.flatten()))
        if not isinstance(q, DiagonalNormal):
            raise Unsupported(f"exemplar needs diagonal normal posteriors, not {type(q).__name__}")
        return q.mean.unflatten(0, index.shape)

    def law(self) -> NormalMixture:
        """All components, around every image's code as it was last seen: after `fit`, as it is."""
        count = len(self.means)
        return NormalMixture(
            self.means, self.log_variance.expand_as(self.means), self.means.new_full((count,), -math.log(count))
        )

    def log_prob(self, z: Tensor) -> Tensor:
        return self.law().log_prob_in_chunks(z).to(z.dtype)

    def divergence(self, batch: Batch, q: Distribution, z: Tensor) -> Tensor:
        """The same estimate as every prior's; in training, under the others' components, near ones alone."""
        if not self.training or batch.index is None:
            return super().divergence(batch, q, z)
        value = q.log_prob(z) - self.log_others(z, batch.index)
        self.means.index_copy_(0, batch.index, q.mean.detach())
        return value

    def log_others(self, z: Tensor, index: Tensor) -> Tensor:
        """ln p(z) in nats, (B,), from exemplars drawn afresh, image by image without its own. index: the images."""
        chosen = torch.randperm(len(self.means), device=z.device)[: self.count]
        own = chosen == index[:, None]  # (B, M)
        log_weight = -(self.count - own.sum(1)).to(z.dtype).log()
        if self.every:
            log_normal = self.log_component(z[:, None], self.centres(chosen)).masked_fill(own, -math.inf)
        else:
            near = chosen[self.nearest(z, chosen, own)]
            log_normal = self.log_component(z[:, None], self.centres(near))
        return log_normal.logsumexp(1) + log_weight

    @torch.no_grad()
    def nearest(self, z: Tensor, chosen: Tensor, own: Tensor) -> Tensor:
        """Which of the chosen images' codes lie nearest to each z, but for its own, (B, k)."""
        codes = self.means[chosen]
        distance = torch.addmm(codes.square().sum(1), z, codes.T, alpha=-2)  # |z - m|^2 but for |z|^2
        return distance.masked_fill(own, math.inf).topk(self.neighbours, largest=False, sorted=False).indices

    def log_component(self, z: Tensor, centre: Tensor) -> Tensor:
        """ln N(z; centre, s^2 I) in nats, (..., D) -> (...)."""
        squared = (z - centre).square().sum(-1) * (-self.log_variance).exp()
        return -0.5 * (squared + z.shape[-1] * (self.log_variance + LOG_2PI))

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """Takes up the codes of all training images."""
        self.means.copy_(codes.posterior.mean)
