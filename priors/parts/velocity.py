"""A velocity with its exact divergence, and the flow along it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

FREQUENCIES = 3
"""Of the sines and cosines of t that the network sees beside t."""


class State(NamedTuple):
    """Points on their way z (n, D), and -int div v dt so far (n,)."""

    z: Tensor
    log_change: Tensor


class Field(Protocol):
    """A velocity that can be followed."""

    def field(self) -> Callable[[Tensor, float], tuple[Tensor, Tensor]]:
        """(z (n, D), t) -> (v (n, D), div v (n,)), with all that depends on neither computed once."""
        ...


class Velocity(nn.Module):
    """v(z, t) = c(t) z + W_3 a(W_2 a(W_1 z + U t + b_1) + b_2) + b_3, with c(t) = (2 t - 1) / (t^2 + (1 - t)^2).

    c(t) z is the velocity that flow matching finds from a standard normal to another: the network has what is left to
    learn, and starts at 0. It sees t, and sines and cosines of it, in its first layer; a is SiLU.

    Its divergence needs no D passes backwards. With a' at both layers, the trace of W_3 diag(a'_2) W_2 diag(a'_1) W_1
    is a'_2 . M a'_1 with M = W_2 * (W_1 W_3)', entry by entry: one product more for every point.
    """

    def __init__(self, latent_dim: int, widths: tuple[int, int]):
        super().__init__()
        self.first = nn.Linear(latent_dim, widths[0])
        self.time = nn.Linear(1 + 2 * FREQUENCIES, widths[0], bias=False)
        self.second, self.last = nn.Linear(*widths), nn.Linear(widths[1], latent_dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """v at z (n, D), t (n, 1) or (1,); (n, D)."""
        first = self.first(z) + self.time(features(t))
        return towards_normal(t) * z + self.last(activated(self.second(activated(first))))

    def field(self) -> Callable[[Tensor, float], tuple[Tensor, Tensor]]:
        """v and its divergence as the flow needs them, at one t for all points."""
        product = self.second.weight * (self.first.weight @ self.last.weight).T

        def at(z: Tensor, t: float) -> tuple[Tensor, Tensor]:
            now = z.new_tensor([t])
            first = self.first(z) + self.time(features(now))
            second = self.second(activated(first))
            v = self.last(activated(second))
            trace = ((slope(first) @ product.T) * slope(second)).sum(-1)
            c = towards_normal(now)
            return c * z + v, z.shape[-1] * c + trace

        return at


def activated(h: Tensor) -> Tensor:
    """SiLU."""
    return h * h.sigmoid()


def slope(h: Tensor) -> Tensor:
    """Its derivative."""
    s = h.sigmoid()
    return s * (1 + h * (1 - s))


def features(t: Tensor) -> Tensor:
    """t, and sines and cosines of it, (..., 1) -> (..., 1 + 2 FREQUENCIES)."""
    angle = math.pi * t * torch.arange(1, FREQUENCIES + 1, dtype=t.dtype, device=t.device)
    return torch.cat([t, angle.sin(), angle.cos()], -1)


def towards_normal(t: Tensor) -> Tensor:
    """c(t) of `Velocity`."""
    return (2 * t - 1) / (t.square() + (1 - t).square())


def flow(velocity: Field, z: Tensor, way: tuple[float, float], steps: int) -> State:
    """The points z (n, D) after dz/dt = v from one time to another, with -int div v dt over the way from 0 to 1.

    By steps of Runge and Kutta's method of order four. Backwards, from 1 to 0, the integral still is the one forwards,
    so that it adds to ln N(z_0): ln p(z_1) = ln N(z_0) + log_change.
    """
    field, (start, end) = velocity.field(), way
    step, state = (end - start) / steps, State(z, z.new_zeros(len(z)))
    for k in range(steps):
        state = runge_kutta(field, state, start + k * step, step)
    return state if end > start else State(state.z, -state.log_change)


def runge_kutta(field: Callable[[Tensor, float], tuple[Tensor, Tensor]], state: State, t: float, step: float) -> State:
    """One step: the classical weights 1, 2, 2, 1 of four stages."""
    z, log_change = state
    v, divergence = zip(*_stages(field, z, t, step), strict=True)
    return State(z + step * weighted(v), log_change - step * weighted(divergence))


def _stages(
    field: Callable[[Tensor, float], tuple[Tensor, Tensor]], z: Tensor, t: float, step: float
) -> list[tuple[Tensor, Tensor]]:
    """v and its divergence at the beginning, twice in the middle, and at the end of a step."""
    found = [field(z, t)]
    for share in (0.5, 0.5, 1.0):
        found.append(field(z + share * step * found[-1][0], t + share * step))
    return found


def weighted(stages: tuple[Tensor, ...]) -> Tensor:
    """(a + 2 b + 2 c + d) / 6."""
    a, b, c, d = stages
    return (a + 2 * (b + c) + d) / 6
