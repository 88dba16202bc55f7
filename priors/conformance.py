"""The laws of the contract, each a small function: what a prior must obey before a figure of it means anything.

`examine(Trial("mine"))` tries all of them on a registered prior. It needs no data: the prior is built on the small
autoencoder of `priors.testing`, in two latent dimensions so that a grid can integrate its density, with every weight
moved away from its start, where a forgotten term may well be zero.
"""

from __future__ import annotations

import inspect
import io
import math
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from priors import registry
from priors.base import Batch, Density, Host, Known, Player, Prior
from priors.space import Choice, Range
from priors.testing import toy_codes, toy_host

DRAWS = 10_000
"""Draws that are compared with the density."""

ERRORS = 4.0
"""Standard errors by which an estimate may miss its target."""

LIKELY = 1e-4
"""The least p-value of draws that follow the density."""

CLOSE = 1e-8
"""Relative difference that rounding in float64 explains."""

MOVED = 0.3
"""Standard deviation of the noise on every weight, over the root of its number of inputs."""


class Broken(Exception):
    """The law does not hold: what was found, and the likely fix."""

    def __init__(self, found: str, fix: str):
        super().__init__(found)
        self.fix = fix


class Silent(Exception):
    """The law says nothing about this prior, and why."""


def demand(holds: bool, found: str, fix: str) -> None:
    """Raises Broken unless it holds."""
    if not holds:
        raise Broken(found, fix)


@dataclass(frozen=True)
class Law:
    """One law. of: the kind of prior that it speaks of. after: laws without which it cannot be tried."""

    name: str
    statement: str
    check: Callable[[Trial], None]
    of: type[Prior] = Prior
    after: tuple[Law, ...] = ()


class Verdict(NamedTuple):
    """What came of a law. found: what was wrong, or why the law does not apply."""

    law: Law
    outcome: Literal["pass", "fail", "does not apply"]
    found: str = ""
    fix: str = ""


def law(of: type[Prior] = Prior, after: tuple[Law, ...] = ()) -> Callable[[Callable[[Trial], None]], Law]:
    """Makes a function a law: its name with hyphens is the law's, its docstring's first line the statement."""

    def make(check: Callable[[Trial], None]) -> Law:
        return Law(check.__name__.replace("_", "-"), check.__doc__.partition("\n")[0], check, of, after)

    return make


# What the laws look at


@dataclass(frozen=True)
class Trial:
    """A registered prior with its settings, and what several laws need of it. What it keeps is to be looked at only."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def kind(self) -> type[Prior]:
        """The prior's class; ValueError with the near name for an unknown one."""
        return registry.find(self.name)

    @cached_property
    def host(self) -> Host:
        """The autoencoder of all laws that need no other."""
        return small_host()

    def build(self, seed: int = 0, host: Host | None = None) -> Prior:
        """The prior as it is in training, at random weights."""
        host = host or self.host
        torch.manual_seed(seed)
        prior = self.kind(host, **self.settings).to(next(network(host).parameters()))
        with torch.no_grad():
            for parameter in prior.parameters():
                inputs = parameter[0].numel() if parameter.dim() > 1 else 1
                parameter += MOVED / math.sqrt(inputs) * torch.randn_like(parameter)
        return prior

    def fit(self, prior: Prior) -> Prior:
        """The same prior as it is after training."""
        prior.eval()
        torch.manual_seed(0)
        prior.fit(toy_codes(self.host))
        return prior

    @cached_property
    def fitted(self) -> Prior:
        """In float64."""
        return self.fit(self.build())

    @cached_property
    def draws(self) -> Tensor:
        """z ~ p, (DRAWS, 2)."""
        torch.manual_seed(0)
        return self.fitted.sample(DRAWS)

    @cached_property
    def log_p(self) -> Tensor:
        """ln p at the cells of the grid."""
        with torch.no_grad():
            return torch.cat([self.fitted.log_prob(part) for part in grid().points.split(10_000)])

    @cached_property
    def share(self) -> Tensor:
        """The probability of every cell, normalised over the grid: a wrong constant is the law `mass`'s affair."""
        return (self.log_p + grid().area.log()).softmax(0)


def small_host(latent_dim: int = 2, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Host:
    """A toy autoencoder, the same weights every time."""
    torch.manual_seed(0)
    host = toy_host(latent_dim, dtype=dtype)
    network(host).to(device)
    return host


def network(host: Host) -> nn.Module:
    """The autoencoder behind its callables."""
    return host.encode.__self__


class Grid(NamedTuple):
    """Cells of the plane, row by row: edges on either axis (n + 1,), midpoints (n^2, 2) and areas (n^2,)."""

    edges: Tensor
    points: Tensor
    area: Tensor


@cache
def grid() -> Grid:
    """Cells of side 0.1 on [-8, 8]^2, where a sum over midpoints is the trapezoid rule, then ever wider ones.

    They reach beyond 1000, since heavy tails count. It is too coarse for standard deviations below 0.2 or above 10.
    """
    middle = 0.1 * torch.arange(-80, 81, dtype=torch.float64)
    beyond = middle[-1] + (0.1 * 1.1 ** torch.arange(1, 73, dtype=torch.float64)).cumsum(0)
    edges = torch.cat([-beyond.flip(0), middle, beyond])
    centre, width = (edges[1:] + edges[:-1]) / 2, edges.diff()
    return Grid(edges, torch.cartesian_prod(centre, centre), torch.outer(width, width).flatten())


# The class and its constructor


@law()
def summary(trial: Trial) -> None:
    """The class has a docstring whose first line says what the law is."""
    found = (trial.kind.__doc__ or "").partition("\n")[0].strip()
    demand(bool(found), "no docstring, or one that starts with an empty line", "begin with one line: `list` prints it")


@law()
def settings(trial: Trial) -> None:
    """The constructor takes the host, then settings by keyword, each annotated and with a default."""
    for one in inspect.signature(trial.kind.__init__).parameters.values():
        wild = one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        demand(not wild, f"the constructor takes {one}", "name every setting: a suite's keys are checked by the names")
    for key, one in registry.settings_of(trial.kind).items():
        demand(one.annotation is not one.empty, f"the setting '{key}' has no annotation", f"write, say, {key}: float")
        demand(one.default is not one.empty, f"the setting '{key}' has no default", f"write, say, {key}: float = 1.0")


@law(after=(settings,))
def builds(trial: Trial) -> None:
    """It is built on an autoencoder that it has not seen, and fitted to its codes; its state is finite."""
    wrong = [key for key, value in trial.fitted.state_dict().items() if not value.isfinite().all()]
    demand(not wrong, f"{', '.join(wrong)} not finite after `fit`", "start from finite numbers, keep variances above 0")


@law(after=(builds,))
def host_apart(trial: Trial) -> None:
    """The autoencoder is no part of the prior: it is neither saved nor trained with it."""
    theirs = {id(one) for one in (*network(trial.host).modules(), *network(trial.host).parameters())}
    found = [type(one).__name__ for one in trial.fitted.modules() if id(one) in theirs]
    found += [name for name, one in trial.fitted.named_parameters() if id(one) in theirs]
    fix = "keep `host.encode` and `host.decode` themselves, not the network behind them: nn.Module adopts a module"
    demand(not found, f"the prior holds the autoencoder's {', '.join(found)}", fix)


SOUND = (host_apart,)
"""What every further law needs."""


@law(after=SOUND)
def space(trial: Trial) -> None:
    """`space` names settings of the constructor, and the prior works at both ends of every range."""
    if not trial.kind.space:
        raise Silent("it declares no tunable setting")
    for key, allowed in trial.kind.space.items():
        demand(key in registry.settings_of(trial.kind), f"there is no setting '{key}'", "name a constructor's keyword")
        for value in ends(allowed):
            z = Trial(trial.name, {**trial.settings, key: value}).build().sample(1)
            demand(bool(z.isfinite().all()), f"no finite draw at {key} = {value!r}", "narrow the range")


def ends(allowed: Range) -> Sequence[Any]:
    return allowed.values if isinstance(allowed, Choice) else (allowed.low, allowed.high)


# Draws


@law(after=SOUND)
def sample_form(trial: Trial) -> None:
    """sample(n) is (n, D), n = 1 too, finite, of the weights' type and device, and carries no gradient."""
    for prior, like, latent_dim in forms(trial):
        for n in (1, 7):
            check_draws(prior.sample(n), (n, latent_dim), like)


def forms(trial: Trial) -> Iterator[tuple[Prior, Tensor, int]]:
    """(the prior, a weight of the autoencoder, D): in either type, on the GPU where there is one, fitted or not."""
    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        for latent_dim, dtype in ((2, torch.float32), (2, torch.float64), (5, torch.float32)):
            host = small_host(latent_dim, dtype, device)
            yield trial.build(host=host).eval(), next(network(host).parameters()), latent_dim
    yield trial.fitted, next(network(trial.host).parameters()), 2


def check_draws(z: Tensor, shape: tuple[int, int], like: Tensor) -> None:
    demand(z.shape == shape, f"sample({shape[0]}) has the shape {tuple(z.shape)}, not {shape}", "return (n, D)")
    check_kind("sample(n)", z, like)
    demand(not z.requires_grad, "draws carry a gradient", "put @torch.no_grad() above sample; rsample carries it")


def check_kind(what: str, value: Tensor, like: Tensor) -> None:
    """The value has the type and device of `like`, and is finite."""
    found, wanted = (f"{one.dtype} on {one.device.type}" for one in (value, like))
    fix = "make tensors with dtype= and device= of a parameter or buffer, or by randn_like; constants are buffers"
    demand(found == wanted, f"{what} is {found}, the weights are {wanted}", fix)
    demand_finite(what, value, "look for 1 / 0 and log 0")


def demand_finite(what: str, value: Tensor, fix: str) -> None:
    wrong = value[~value.isfinite()]
    demand(not len(wrong), f"{what}: {len(wrong)} of {value.numel()} numbers are not finite", fix)


@law(after=(sample_form,))
def seed(trial: Trial) -> None:
    """Draws follow torch's random state: the same from the same state, others from another one and from the next."""

    def drawn(seed: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(seed)
        return trial.fitted.sample(20), trial.fitted.sample(20)

    (first, second), (again, _), (other, _) = drawn(1), drawn(1), drawn(2)
    fix = "draw by torch.randn, torch.rand and their kin, with no generator, numpy, or seed of your own"
    demand(torch.equal(first, again), "two calls at the same torch.manual_seed differ", fix)
    for more, where in ((second, "a second call"), (other, "another seed")):
        demand(not torch.equal(first, more), f"{where} gives the same draws", fix)


@law(after=(sample_form,))
def rsample(trial: Trial) -> None:
    """A draw by rsample carries the gradient of what is learned, if the prior says so by `reparameterised`.

    Of E[sin(z + 1)], along a random direction of the weights, against a central difference at the same noise.
    """
    prior = trial.build().eval()
    parameters = learned(prior)
    if not trial.kind.reparameterised:
        raise Silent("it is not `reparameterised`: no Wasserstein autoencoder trains it through its draws")
    if not parameters:
        raise Silent("nothing is learned in training")
    fix = "make draws a function of noise and weights, without sample(), detach or no_grad; or drop `reparameterised`"
    demand(prior.rsample(3).requires_grad, "rsample carries no gradient", fix)
    direction = [torch.randn_like(one) for one in parameters]
    direction = [one / one.norm() for one in direction]
    for n, step in ((100, 1e-3), (2000, 0.1)):  # draws that reject proposals jump: only on average do they agree
        slope = torch.tensor([slopes(prior, parameters, direction, n, step, seed) for seed in range(16)])
        carried, real = slope.mean(0)
        error = slope.diff().std() / math.sqrt(len(slope))
        if (carried - real).abs() <= ERRORS * error + 0.01 * real.abs() + CLOSE:
            return
    raise Broken(f"its gradient is {carried:.4g}, the draws move by {real:.4g}, s.e. {error:.2g}", fix)


def learned(prior: Prior) -> list[nn.Parameter]:
    """All that is trained with the model."""
    return [*prior.shared_parameters(), *(one for player in prior.players() for one in player.parameters)]


def slopes(
    prior: Prior, weights: list[nn.Parameter], direction: list[Tensor], n: int, step: float, seed: int
) -> tuple[float, float]:
    """d/dt of the mean of sin(z + 1) over n draws at weights + t direction: by rsample, and by a central difference."""

    def mean() -> Tensor:
        torch.manual_seed(seed)
        return (prior.rsample(n) + 1).sin().mean()

    gradients = torch.autograd.grad(mean(), weights, allow_unused=True)
    carried = sum((g * v).sum().item() for g, v in zip(gradients, direction, strict=True) if g is not None)
    return carried, central_difference(mean, weights, direction, step)


def central_difference(
    value: Callable[[], Tensor], at: Sequence[Tensor], direction: Sequence[Tensor], step: float
) -> float:
    """(value at `at` + step direction, minus value at `at` - step direction) / (2 step)."""
    ends = []
    for signed in (step, -step):
        with torch.no_grad(), moved(at, direction, signed):
            ends.append(value().item())
    return (ends[0] - ends[1]) / (2 * step)


@contextmanager
def moved(tensors: Sequence[Tensor], direction: Sequence[Tensor], step: float) -> Iterator[None]:
    """Within, the tensors are at step x direction from where they were and will be again."""
    start = [one.detach().clone() for one in tensors]
    for one, along in zip(tensors, direction, strict=True):
        one.data.add_(along, alpha=step)
    yield
    for one, origin in zip(tensors, start, strict=True):
        one.data.copy_(origin)


# The log-density as a function


@law(Density, after=SOUND)
def log_prob_form(trial: Trial) -> None:
    """log_prob is (..., D) -> (...), of the type and device of z: a point, a batch, several batches."""
    for prior, like, latent_dim in forms(trial):
        for shape in ((), (1,), (4,), (3, 4)):
            z = torch.randn(*shape, latent_dim).to(like)
            value = prior.log_prob(z)
            found = f"log_prob of {tuple(z.shape)} has the shape {tuple(value.shape)}, not {shape}"
            demand(value.shape == shape, found, "reduce the last dimension alone: .sum(-1), without keepdim")
            check_kind("log_prob(z)", value, like)


@law(Density, after=(log_prob_form,))
def rows(trial: Trial) -> None:
    """ln p(z) of a point does not depend on the points beside it, nor on how they are laid out."""
    z = points(12)
    alone = torch.stack([trial.fitted.log_prob(one) for one in z])
    fix = "no statistics of the batch in log_prob, and reductions over the last dimension alone"
    same("a point alone", alone, "among others", trial.fitted.log_prob(torch.cat([z, 30 * z]))[:12], fix)
    same("points in a row", alone, "in several", trial.fitted.log_prob(z.reshape(3, 4, 2)).flatten(), fix)


POINTWISE = (rows,)
"""What every further law of a density needs."""


@law(Density, after=POINTWISE)
def tails(trial: Trial) -> None:
    """ln p(z) and its gradient are finite far out, in float32: an encoder's first codes may lie anywhere."""
    prior = trial.build(host=small_host(dtype=torch.float32)).eval()
    direction = points(20).float() / points(20).float().norm(dim=-1, keepdim=True)
    z = torch.cat([direction, 10 * direction, 30 * direction]).requires_grad_()
    value = prior.log_prob(z)
    fix = "work with logarithms throughout: logsumexp for log(sum(exp)), logsigmoid, log1p; a law of all of R^D"
    demand_finite("ln p(z), ||z|| up to 30", value, fix)
    demand_finite("its gradient, ||z|| up to 30", torch.autograd.grad(value.sum(), z)[0], fix)


@law(Density, after=POINTWISE)
def gradient(trial: Trial) -> None:
    """The gradient of ln p(z) in z is that of its values: along a random direction, against a central difference."""
    z = points(20).requires_grad_()
    (exact,) = torch.autograd.grad(trial.fitted.log_prob(z).sum(), z)
    direction = torch.randn_like(z) / math.sqrt(z.numel())
    real = central_difference(lambda: trial.fitted.log_prob(z).sum(), [z], [direction], 1e-6)
    carried = (exact * direction).sum().item()
    fix = "no detach, no_grad, .item() or .data between z and ln p(z): the encoder learns through it"
    demand(abs(carried - real) <= 1e-4 * (1 + abs(real)), f"it is {carried:.6g}, the values say {real:.6g}", fix)


@law(Density, after=POINTWISE)
def frozen(trial: Trial) -> None:
    """frozen() is the same function as log_prob."""
    z = points(20)
    fix = "compute it from the present weights at every call of `frozen`, as log_prob does"
    same("log_prob", trial.fitted.log_prob(z), "frozen()", trial.fitted.frozen()(z), fix)


@law(Density, after=POINTWISE)
def divergence(trial: Trial) -> None:
    """divergence is (B,) and finite in training; after it, the one-sample estimate ln q(z|x) - ln p(z)."""
    x = trial.host.examples(9)
    q = trial.host.encode(x)
    z = q.rsample()
    value = trial.build().divergence(x, q, z)
    demand(value.shape == (9,), f"for 9 images it has the shape {tuple(value.shape)}", "a figure for every image")
    demand_finite("in training", value, "look for 1 / 0 and log 0")
    fix = "leave it as it is, or depart from it in training alone (`if self.training`): priors are compared by it"
    prior = trial.fitted
    same("ln q - ln p", q.log_prob(z) - prior.log_prob(z), "divergence", prior.divergence(x, q, z), fix)


# The density and the draws


def normalised(trial: Trial) -> Density:
    """The fitted prior, unless its density is a bound: then the grid has nothing to say."""
    if trial.kind.certainty == "bound":
        raise Silent("a bound of a density need not integrate to 1")
    return trial.fitted


@law(Density, after=POINTWISE)
def certainty(trial: Trial) -> None:
    """certainty is exact, estimate or bound; log_prob_error is finite, and above 0 for an estimate alone."""
    kinds = ("exact", "estimate", "bound")
    found, error = trial.kind.certainty, trial.fitted.log_prob_error
    demand(found in kinds, f"certainty = {found!r}", f"write one of {', '.join(kinds)}")
    demand(math.isfinite(error) and error >= 0, f"log_prob_error = {error}", "give a standard error in nats")
    fix = "say `estimate` and give ln Z's standard error, or say `exact` and give none"
    demand(found == "bound" or (error > 0) == (found == "estimate"), f"{found}, with log_prob_error = {error:.4g}", fix)


@law(Density, after=(certainty,))
def mass(trial: Trial) -> None:
    """exp(log_prob) integrates to 1 over the plane, within the error that the prior states."""
    error = normalised(trial).log_prob_error
    log_mass = (trial.log_p + grid().area.log()).logsumexp(0).item()
    found = f"it integrates to {math.exp(log_mass):.5g}: ln p is off by {log_mass:+.4g} nats"
    fix = "look for the constant (D/2 ln 2 pi), the log-determinant, the weights' logsumexp; or state the error of ln Z"
    demand(abs(log_mass) <= 1e-3 + ERRORS * error, found, fix)


@law(Density, after=(certainty, sample_form))
def entropy(trial: Trial) -> None:
    """-ln p(z) averaged over draws is the entropy that the grid gives."""
    value = -normalised(trial).log_prob(trial.draws).detach()
    expected = -torch.where(trial.share > 0, trial.share * trial.log_p, 0).sum().item()
    error = value.std().item() / math.sqrt(len(value))
    found = f"{value.mean():.4f} over draws, {expected:.4f} on the grid, s.e. {error:.4f} nats"
    fix = "the draws are too wide or too narrow for log_prob: compare the scales (a variance taken for a deviation?)"
    demand(abs(value.mean().item() - expected) <= ERRORS * error + 1e-3, found, fix)


@law(Density, after=(certainty, sample_form))
def draws(trial: Trial) -> None:
    """Draws fall where the density says: chi-squared over 64 regions of the plane, p > 0.0001."""
    normalised(trial)
    region = regions(trial.share)
    cell = torch.bucketize(trial.draws.contiguous(), grid().edges[1:-1])
    side = len(grid().edges) - 1
    observed = torch.bincount(region[cell[:, 0] * side + cell[:, 1]], minlength=64).double()
    expected = DRAWS * torch.zeros(64, dtype=torch.float64).index_add(0, region, trial.share)
    p = chi_squared(observed, expected)
    fix = "sample and log_prob describe different laws: compare means, signs, the order of dimensions, and the weights"
    demand(p > LIKELY, f"p = {p:.2g}: {DRAWS} draws are not of this density", fix)


def regions(share: Tensor, count: int = 8) -> Tensor:
    """Which of count^2 regions a cell is in: products of intervals that are about equally probable on either axis."""
    side = math.isqrt(len(share))

    def interval(marginal: Tensor) -> Tensor:
        return (count * (marginal.cumsum(0) - marginal / 2)).long().clamp(0, count - 1)

    square = share.reshape(side, side)
    return (count * interval(square.sum(1))[:, None] + interval(square.sum(0))).flatten()


def chi_squared(observed: Tensor, expected: Tensor) -> float:
    """Pearson's p-value; what is expected less than five times is counted together."""
    order = expected.argsort(descending=True)
    last = max(1, int((expected >= 5).sum())) - 1
    observed, expected = (torch.cat([n[order][:last], n[order][last:].sum(0, True)]) for n in (observed, expected))
    if last == 0:
        raise Silent("all of the density lies within a few cells of the grid, which is too coarse for it")
    statistic = ((observed - expected).square() / expected).sum()
    return torch.special.gammaincc(torch.tensor(last / 2).double(), statistic / 2).item()


# Training


@law(after=SOUND)
def owners(trial: Trial) -> None:
    """Every parameter is trained once: by one player or, being shared, by the model's own loss."""
    prior = trial.build()
    trained = {id(one): name for name, one in prior.named_parameters() if one.requires_grad}
    owned = Counter(map(id, learned(prior)))
    if not trained:
        raise Silent("it has no parameters to train")
    if not owned:
        raise Silent("all of it is fitted after training")
    strangers = len(owned.keys() - trained.keys())
    demand(not strangers, f"{strangers} parameters are not its own", "the encoder's are the model's: leave them out")
    twice = [trained[key] for key, times in owned.items() if times > 1]
    demand(not twice, f"trained twice: {', '.join(twice)}", "a parameter belongs to one player, or is shared")
    forgotten = [name for key, name in trained.items() if key not in owned]
    fix = "give them to a player, leave `shared_parameters` as it is, or make constants buffers"
    demand(not forgotten, f"trained by nobody: {', '.join(forgotten)}", fix)


@law(after=(owners,))
def turns(trial: Trial) -> None:
    """A step of every player, and of the model's loss on what is shared, descends and moves nothing else."""
    prior = trial.build()
    players = [*model_player(prior, trial.host), *prior.players()]
    if not players:
        raise Silent("nothing is learned in training")
    batch = Batch(trial.host.examples(50))
    for player in players:
        take_turn(player, batch, [*prior.parameters(), *network(trial.host).parameters()])


def model_player(prior: Prior, host: Host) -> list[Player]:
    """The model's own loss, as far as it trains the prior: the divergence, or a function of draws, and the penalty."""
    shared = prior.shared_parameters()

    def loss(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        q = host.encode(batch.x)
        z = q.rsample()
        dense = isinstance(prior, Density)
        value = prior.divergence(batch.x, q, z).mean() if dense else (prior.rsample(len(z)) + 1).sin().mean()
        penalty = prior.penalty(batch.x)
        return value if penalty is None else value + penalty, {}

    fix = "make it a Density, give it `rsample` and `reparameterised = True`, or train it by a player"
    teachable = not shared or isinstance(prior, Density) or prior.reparameterised
    demand(teachable, "its parameters are shared, but neither a density nor draws can teach them", fix)
    return [Player("model", shared, loss)] if shared else []


def take_turn(player: Player, batch: Batch, everything: Sequence[nn.Parameter]) -> None:
    """A step down the gradient, seen from outside: nothing but the player's own parameters may have moved."""
    before = [one.detach().clone() for one in everything]
    loss = loss_of(player, batch)
    gradients = torch.autograd.grad(loss, player.parameters, allow_unused=True)
    idle = sum(one is None for one in gradients)
    fix = "use them in the loss, without detach; or make them buffers"
    demand(not idle, f"{player.name}: {idle} of its parameters get no gradient", fix)
    still = all(torch.equal(a, b) and b.grad is None for a, b in zip(before, everything, strict=True))
    fix = "a loss only computes: no backward(), no optimiser, no assignment to parameters; the loop steps"
    demand(still, f"{player.name}: computing the loss changes parameters or their .grad", fix)
    fix = "give the loss to descend, with the sign that makes it smaller, and as a function of these parameters"
    demand(descends(player, batch, gradients), f"{player.name}: a small step down the gradient does not lower it", fix)


def loss_of(player: Player, batch: Batch) -> Tensor:
    """At the same noise every time."""
    torch.manual_seed(0)
    loss, parts = player.loss(batch)
    demand(loss.dim() == 0, f"{player.name}: the loss has the shape {tuple(loss.shape)}", "return its mean, a scalar")
    attached = [name for name, value in parts.items() if value.requires_grad or value.numel() != 1]
    demand(not attached, f"{player.name}: {', '.join(attached)} no detached scalar", "detach what is only displayed")
    return loss


def descends(player: Player, batch: Batch, gradients: Sequence[Tensor]) -> bool:
    """Does a step of length 0.01, or a tenth, a hundredth or a thousandth of it, lower the loss?"""
    norm = math.sqrt(sum(one.square().sum().item() for one in gradients))
    before = loss_of(player, batch)
    for length in (1e-2, 1e-3, 1e-4, 1e-5):
        with moved(player.parameters, gradients, -length / (norm or 1.0)):
            if loss_of(player, batch) < before:
                return True
    return False


# What is kept, and what is told


@law(after=(seed,))
def state(trial: Trial) -> None:
    """The state_dict is the whole state: loaded into another instance, it gives the same draws and densities."""
    saved = trial.build().eval()
    fix = "constants drawn at random are buffers, what is learned are parameters, and both are used as they now stand"
    same("as saved", behaviour(saved), "as loaded", behaviour(reloaded(trial, saved)), fix)


@law(after=(seed,))
def fit_once(trial: Trial) -> None:
    """`fit`, called again on the state that it left, changes nothing."""
    refuse_unfitted(trial)
    prior = trial.fit(trial.build())
    first = behaviour(prior)
    fix = "return at once if a buffer `fitted` says so, or start afresh from the codes"
    same("after one call", first, "after two", behaviour(trial.fit(prior)), fix)


@law(after=(state, fit_once))
def fitted_state(trial: Trial) -> None:
    """The state_dict is the whole state after `fit` too, once `fit` has been called on what was loaded."""
    refuse_unfitted(trial)
    again = trial.fit(reloaded(trial, trial.fitted))
    fix = "keep what is fitted in buffers registered in the constructor, at their final shape"
    same("as saved", behaviour(trial.fitted), "as loaded", behaviour(again), fix)


def refuse_unfitted(trial: Trial) -> None:
    if trial.kind.fit is Prior.fit:
        raise Silent("it fits nothing after training")


def reloaded(trial: Trial, prior: Prior) -> Prior:
    """Another instance, with other random numbers, under the saved state."""
    file = io.BytesIO()
    torch.save(prior.state_dict(), file)
    file.seek(0)
    other = trial.build(seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    return other.eval()


@torch.no_grad()
def behaviour(prior: Prior) -> Tensor:
    """Draws, and densities of points, from a fixed random state."""
    z = points(20)
    values = [prior.log_prob(z).flatten()] if isinstance(prior, Density) else []
    return torch.cat([prior.sample(20).flatten(), *values])


@law(Density, after=(*POINTWISE, state))
def precision(trial: Trial) -> None:
    """In float32 it is the same density."""
    double, single = trial.build().eval(), trial.build(host=small_host(dtype=torch.float32)).eval()
    single.load_state_dict(double.state_dict())
    z = points(50)
    a, b = double.log_prob(z), single.log_prob(z.float()).double()
    found = f"ln p(z) differs by up to {(a - b).abs().max():.2g} nats between float32 and float64"
    demand(torch.allclose(a, b, 1e-4, 1e-3), found, "no differences of large numbers; keep constants as buffers")


@law(Density, after=SOUND)
def conventions(trial: Trial) -> None:
    """conventions() gives finite shifts in nats, by name."""
    told = trial.fitted.conventions()
    if not told:
        raise Silent("its paper has no normalisation of its own")
    wrong = [name for name, shift in told.items() if not math.isfinite(shift)]
    demand(not wrong, f"not finite: {', '.join(wrong)}", "give ln p so normalised minus log_prob, once it is known")


@law(after=SOUND)
def report(trial: Trial) -> None:
    """report() gives named finite figures."""
    told = trial.fitted.report()
    if not told:
        raise Silent("it has nothing to tell of itself")
    wrong = [str(one) for one in told if not (isinstance(one, Known) and math.isfinite(one.value))]
    demand(not wrong, f"not a finite figure: {', '.join(wrong)}", 'give Known("name", float, "unit"), once it is known')


LAWS = (
    *(summary, settings, builds, host_apart, space),
    *(sample_form, seed, rsample),
    *(log_prob_form, rows, tails, gradient, frozen, divergence),
    *(certainty, mass, entropy, draws),
    *(owners, turns),
    *(state, fit_once, fitted_state, precision, conventions, report),
)


# What the laws share


def points(n: int) -> Tensor:
    """z about the origin, (n, 2), the same every time; torch's random state stands where it left it."""
    torch.manual_seed(0)
    return 2 * torch.randn(n, 2, dtype=torch.float64)


def same(one: str, a: Tensor, other: str, b: Tensor, fix: str) -> None:
    """Raises Broken unless a and b agree but for rounding."""
    gap = (a - b).abs().max().item()
    demand(torch.allclose(a, b, CLOSE, CLOSE), f"{one} and {other} differ by up to {gap:.4g}", fix)


# Verdicts


def examine(trial: Trial, laws: Sequence[Law] = LAWS) -> Iterator[Verdict]:
    """The verdicts in their order. A law after one that failed is not tried. Torch's random state is left alone."""
    closed: dict[str, str] = {}  # law to the failed one that it waits for
    for one in laws:
        root = next((closed[before.name] for before in one.after if before.name in closed), None)
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            verdict = Verdict(one, "does not apply", f"not tried: '{root}' fails") if root else judge(one, trial)
        if root or verdict.outcome == "fail":
            closed[one.name] = root or one.name
        yield verdict


def judge(one: Law, trial: Trial) -> Verdict:
    """One law's verdict. What the prior's own code raises is its failure, not the caller's."""
    if not issubclass(trial.kind, one.of):
        return Verdict(one, "does not apply", f"it is no {one.of.__name__}: it is known through its samples")
    try:
        one.check(trial)
    except Silent as reason:
        return Verdict(one, "does not apply", str(reason))
    except Broken as broken:
        return Verdict(one, "fail", str(broken), broken.fix)
    except Exception as error:
        return Verdict(one, "fail", registry.in_one_line(error), f"look at {origin(error, trial.kind)}")
    return Verdict(one, "pass")


def origin(error: Exception, kind: type) -> str:
    """The last line of the prior's own file that the error came through."""
    file = inspect.getsourcefile(kind)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file] or frames
    return f"line {own[-1].lineno} of {Path(own[-1].filename).name}, in {own[-1].name}"


NLL = {
    "exact": "exact NLL",
    "estimate": "NLL with an estimate of the normaliser",
    "bound": "NLL with a bound of the density",
}


def use(kind: type[Prior], broken: Collection[str] = ()) -> str:
    """What a prior may be used for that breaks these laws."""
    if {*broken} - {entropy.name, draws.name}:
        return "nothing yet"
    if not issubclass(kind, Density):
        return "WAE and figures of samples only: it has no density"
    samples = "no figures of samples: they would be of another law" if broken else "figures of samples"
    return f"VAE objective and {NLL[kind.certainty]}; {samples}"
