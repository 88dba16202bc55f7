"""Flow matching on the codes: a velocity fitted after training, whose flow takes N(0, I) to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from priors import sizes
from priors.base import Batch, Codes, Density, Diagnostic, Host, OptimiserSettings, Player
from priors.parts.checks import above, at_least
from priors.parts.fitting import Done, play
from priors.parts.normal import log_standard_normal, normal_like
from priors.parts.velocity import Velocity, flow
from priors.registry import register
from priors.space import Float, Int

ROWS = 2**12
"""How many codes flow at a time on a CPU."""

CODES = 200
"""Codes at which the solver's error is measured."""

TOLERATED = 0.05
"""Nats of the solver's error up to which the density is called one: half of what tells priors apart in a table."""


@register("flow-matching")
class FlowMatching(Density):
    """Continuous flow from a standard normal, fitted to the codes after training (Lipman et al. 2023, eq. 23).

    In training p is N(0, I), against which a VAE trains. `fit` then trains a velocity v, once, to descend

        E || v(z_t, t) - (z_1 - z_0) ||^2,   z_t = (1 - t) z_0 + t z_1,   t ~ U[0, 1],

    z_0 ~ N(0, I), z_1 ~ q(z|x) drawn afresh at every step: the paper's straight paths with sigma_min = 0. Draws start
    from z_0 ~ N(0, I) and follow dz/dt = v(z, t) from t = 0 to 1; the density goes back along the same way,

        ln p(z) = ln N(z_0 | 0, I) - int_0^1 div v(z_t, t) dt   in nats,

    with the exact divergence. Both are by `solver_steps` steps of Runge and Kutta's method of order four, whose error
    falls with the fourth power of their number: the diagnostic "solver_error" is what twice as many steps change in
    ln p, mean absolute over CODES codes. Above TOLERATED nats the density is called unreliable.

    Codes are standardised by their mean and spread, which the density counts in. v is what a standard normal of codes
    would have, plus a network that starts at 0 (`Velocity`): in 0 steps p is the normal of the codes' mean and spread.

    widths: of the network's two hidden layers. steps, lr, batch_size: of its training, by Adam.
    """

    space = {"steps": Int(500, 50_000, log=True), "lr": Float(1e-5, 1e-2, log=True)}
    reparameterised = True  # in training: it learns nothing there
    mean: Tensor
    scale: Tensor
    solver_error: Tensor

    def __init__(
        self,
        host: Host,
        *,
        widths: tuple[int, int] = (128, 128),
        steps: int = 5000,
        lr: float = 1e-3,
        batch_size: int = 200,
        solver_steps: int = 20,
    ):
        super().__init__()
        at_least("flow-matching", 1, widths=min(widths), batch_size=batch_size, solver_steps=solver_steps)
        at_least("flow-matching", 0, steps=steps)
        above("flow-matching", 0, lr=lr)
        self.steps, self.lr, self.batch_size = steps, lr, batch_size
        self.solver_steps, self.widths = solver_steps, widths
        self.velocity = Velocity(host.latent_dim, widths)
        self.register_buffer("mean", torch.zeros(host.latent_dim))
        self.register_buffer("scale", torch.ones(host.latent_dim))
        self.register_buffer("solver_error", torch.zeros(2, dtype=torch.float64))  # and its own
        self.done = Done()

    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """None: the velocity is trained in `fit` and takes no part in the model's loss."""
        return ()

    def together(self) -> int:
        """How many codes flow at a time."""
        return sizes.rows(self.mean.device, 4 * sum(self.widths), ROWS)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        z = normal_like(self.mean, n)
        if not self.done.known:
            return z
        ends = [flow(self.velocity, part, (0.0, 1.0), self.solver_steps)[0] for part in z.split(self.together())]
        return self.mean + self.scale * torch.cat(ends)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.by_steps(z, self.solver_steps) if self.done.known else log_standard_normal(z)

    def by_steps(self, z: Tensor, steps: int) -> Tensor:
        """ln p(z) by so many steps of the solver, (..., D) -> (...)."""
        standard = (z - self.mean) / self.scale
        parts = standard.reshape(-1, z.shape[-1]).split(self.together())
        with torch.autocast(z.device.type, enabled=False):  # half precision would be off by nats
            ends = [flow(self.velocity, part, (1.0, 0.0), steps) for part in parts]
        log_p = [log_standard_normal(start) + change for start, change in ends]
        return torch.cat(log_p).reshape(z.shape[:-1]) - self.scale.log().sum()

    def fit(self, codes: Codes) -> None:
        """Trains the velocity on codes of the training images, once, and measures the solver's error."""
        if self.done.known:
            return
        q = codes.posterior
        z = q.sample()
        self.mean.copy_(z.mean(0))
        self.scale.copy_(z.std(0, correction=0) + 1e-6)  # a dimension that no image uses stays finite

        def draw() -> Tensor:
            chosen = torch.randint(len(z), (self.batch_size,), device=z.device)
            return (q[chosen].sample().to(self.mean.dtype) - self.mean) / self.scale

        player = Player("velocity", tuple(self.velocity.parameters()), self.loss, OptimiserSettings(self.lr))
        play([player], draw, self.steps)
        self.done.settle()
        self.measure(z[torch.randperm(len(z), device=z.device)[:CODES]].to(self.mean.dtype))

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The mean squared error of the velocity on the way to standardised codes `batch.x`, none of it nats."""
        start, t = torch.randn_like(batch.x), torch.rand_like(batch.x[:, :1])
        found = self.velocity(torch.lerp(start, batch.x, t), t)
        return (found - (batch.x - start)).square().sum(1).mean(), {}

    @torch.no_grad()
    def measure(self, z: Tensor) -> None:
        """Keeps what twice as many steps change in ln p of codes (n, D), mean absolute, with its standard error."""
        change = (self.by_steps(z, 2 * self.solver_steps) - self.log_prob(z)).abs().double()
        error = change.std(correction=0) / math.sqrt(len(change))
        self.solver_error.copy_(torch.stack([change.mean(), error]))

    @property
    def reliable(self) -> bool:
        return self.solver_error[0].item() <= TOLERATED

    def report(self) -> Sequence[Diagnostic]:
        value, error = self.solver_error.tolist()
        return (Diagnostic("solver_error", value, "nats", error),) if self.done.known else ()
