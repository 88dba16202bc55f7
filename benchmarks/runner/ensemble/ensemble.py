"""Several trainers whose epochs are computed together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.common.seeds import seed_for
from benchmarks.runner.ensemble.noise import From, Stream, drawn
from benchmarks.runner.ensemble.recorded import Images, Turned
from benchmarks.runner.ensemble.refusal import Unstackable
from benchmarks.runner.ensemble.stack import Stack, join
from benchmarks.runner.ensemble.turn import TOLERANCE, Turn
from benchmarks.runner.train import Trainer, normalised, optimiser
from priors.parts.fitting import put

NORMS = 1e-2
"""How much a gradient's norm may differ, relatively: it rounds more than its loss."""


class Ensemble:
    """Trainers that differ in the seed alone and have finished equally many epochs. Unstackable where they cannot be
    computed together; they can then go on alone, as nothing was trained yet."""

    def __init__(self, members: Sequence[Trainer]):
        self.members, self.first = members, members[0]
        self.data, self.settings = self.first.data, self.first.settings
        names = [player.name for player in self.first.players]
        if any([player.name for player in one.players] != names for one in members):
            raise Unstackable("the members' players differ")
        self.stack = Stack([one.both for one in members])
        self.turns = [self.turn(k) for k in range(len(names))]
        self.streams: list[Stream] = []
        self.rehearse()

    def turn(self, k: int) -> Turn:
        """That of the k-th player, with an optimiser over the stacked parameters."""
        player = self.first.players[k]
        place = {id(one): i for i, one in enumerate(self.first.both.parameters())}
        if not all(id(one) in place for one in player.parameters):
            raise Unstackable("a player trains what is no parameter of model and prior")
        own = [place[id(one)] for one in player.parameters]
        stacked = [self.stack.tensors[i] for i in own]
        adam = optimiser(player._replace(parameters=tuple(stacked)), self.settings)  # type: ignore[arg-type]
        join(adam, stacked, [one.optimisers[k] for one in self.members])
        left = 1 - self.first.progress.epoch / max(1, self.settings.epochs)  # where a seed has left, the rest is new
        compiled = self.first.turns[k].worth(len(self.members) * left)
        return Turn(self.stack, [one.players[k] for one in self.members], adam, own, self.settings.precision, compiled)

    # An epoch

    def epoch(self) -> list[dict[str, float]]:
        """What `Trainer.epoch` does, for all: mean losses by player and part of every member."""
        self.stack.gather()
        for one in self.members:
            one.begin_epoch()
        for turn, adam in zip(self.turns, self.first.optimisers, strict=True):
            turn.adam.param_groups[0]["lr"] = adam.param_groups[0]["lr"]
        self.streams = [Stream(one.noise_seed()) for one in self.members]
        totals: dict[str, Tensor] = {}
        for index in map(torch.stack, zip(*(one.batches() for one in self.members), strict=True)):
            for key, value in self.step(index).items():
                totals[key] = totals.get(key, 0) + value * index.shape[1]
        for one in self.members:
            one.progress.epoch += 1
        means = {key: (value.double() / len(self.data.train)).tolist() for key, value in totals.items()}
        return [{key: value[s] for key, value in means.items()} for s in range(len(self.members))]

    def step(self, index: Tensor) -> dict[str, Tensor]:
        """Every player's turns on the members' batches, indices (S, B)."""
        losses: dict[str, Tensor] = {}
        warm_up, step = self.first.warm_up(), self.first.progress.step
        for player, turn in zip(self.first.players, self.turns, strict=True):
            for number in range(player.turns):
                images = self.images(index if number == 0 else self.fresh(index))
                turned = turn(images, drawn(turn.draws(images), self.streams), warm_up, step)
                self.descend(turn, turned)
            losses[f"{player.name}.loss"] = turned.losses
            losses |= {f"{player.name}.{name}": value for name, value in turned.parts.items()}
        for one in self.members:
            one.progress.step += 1
        return losses

    def fresh(self, index: Tensor) -> Tensor:
        """Indices of other images, as many, from each member's stream."""
        count, size, where = len(self.data.train), index.shape[1:], index.device
        return torch.stack([torch.randint(count, size, device=where, generator=s.on(where)) for s in self.streams])

    def images(self, index: Tensor) -> Images:
        """The images of these indices, with each member's own noise."""
        pairs = []
        for chosen, stream in zip(index, self.streams, strict=True):
            with From(stream):
                pairs.append(self.data.train.with_grey(chosen))
        x, grey = zip(*pairs, strict=True)
        return Images(torch.stack(x), index, None if grey[0] is None else torch.stack(grey))

    def descend(self, turn: Turn, turned: Turned) -> None:
        """One step of the player's Adam, in each member's clipped gradient."""
        gradients = turned.gradients
        if self.settings.gradients == "normalised":
            gradients = normalised(gradients, members=True)
        factors = clipping(gradients, self.settings.clip) if self.settings.clip else None
        if factors is not None:
            gradients = [one * factors.view(-1, *[1] * (one.dim() - 1)) for one in gradients]
        put(gradients, [self.stack.tensors[k] for k in turn.own])
        turn.adam.step()

    # Before the first

    def rehearse(self) -> None:
        """Every player's turn on the first batch, against every member's alone. Unstackable where they differ."""
        for one in self.members:
            one.both.train()
        self.streams = [Stream(seed_for(one.seed, "rehearsal")) for one in self.members]
        index = torch.stack([next(one.batches()) for one in self.members])
        for turn in self.turns:
            images = self.images(index)
            noise = drawn(turn.draws(images), self.streams)
            with self.stack.kept():
                alone = turn.each_alone(images, noise)
            together = turn.rehearsed(images, noise)
            demand_same("losses", together.losses, alone.losses, TOLERANCE)
            demand_same("gradients", norms(together.gradients), norms(alone.gradients), NORMS)


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """Of every member's gradients, (S,)."""
    each = [torch.linalg.vector_norm(one.reshape(len(one), -1), dim=1) for one in gradients]
    return torch.linalg.vector_norm(torch.stack(each), dim=0)


def clipping(gradients: Sequence[Tensor], largest: float) -> Tensor:
    """What every member's gradients are multiplied by, (S,), as `clip_grad_norm_` does."""
    return (largest / (norms(gradients) + 1e-6)).clamp(max=1.0)


def demand_same(what: str, together: Tensor, alone: Tensor, tolerance: float) -> None:
    """Unstackable where numbers of the members differ from theirs alone by more than their size times this."""
    if not torch.allclose(together, alone.to(together.dtype), rtol=tolerance, atol=tolerance, equal_nan=True):
        raise Unstackable(f"the {what} of a rehearsal differ from those of the trainings alone")
