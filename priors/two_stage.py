"""The 2-Stage VAE: a second autoencoder whose data are the first one's codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from priors import sizes
from priors.base import Batch, Codes, Density, Diagnostic, Host, OptimiserSettings, Player
from priors.parts.checks import above, at_least, layered
from priors.parts.fitting import play
from priors.parts.networks import mlp
from priors.parts.normal import DiagonalNormal, log_mean_exp, log_standard_normal, normal_like
from priors.registry import register
from priors.space import Float, Int

ROWS = 2**14
"""How many u are decoded at a time on a CPU."""

CODES, SETS = 64, 64
"""Draws of the prior, and sets of noise, that the error of the chosen set is estimated from."""

GAMMA_PACE = 100.0
"""The learning rate of ln gamma over that of the networks: Adam moves a parameter by its rate a step at most."""


@register("two-stage")
class TwoStage(Density):
    """Second VAE on the codes, z | u ~ N(G(u), gamma^2 I), u ~ N(0, I), trained after the first (Dai and Wipf 2019).

    In training p is N(0, I), against which the first VAE trains. `fit` then trains, once, the decoder G, an encoder
    q(u|z), diagonal normal, and the scalar gamma on codes z ~ q(z|x) drawn afresh at every step, by the one-sample
    ELBO. u has as many dimensions as z. Codes are standardised by their mean and spread, which the density counts in.

    From then on `log_prob` is the importance-weighted bound (Burda et al. 2016, eq. 8)

        ln p(z) >= ln 1/S sum_s p(z|u_s) p(u_s) / q(u_s|z),  u_s = mean(z) + spread(z) e_s,

    with S = `samples` noise vectors e_s, drawn at construction and part of the state: it is a function of z alone.
    Over the e_s its exponential has the expectation p(z). So a likelihood of images by importance sampling over z is
    unbiased with it too, and its logarithm a lower bound on average. At fixed e_s it does not integrate to 1, and may
    lie above ln p: what another choice of e_s would change at all z alike is `log_prob_error`.

    widths: of the hidden layers of both networks, ReLU; their input is concatenated to the last of them.
    steps, lr, batch_size: of the second training, by Adam. ln gamma, a single number, moves at a hundred times `lr`.
    """

    certainty = "bound"
    space = {"steps": Int(500, 50_000, log=True), "lr": Float(1e-5, 1e-3, log=True)}
    reparameterised = True  # in training: it learns nothing there
    fitted: Tensor
    is_fitted = False  # `fitted` as the host knows it: to read a buffer is to wait for the device, at every step
    mean: Tensor
    scale: Tensor
    noise: Tensor

    def __init__(
        self,
        host: Host,
        *,
        widths: tuple[int, ...] = (1024, 1024, 1024),
        samples: int = 16,
        steps: int = 5000,
        lr: float = 1e-4,
        batch_size: int = 100,
    ):
        super().__init__()
        at_least("two-stage", 1, samples=samples, batch_size=batch_size)
        at_least("two-stage", 0, steps=steps)
        layered("two-stage", widths=widths)
        above("two-stage", 0, lr=lr)
        self.steps, self.lr, self.batch_size, self.widths = steps, lr, batch_size, widths
        latent_dim = host.latent_dim
        self.encoder = Skip(latent_dim, widths, 2 * latent_dim)
        self.decoder = Skip(latent_dim, widths, latent_dim)
        self.log_gamma = nn.Parameter(torch.zeros(()))
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))
        self.register_buffer("noise", torch.randn(samples, latent_dim))
        self.noise_error: float | None = None  # once it is asked for
        self.register_load_state_dict_post_hook(_reread)  # type: ignore[no-untyped-call]  # torch does not annotate it

    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """None: the networks are trained in `fit` and take no part in the model's loss."""
        return ()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        u = normal_like(self.mean, n)
        if not self.is_fitted:
            return u
        return self.decoded(u, torch.randn_like(u))

    def decoded(self, u: Tensor, e: Tensor) -> Tensor:
        """z from u ~ N(0, I) and the noise e ~ N(0, I) around G(u), (n, D) each."""
        return self.mean + self.scale * (self.decoder(u) + self.log_gamma.exp() * e)

    def log_prob(self, z: Tensor) -> Tensor:
        if not self.is_fitted:
            return log_standard_normal(z)
        decoded = sizes.rows(z.device, sum(self.widths), ROWS)
        parts = z.reshape(-1, z.shape[-1]).split(max(1, decoded // len(self.noise)))
        noise = self.noise[:, None]  # (S, 1, D)
        return torch.cat([self.bound(part, noise) for part in parts]).reshape(z.shape[:-1])

    def bound(self, z: Tensor, noise: Tensor) -> Tensor:
        """The bound above in nats, z (B, D), noise (S, B or 1, D) -> (B,); with S = 1 it is the one-sample ELBO."""
        z = (z - self.mean) / self.scale
        mean, log_variance = self.encoder(z).chunk(2, dim=-1)
        u = mean + (0.5 * log_variance).exp() * noise  # (S, B, D)
        log_q = log_standard_normal(noise) - 0.5 * log_variance.sum(-1)
        likelihood = DiagonalNormal(self.decoder(u), (2 * self.log_gamma).expand(u.shape))
        log_weight = likelihood.log_prob(z) + log_standard_normal(u) - log_q  # (S, B)
        return log_mean_exp(log_weight) - self.scale.log().sum()

    @property
    def log_prob_error(self) -> float:
        """Standard deviation over choices of e_s of the mean of `log_prob` over z ~ p, in nats; 0 until it is fitted.

        From SETS fresh choices at CODES draws, once, by numbers of its own, which leave torch's random state alone.
        """
        if not self.is_fitted:
            return 0.0
        if self.noise_error is None:
            self.noise_error = self.spread_over_noise()
        return self.noise_error

    @torch.no_grad()
    def spread_over_noise(self) -> float:
        """What `log_prob_error` says, computed afresh."""
        generator, like = torch.Generator().manual_seed(0), self.mean

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, len(like), generator=generator, dtype=torch.float64).to(like)

        z = self.decoded(normal(CODES), normal(CODES))
        means = [self.bound(z, normal(len(self.noise), 1)).double().mean() for _ in range(SETS)]
        return torch.stack(means).std().item()

    def fit(self, codes: Codes) -> None:
        """Trains the second VAE on codes of the training images, once."""
        if self.is_fitted:
            return
        q = codes.posterior
        z = q.sample()
        self.mean.copy_(z.mean(0))
        self.scale.copy_(z.std(0, correction=0) + 1e-6)  # a dimension that no image uses stays finite

        def draw() -> Tensor:
            chosen = torch.randint(len(z), (self.batch_size,), device=z.device)
            return q[chosen].sample().to(self.mean.dtype)

        networks = (*self.encoder.parameters(), *self.decoder.parameters())
        players = (
            Player("networks", networks, self.loss, OptimiserSettings(self.lr)),
            Player("gamma", (self.log_gamma,), self.loss, OptimiserSettings(GAMMA_PACE * self.lr)),
        )
        play(players, draw, self.steps)
        self.settle()

    def settle(self) -> None:
        """From here on the law is the second VAE's, for the host and in the state."""
        self.fitted.fill_(True)
        self.is_fitted, self.noise_error = True, None

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """-ELBO of codes `batch.x`, nats a code."""
        return -self.bound(batch.x, torch.randn_like(batch.x)[None]).mean(), {}

    def report(self) -> Sequence[Diagnostic]:
        return (Diagnostic("gamma", self.log_gamma.exp().item()),) if self.is_fitted else ()


def _reread(prior: TwoStage, _: object) -> None:
    """After a state was loaded: the host learns what it says."""
    prior.is_fitted, prior.noise_error = bool(prior.fitted), None


class Skip(nn.Module):
    """Dense ReLU layers, then a linear one that sees the input beside the last of them: (..., D) -> (..., outputs)."""

    def __init__(self, inputs: int, widths: tuple[int, ...], outputs: int):
        super().__init__()
        self.hidden = nn.Sequential(mlp(inputs, widths[:-1], widths[-1]), nn.ReLU())
        self.head = nn.Linear(widths[-1] + inputs, outputs)

    def forward(self, z: Tensor) -> Tensor:
        return self.head(torch.cat([self.hidden(z), z], dim=-1))
