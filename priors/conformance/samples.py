"""Laws of the draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from priors.base import Prior
from priors.conformance.construction import SOUND
from priors.conformance.law import Broken, NotApplicable, demand, law
from priors.conformance.trial import CLOSE, ERRORS, Trial, small_host


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
            yield trial.build(host=host).eval(), next(host.autoencoder.parameters()), latent_dim
    yield trial.fitted, next(trial.host.autoencoder.parameters()), 2


def check_draws(z: Tensor, shape: tuple[int, int], like: Tensor) -> None:
    """Raises Broken unless draws have this shape, the type and device of `like`, and no gradient, and are finite."""
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
    """Raises Broken unless all numbers of `value` are finite."""
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
        raise NotApplicable("it is not `reparameterised`: no Wasserstein autoencoder trains it through its draws")
    if not parameters:
        raise NotApplicable("nothing is learned in training")
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
