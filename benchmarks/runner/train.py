"""The only training loop. It knows players, epochs and checkpoints, and no prior, model or regulariser by name.

An epoch's data order and noise are seeded from the run's seed and the epoch's number, so that methods are paired by
seed, and a run taken up from a checkpoint goes on exactly as if it had never stopped.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from benchmarks.common.seeds import seed_for
from benchmarks.config.settings import Schedule, TrainingSettings
from benchmarks.datasets import Dataset
from benchmarks.runner import arithmetic
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.turns import Turns, When
from models.base import Autoencoder
from priors import sizes
from priors.base import Batch, Codes, IndexedDistribution, Player, Prior
from priors.parts.fitting import put

CHECKPOINT_SECONDS = 20.0
"""Least time between two checkpoints: what a kill can cost."""

CODES = 1000
"""Training images, about, whose codes a prior sees before every validation."""

VALIDATION_CHUNK = 2000
"""Images at a time on a CPU."""

NORM_GUARD = 1e-7
"""What keeps the norm of a gradient that vanishes from dividing by zero."""


class Diverged(RuntimeError):
    """A loss or a weight left the real numbers; the message has the epoch and the losses."""


@dataclass
class Progress:
    """What a checkpoint keeps beside weights and optimisers."""

    epoch: int = 0  # epochs finished
    step: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    worked: float = 0.0  # seconds of the processor, which other programs on it do not lengthen
    shared: bool = False  # some of its seconds are a share of those of several trainings, computed together


class Taken(NamedTuple):
    """Seconds by the clock, and seconds of the processor."""

    seconds: float
    worked: float

    @classmethod
    def now(cls) -> Taken:
        return cls(time.monotonic(), time.process_time())

    def since(self, among: int = 1) -> Taken:
        """What has passed since this moment, shared equally among so many."""
        return Taken(*((later - earlier) / among for earlier, later in zip(self, Taken.now(), strict=True)))


class Trainer:
    """Trains a model and its prior on a data set, and leaves the best weights in them."""

    def __init__(
        self,
        model: Autoencoder,
        prior: Prior,
        data: Dataset,
        settings: TrainingSettings,
        seed: int,
        record: Record,
        capture: When = "off",
    ):
        arithmetic.demand(settings.precision, data.train.stored.device)
        self.both, self.model, self.prior = nn.ModuleDict({"model": model, "prior": prior}), model, prior
        self.data, self.settings, self.seed, self.record = data, settings, seed, record
        self.players = tuple(self.model.players(self.prior))
        self.optimisers = [optimiser(player, settings) for player in self.players]
        steps = settings.epochs * math.ceil(len(data.train) / settings.batch_size)
        tell = partial(record.report, stage="compiling the training step")
        self.turns = [
            Turns(player, settings.precision, self.both, capture, steps * player.turns, tell) for player in self.players
        ]
        self.progress = Progress()
        self.device, self.saved = data.train.stored.device, time.monotonic()

    def run(self) -> Progress:
        """All epochs that are left, then the best weights; raises Diverged."""
        self.resume()
        while not self.finished():
            start, warm_up = Taken.now(), self.warm_up()
            losses = self.epoch()
            self.end_epoch(losses, start.since(), warm_up)
        return self.end()

    def end_epoch(self, losses: dict[str, float], taken: Taken, warm_up: float) -> None:
        """After an epoch that took so much: validation, a line of the history, and a checkpoint now and then. Raises
        Diverged."""
        start = Taken.now()
        self.demand_finite(losses)
        self.validate(losses)
        validated = start.since()
        self.progress.seconds += taken.seconds + validated.seconds
        self.progress.worked += taken.worked + validated.worked
        self.log(losses, warm_up)
        if time.monotonic() - self.saved > CHECKPOINT_SECONDS or self.finished():
            self.checkpoint()
            self.saved = time.monotonic()

    def end(self) -> Progress:
        """After the last epoch: the best weights, in evaluation mode."""
        if self.progress.best:
            self.both.load_state_dict(self.progress.best)
        self.both.eval()
        return self.progress

    def how(self) -> dict[str, str]:
        """How each player's turns were computed."""
        return {player.name: turn.how for player, turn in zip(self.players, self.turns, strict=True)}

    def finished(self) -> bool:
        p, s = self.progress, self.settings
        waited = p.epoch - max(p.best_epoch, s.warm_up)
        return p.epoch >= s.epochs or (s.patience > 0 and waited >= s.patience)

    def epoch(self) -> dict[str, float]:
        """One pass over the training data; mean losses by player and part, nats an image."""
        self.begin_epoch()
        torch.manual_seed(self.noise_seed())
        totals: dict[str, Tensor] = {}
        for index in self.batches():
            for key, value in self.step(index).items():
                totals[key] = totals.get(key, 0) + value * len(index)
        self.progress.epoch += 1
        return {key: value.item() / len(self.data.train) for key, value in totals.items()}

    def begin_epoch(self) -> None:
        """What the present epoch sets: learning rates, and training's mode."""
        s = self.settings
        rate = s.lr * decay(s.schedule, self.progress.epoch, s.epochs)
        for player, adam in zip(self.players, self.optimisers, strict=True):
            adam.param_groups[0]["lr"] = rate * (player.optimiser.lr or s.lr) / s.lr
        self.both.train()
        for turn in self.turns:
            turn.renew()

    def noise_seed(self) -> int:
        """Of all that is drawn in the present epoch."""
        return seed_for(self.seed, "noise", self.progress.epoch)

    def batches(self) -> Iterator[Tensor]:
        """Indices of this epoch's batches, in an order that depends on the run's seed and the epoch alone."""
        generator = torch.Generator().manual_seed(seed_for(self.seed, "order", self.progress.epoch))
        order = torch.randperm(len(self.data.train), generator=generator)
        *whole, last = order.to(self.device).split(self.settings.batch_size)
        if len(last) == 1 and whole:  # a single image has no batch statistics
            last = torch.cat([whole.pop(), last])
        yield from (*whole, last)

    def step(self, index: Tensor) -> dict[str, Tensor]:
        """Every player's turns. A player's first turn sees the step's batch, its further turns fresh draws."""
        losses: dict[str, Tensor] = {}
        for player, turn, adam in zip(self.players, self.turns, self.optimisers, strict=True):
            for number in range(player.turns):
                chosen = index if number == 0 else torch.randint(len(self.data.train), index.shape, device=self.device)
                x, grey = self.data.train.with_grey(chosen)
                loss, parts, gradients = turn(Batch(x, self.warm_up(), self.progress.step, grey, chosen))
                descend(gradients, player.parameters, adam, self.settings)
            losses[f"{player.name}.loss"] = loss
            losses |= {f"{player.name}.{name}": value for name, value in parts.items()}
        self.progress.step += 1
        return losses

    def warm_up(self) -> float:
        """The KL's weight in the present epoch, up to 1 at the end of the warm-up."""
        return min(1.0, (self.progress.epoch + 1) / self.settings.warm_up) if self.settings.warm_up else 1.0

    @torch.no_grad()
    def validate(self, losses: dict[str, float]) -> None:
        """Adds the validation loss, under the same noise every epoch, and keeps the best weights after the warm-up."""
        p = self.progress
        self.both.eval()
        torch.manual_seed(seed_for(self.seed, "normaliser", p.epoch))
        losses |= self.prior.before_validation(Codes(self.some_codes))
        torch.manual_seed(seed_for(self.seed, "validation"))
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        chunk = sizes.rows(self.device, sizes.IMAGE, VALIDATION_CHUNK)
        for start in range(0, len(self.data.validation), chunk):
            x = self.data.validation.batch(slice(start, start + chunk))
            total += self.model.validation_loss(x, self.prior).double().sum()
        losses["validation"] = total.item() / len(self.data.validation)
        self.demand_finite(losses)
        if p.epoch >= min(self.settings.warm_up, self.settings.epochs) and losses["validation"] < p.best_loss:
            p.best_loss, p.best_epoch = losses["validation"], p.epoch
            if self.settings.keep == "best":
                p.best = {name: value.clone() for name, value in self.both.state_dict().items()}

    def some_codes(self) -> IndexedDistribution:
        """q(z|x) of CODES training images at even distances, or of all where they are fewer."""
        count = len(self.data.train)
        index = torch.arange(0, count, max(1, count // CODES), device=self.device)
        return self.model.encode(self.data.train.batch(index))

    def demand_finite(self, losses: Mapping[str, float]) -> None:
        if not all(map(math.isfinite, losses.values())):
            values = ", ".join(f"{key} = {value:.4g}" for key, value in losses.items())
            raise Diverged(f"diverged in epoch {self.progress.epoch}: {values}")

    def log(self, losses: Mapping[str, float], warm_up: float) -> None:
        p = self.progress
        p.history.append({"epoch": p.epoch, "seconds": round(p.seconds, 3), "warm_up": warm_up, **losses})
        self.record.report(
            stage="training",
            epoch=p.epoch,
            epochs=self.settings.epochs,
            best_epoch=p.best_epoch,
            seconds=p.seconds,
            losses={key: value for key, value in losses.items() if key.split(".")[-1] != "loss"},
        )

    def checkpoint(self) -> None:
        """The history up to here, and everything that the rest of the run depends on. The history comes first: a
        process that was killed between the two makes it anew, and after the last epoch nothing else would."""
        write_history(self.record, self.progress.history)
        state = {
            "weights": self.both.state_dict(),
            "optimisers": [adam.state_dict() for adam in self.optimisers],
            "progress": vars(self.progress),
        }
        self.record.save("checkpoint", tree_map(apart, state))

    def resume(self) -> None:
        """Takes up the checkpoint, where there is one that can be read."""
        try:
            state = self.record.restore("checkpoint", self.device)
        except Damaged:
            self.record.put_aside("checkpoint")
            return
        if state is None:
            return
        self.both.load_state_dict(state["weights"])
        for adam, saved in zip(self.optimisers, state["optimisers"], strict=True):
            adam.load_state_dict(saved)
        self.progress = Progress(**state["progress"])


def apart(value: Any) -> Any:
    """A tensor that is a part of a larger one as a copy: otherwise all of that is saved with it."""
    part = isinstance(value, Tensor) and value.numel() * value.itemsize < value.untyped_storage().nbytes()
    return value.clone() if part else value


def optimiser(player: Player, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Fused Adam over the player's parameters."""
    s = player.optimiser
    return torch.optim.Adam(
        player.parameters, lr=s.lr or settings.lr, betas=s.betas, weight_decay=s.weight_decay, fused=True
    )


def descend(
    gradients: Sequence[Tensor],
    parameters: Sequence[nn.Parameter],
    adam: torch.optim.Optimizer,
    settings: TrainingSettings,
) -> None:
    """One step on these parameters alone: no other player's gradient is computed or touched."""
    put(normalised(gradients) if settings.gradients == "normalised" else gradients, parameters)
    if settings.clip:
        nn.utils.clip_grad_norm_(parameters, settings.clip)
    adam.step()


def normalised(gradients: Sequence[Tensor], members: bool = False) -> Sequence[Tensor]:
    """Each tensor's gradient divided by its own 2-norm, g / (||g|| + 1e-7), or each member's part of it where they are
    stacked.

    Adam takes a constant factor out of a gradient anyway: this gives every batch the same weight in its averages.
    """
    if members:
        norms = [one.reshape(len(one), -1).norm(dim=1).view(-1, *[1] * (one.dim() - 1)) for one in gradients]
    else:
        norms = list(torch._foreach_norm([*gradients]))
    return [one / (norm + NORM_GUARD) for one, norm in zip(gradients, norms, strict=True)]


def decay(schedule: Schedule, epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by in an epoch, counted from 0."""
    if schedule.type == "step":
        return schedule.factor ** (epoch // schedule.every)
    if schedule.type == "cosine":
        return 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    return 1.0


def write_history(record: Record, history: Sequence[Mapping[str, Any]]) -> None:
    """history.csv, a row an epoch."""
    if not history:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    record.put("history.csv", lambda file: file.write(text.getvalue().encode()))
