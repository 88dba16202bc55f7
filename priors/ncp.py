"""The noise-contrastive prior: density ratios fitted to the codes after training, one upon the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from priors import sizes
from priors.base import Batch, Codes, Host, IndexedDistribution, OptimiserSettings, Player, Unsupported
from priors.parts.checks import above, at_least, layered
from priors.parts.defensive import Defensive, as_normal
from priors.parts.energy import Energy
from priors.parts.fitting import Done, play
from priors.parts.importance import drawn, log_weights, one_of_each
from priors.parts.networks import Scalar, code_critic
from priors.parts.normal import log_standard_normal
from priors.registry import register
from priors.space import Float, Int

ROWS = 2**14
"""How many proposals the ratio is computed of at a time on a CPU."""


@register("ncp")
class NCP(Energy):
    """Standard normal times density ratios fitted after training, p(z) = N(z | 0, I) r(z) / Z (Aneja et al. 2021).

    In training p is the base N(0, I), against which a VAE trains. `fit` then trains, once and with the encoder fixed,
    a classifier D of codes z ~ q(z|x), drawn afresh at every step, against as many draws of the base, by the
    cross-entropy -E_q ln D - E_p0 ln (1 - D). At its optimum r = D / (1 - D) is q / p0, q the aggregated posterior.
    Its logit is a network T = ln r that starts at 0: in 0 steps p stays the base. It is `implicit` fitted afterwards
    and not along with the VAE.

    In several stages (Xiao and Han 2022) p_k = p_(k-1) r_k / Z_k is the base of the next,

        ln p(z) = ln N(z | 0, I) + sum_k T_k(z) - ln Z   in nats,

    where each ratio is nearer to 1 than that to N(0, I), so that a classifier can learn it. Draws of p_(k-1) are
    resampled from `draws` proposals of N(0, I) and the posteriors. ln Z, of all stages in one, has `Energy`'s error.

    sampling: "resampling" and "mcmc" are `Energy`'s. "base" is the paper's: each draw is one of `proposals` draws of
        N(0, I), chosen by r, which is of p where the proposals are many.
    widths: of the hidden layers of every T, SiLU. steps, lr, batch_size: of each stage's training, by Adam.
    Raises Unsupported on a deterministic encoder, whose codes have no density ratio to N(0, I).
    """

    space = {"stages": Int(1, 4), "steps": Int(200, 20_000, log=True), "lr": Float(1e-5, 1e-2, log=True)}
    reparameterised = True  # in training: it learns nothing there

    def __init__(
        self,
        host: Host,
        *,
        stages: int = 1,
        widths: tuple[int, ...] = (200, 200),
        steps: int = 2000,
        lr: float = 3e-4,
        batch_size: int = 200,
        sampling: Literal["resampling", "mcmc", "base"] = "resampling",
        proposals: int = 5000,
        draws: int = 20_000,
        oversample: int = 10,
        moves: int = 100,
    ):
        super().__init__(
            host.latent_dim,
            draws=draws,
            selection="paper",  # there is no ln Z before `fit`
            sampling="mcmc" if sampling == "mcmc" else "resampling",
            oversample=oversample,
            moves=moves,
        )
        at_least("ncp", 1, stages=stages, batch_size=batch_size, proposals=proposals)
        at_least("ncp", 0, steps=steps)
        layered("ncp", widths=widths)
        above("ncp", 0, lr=lr)
        if not host.stochastic:
            raise Unsupported(
                "ncp compares draws of q(z|x) with N(0, I), and this model's encoder is deterministic: use a VAE"
            )
        self.steps, self.lr, self.batch_size = steps, lr, batch_size
        self.from_base, self.proposals, self.widths = sampling == "base", proposals, widths
        self.ratios = nn.ModuleList(level(code_critic(host.latent_dim, widths, nn.SiLU)) for _ in range(stages))
        self.done = Done()

    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """None: the ratios are trained in `fit` and take no part in the model's loss."""
        return ()

    def log_ratio(self, z: Tensor, stages: int | None = None) -> Tensor:
        """sum_k T_k(z) in nats, of the first stages or of all, (..., D) -> (...)."""
        return sum((ratio(z).to(z.dtype) for ratio in self.ratios[:stages]), z.new_zeros(z.shape[:-1]))

    def log_f(self, z: Tensor) -> Tensor:
        return self.log_stage(z, None if self.done.known else 0)

    def log_stage(self, z: Tensor, stages: int | None) -> Tensor:
        """ln N(z | 0, I) times the ratios of the first stages, (..., D) -> (...)."""
        return log_standard_normal(z) + self.log_ratio(z, stages)

    # The ratios

    def fit(self, codes: Codes) -> None:
        """Trains the ratios, once, a stage after the other; then ln Z."""
        if not self.done.known:
            proposal = Defensive(as_normal(codes.posterior)).to(self.log_z)
            for k in range(len(self.ratios) if self.steps else 0):
                self.train_stage(k, codes.posterior, self.base(k, proposal))
            self.done.settle()
        super().fit(codes)

    def base(self, stage: int, proposal: Defensive) -> Callable[[int], Tensor]:
        """n -> n draws (n, D) of the law that a stage stands on."""
        if stage == 0:
            return self.normal
        z = torch.cat(proposal.sides(self.draws // 2))
        weight = log_weights(partial(self.log_stage, stages=stage), proposal, z).softmax(0)
        return lambda n: z[drawn(weight, n)]

    def train_stage(self, stage: int, q: IndexedDistribution, base: Callable[[int], Tensor]) -> None:
        """One classifier's training."""
        ratio = self.ratios[stage]

        def draw() -> Tensor:
            chosen = torch.randint(q.batch_shape[0], (self.batch_size,), device=self.log_z.device)
            return q[chosen].sample().to(self.log_z.dtype)

        def loss(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            """The cross-entropy, 2 ln 2 nats a pair where they cannot be told apart."""
            t1, t0 = ratio(torch.cat([batch.x, base(len(batch.x))])).chunk(2)
            return F.softplus(-t1).mean() + F.softplus(t0).mean(), {}

        player = Player("ratio", tuple(ratio.parameters()), loss, OptimiserSettings(self.lr))
        with torch.enable_grad():
            play([player], draw, self.steps)

    # Draws

    @property
    def sampler(self) -> str:
        if self.from_base and self.done.known:
            return f"one of {self.proposals} draws of N(0, I) each, by the ratio"
        return super().sampler if self.done.known else ""

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        if not self.done.known:
            return self.normal(n)
        if not self.from_base:
            return super().sample(n)
        together = max(1, sizes.rows(self.log_z.device, sum(self.widths), ROWS) // self.proposals)
        counts = (len(part) for part in torch.arange(n).split(together))
        parts = (self.normal(count * self.proposals).unflatten(0, (count, -1)) for count in counts)
        return torch.cat([one_of_each(part, self.log_ratio(part)) for part in parts])


def level(critic: Scalar) -> Scalar:
    """The critic, whose last layer is 0 to begin with."""
    last = [one for one in critic.modules() if isinstance(one, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return critic
