"""One player's turn for all members at once: their losses and gradients, and a step of one Adam."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from benchmarks.runner import arithmetic
from benchmarks.runner.ensemble.noise import Handed, Make, noted
from benchmarks.runner.ensemble.recorded import Images, Recorded, Turned
from benchmarks.runner.ensemble.stack import Stack
from priors.base import Player

TRIED = (0.625, 3)
"""A warm-up and a step that a recorded turn is tried at: it was recorded at others."""

TOLERANCE = 1e-4
"""How much a loss may differ, relatively, from the one that a training alone has: more than rounding, less than any
other computation would give."""


class Turn:
    """A player's turn. players: that of every member, the first of which computes for all. join: have the compiler
    join what is recorded of it."""

    def __init__(
        self,
        stack: Stack,
        players: Sequence[Player],
        adam: Optimizer,
        own: Sequence[int],
        precision: str,
        join: bool = False,
    ):
        self.stack, self.players, self.adam, self.precision, self.join = stack, players, adam, precision, join
        self.player, self.own = players[0], own
        self.makes: dict[torch.Size, Sequence[Make]] = {}
        self.recorded: dict[torch.Size, Recorded | None] = {}

    def draws(self, images: Images) -> Sequence[Make]:
        """What the loss of such a batch draws beyond it; noted when first asked for."""
        shape = images.x.shape
        if shape not in self.makes:
            with self.stack.kept():
                self.makes[shape] = noted(lambda: self.alone(0, images, 1.0, 0), images.x.device)
        return self.makes[shape]

    def alone(self, s: int, images: Images, warm_up: float, step: int) -> Tensor:
        """One member's loss, as its own trainer computes it."""
        with arithmetic.within(self.precision, images.x.device):
            return self.players[s].loss(images.of(s).batch(warm_up, step))[0]

    def each_alone(self, images: Images, noise: Sequence[Tensor]) -> Turned:
        """Losses and gradients as every member computes them by itself, with this noise."""
        losses, gradients = [], []
        for s, player in enumerate(self.players):
            with Handed([one[s] for one in noise]):
                loss = self.alone(s, images, 1.0, 0)
            losses.append(loss.detach())
            gradients.append(torch.autograd.grad(loss, player.parameters))
        return Turned(torch.stack(losses), {}, [torch.stack(same) for same in zip(*gradients, strict=True)])

    def __call__(self, images: Images, noise: Sequence[Tensor], warm_up: float, step: int) -> Turned:
        """All losses and gradients, by what was recorded of them where that can be."""
        shape = images.x.shape
        if shape not in self.recorded:  # a training's first batch is a whole one: compiling the last would not pay
            self.recorded[shape] = self.record(images, noise, join=self.join and not self.recorded)
        compute = self.recorded[shape] or self.mapped
        return compute(self.stack.tensors, images, noise, warm_up, step)

    def mapped(
        self,
        tensors: Sequence[Tensor],
        images: Images,
        noise: Sequence[Tensor],
        warm_up: float | Tensor,
        step: int | Tensor,
    ) -> Turned:
        """All losses, by a map over the members, and their gradients."""

        def one(tensors: list[Tensor], images: Images, noise: list[Tensor]) -> tuple[Any, Any]:
            with self.stack.within(tensors), Handed(noise):
                loss, parts = self.player.loss(images.batch(warm_up, step))
            return loss, dict(parts)

        dims = (0, Images(*(None if each is None else 0 for each in images)), 0)  # type: ignore[arg-type]
        with quiet(), arithmetic.within(self.precision, images.x.device):
            losses, parts = torch.vmap(one, dims)([*tensors], images, [*noise])
        gradients = torch.autograd.grad(losses.sum(), [tensors[k] for k in self.own])
        return Turned(losses.detach(), parts, gradients)

    def rehearsed(self, images: Images, noise: Sequence[Tensor]) -> Turned:
        """All losses and gradients, by the map, at full weight; buffers stay as they are."""
        with self.stack.kept():
            return self.mapped(self.stack.tensors, images, noise, 1.0, 0)

    def record(self, images: Images, noise: Sequence[Tensor], join: bool) -> Recorded | None:
        """The operations of `mapped` in a row, or None where they depend on what is computed: each then costs its
        kernel alone, and neither the modules, nor the map, nor the gradient's way back are gone through again. Joined,
        unless the compiler cannot."""
        tensors = self.stack.tensors
        with suppress(Exception), self.stack.kept(), quiet():
            recorded = Recorded(self.mapped, tensors, images, noise, join)
            with self.stack.kept():
                wanted = self.mapped(tensors, images, noise, *TRIED)
            with self.stack.kept():
                found = recorded(tensors, images, noise, *TRIED)
            if found.losses.dtype == wanted.losses.dtype and torch.allclose(wanted.losses, found.losses, TOLERANCE):
                return recorded
        return self.record(images, noise, join=False) if join else None


@contextmanager
def quiet() -> Iterator[None]:
    """Within, torch does not tell which operations it maps one by one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        yield
