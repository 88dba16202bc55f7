"""Gradient penalties that keep a critic near 1-Lipschitz."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch._C._functorch import is_batchedtensor

TINY = 1e-12
"""What is added under a root, so that its derivative at zero stays finite."""

Critic = Callable[[Tensor], Tensor]
"""A critic of points or images, x (B, ...) -> (B,)."""


def wgan_gp(critic: Critic, real: Tensor, fake: Tensor, weight: float = 10.0) -> Tensor:
    """weight E[(||grad D(y)|| - 1)^2] at random interpolates y of real and fake points (Gulrajani et al. 2017, eq. 3).

    real, fake: (B, ...). A scalar that carries the critic's gradient.
    """
    return weight * (slope(critic, interpolate(real, fake)) - 1).square().mean()


def wgan_div_1(critic: Critic, real: Tensor, fake: Tensor, weight: float = 2.0, power: float = 6.0) -> Tensor:
    """weight E||grad D(y)||^power at random interpolates y of real and fake points (Wu et al. 2018, eq. 6)."""
    return weight * slope(critic, interpolate(real, fake)).pow(power).mean()


def wgan_div_2(critic: Critic, real: Tensor, fake: Tensor, weight: float = 2.0, power: float = 6.0) -> Tensor:
    """The same as `wgan_div_1`, averaged over the real and the fake points themselves."""
    at_real, at_fake = (slope(critic, points).pow(power).mean() for points in (real, fake))
    return weight * (at_real + at_fake) / 2


PENALTIES: dict[str, Callable[[Critic, Tensor, Tensor], Tensor]] = {
    "wgan-gp": wgan_gp,
    "wgan-div-1": wgan_div_1,
    "wgan-div-2": wgan_div_2,
}


def interpolate(real: Tensor, fake: Tensor) -> Tensor:
    """a real + (1 - a) fake with a ~ U[0, 1] for every pair."""
    a = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    return a * real + (1 - a) * fake


def slope(critic: Critic, x: Tensor) -> Tensor:
    """||grad_x D(x)||, (B,), with its own gradient in the critic's parameters, also where several are mapped over."""
    x = x.detach()
    if is_batchedtensor(x):  # autograd's own call is not to be had within `torch.vmap`
        gradient = torch.func.grad(lambda y: critic(y).sum())(x)
    else:
        x = x.requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return (gradient.flatten(1).square().sum(1) + TINY).sqrt()
