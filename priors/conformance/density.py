"""Laws of the log-density as a function."""

from __future__ import annotations

import math

import torch

from priors.base import Batch, Density, density
from priors.conformance.construction import SOUND
from priors.conformance.law import demand, law
from priors.conformance.samples import central_difference, check_kind, demand_finite, forms
from priors.conformance.trial import Trial, points, same, small_host


@law(Density, after=SOUND)
def log_prob_form(trial: Trial) -> None:
    """log_prob is (..., D) -> (...), of the type and device of z: a point, a batch, several batches."""
    for prior, like, latent_dim in forms(trial):
        for shape in ((), (1,), (4,), (3, 4)):
            z = torch.randn(*shape, latent_dim).to(like)
            value = density(prior).log_prob(z)
            found = f"log_prob of {tuple(z.shape)} has the shape {tuple(value.shape)}, not {shape}"
            demand(value.shape == shape, found, "reduce the last dimension alone: .sum(-1), without keepdim")
            check_kind("log_prob(z)", value, like)


@law(Density, after=(log_prob_form,))
def rows(trial: Trial) -> None:
    """ln p(z) of a point does not depend on the points beside it, nor on how they are laid out."""
    z = points(12)
    alone = torch.stack([trial.density.log_prob(one) for one in z])
    fix = "no statistics of the batch in log_prob, and reductions over the last dimension alone"
    same("a point alone", alone, "among others", trial.density.log_prob(torch.cat([z, 30 * z]))[:12], fix)
    same("points in a row", alone, "in several", trial.density.log_prob(z.reshape(3, 4, 2)).flatten(), fix)


POINTWISE = (rows,)
"""The laws that every further law of a density needs."""


@law(Density, after=POINTWISE)
def tails(trial: Trial) -> None:
    """ln p(z) and its gradient are finite far out, in float32: an encoder's first codes may lie anywhere."""
    prior = density(trial.build(host=small_host(dtype=torch.float32))).eval()
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
    (exact,) = torch.autograd.grad(trial.density.log_prob(z).sum(), z)
    direction = torch.randn_like(z) / math.sqrt(z.numel())
    real = central_difference(lambda: trial.density.log_prob(z).sum(), [z], [direction], 1e-6)
    carried = (exact * direction).sum().item()
    fix = "no detach, no_grad, .item() or .data between z and ln p(z): the encoder learns through it"
    demand(abs(carried - real) <= 1e-4 * (1 + abs(real)), f"it is {carried:.6g}, the values say {real:.6g}", fix)


@law(Density, after=POINTWISE)
def frozen(trial: Trial) -> None:
    """frozen() is the same function as log_prob, of several batches too."""
    z = points(20).reshape(4, 5, 2)
    fix = "compute it from the present weights at every call of `frozen`, as log_prob does"
    same("log_prob", trial.density.log_prob(z), "frozen()", trial.density.frozen()(z), fix)


@law(Density, after=POINTWISE)
def divergence(trial: Trial) -> None:
    """divergence is (B,) and finite in training; after it, the one-sample estimate ln q(z|x) - ln p(z)."""
    x = trial.host.inputs(torch.arange(9))
    q = trial.host.encode(x)
    z = q.rsample()
    value = density(trial.build()).divergence(Batch(x, index=torch.arange(9)), q, z)
    demand(value.shape == (9,), f"for 9 images it has the shape {tuple(value.shape)}", "a figure for every image")
    demand_finite("in training", value, "look for 1 / 0 and log 0")
    fix = "leave it as it is, or depart from it in training alone (`if self.training`): priors are compared by it"
    prior = trial.density
    same("ln q - ln p", q.log_prob(z) - prior.log_prob(z), "divergence", prior.divergence(Batch(x), q, z), fix)
