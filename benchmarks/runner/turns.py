"""A player's turn: the gradients of its loss, computed as written, or captured once and replayed.

A step of a small network is a hundred short operations, and most of its time is what stands between them. Captured, a
turn is its operations alone, forwards and backwards: on a CPU `torch.compile` joins them into a few loops beside the
matrix products, on CUDA a graph launches them at once. Draws, losses and gradients are those of the loss as written, up
to the rounding of sums.

A loss is captured only where it leaves no trace but in tensors, and where the replay gives what the loss itself gives:
at the first batch both are computed, from the same random state, and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.runner import arithmetic
from priors.base import Batch, Player

When = Literal["auto", "on", "off"]
"""Whether what makes trainings faster is done: where it is worth it, wherever it can be, or never."""

WORTH = 10_000
"""Turns of a training from which on a CPU's capture earns what it costs: a second or two from a cache, and 5 to 30 the
first time on a machine, while a turn of the smallest networks becomes faster by half a millisecond."""

Result = tuple[Tensor, Mapping[str, Tensor], Sequence[Tensor]]
"""The loss and its parts, detached, and its gradient in every parameter of the player."""

Turn = Callable[[Batch], Result]


def as_written(player: Player, precision: str) -> Turn:
    """The turn that computes the player's loss anew each time. precision: of the products, as in the settings."""

    def turn(batch: Batch) -> Result:
        with arithmetic.within(precision, batch.x.device):
            loss, parts = player.loss(batch)
        return loss.detach(), parts, torch.autograd.grad(loss, player.parameters)

    return turn


class Turns:
    """The turns of one training's player. The first whole batch decides whether they are replayed.

    both: model and prior, whose tensors a replay is bound to. count: how many there will be. tell: is called before a
    capture, which may take a while. `how` says what became of it.
    """

    def __init__(
        self,
        player: Player,
        precision: str,
        both: nn.Module,
        capture: When,
        count: int,
        tell: Callable[[], object] = lambda: None,
    ):
        self.written, self.both, self.tell = as_written(player, precision), both, tell
        self.capture, self.count = capture, count
        self.wanted = self.worth()
        self.how = "as written"
        self.replay: Turn | None = None
        self.shape: torch.Size | None = None
        self.bound: list[int] = []

    def worth(self, trainings: float = 1) -> bool:
        """Are they to be captured, of so many trainings at once? A graph is recorded within milliseconds, a
        compiler takes its time."""
        if self.capture == "auto":
            return self.count * trainings >= WORTH or next(self.both.parameters()).device.type == "cuda"
        return self.capture == "on"

    def __call__(self, batch: Batch) -> Result:
        if self.wanted and self.shape is None:
            self.take(batch)
        if self.replay is None or batch.x.shape != self.shape:
            return self.written(batch)
        return self.replay(batch)

    def take(self, batch: Batch) -> None:
        """Captures the turn at this batch, and says how it went."""
        from benchmarks.runner.capture import Uncapturable, capture  # with the compiler, which most runs do not need

        self.tell()
        self.shape, self.bound = batch.x.shape, addresses(self.both)
        try:
            self.replay, self.how = capture(self.written, batch, self.both), "captured"
        except Uncapturable as reason:
            self.replay, self.how = None, f"as written: {reason}"

    def renew(self) -> None:
        """Forgets a replay whose tensors are not the model's and the prior's any more: the next batch decides anew."""
        if self.replay is not None and self.bound != addresses(self.both):
            self.replay = self.shape = None


def addresses(module: nn.Module) -> list[int]:
    """Where the module's tensors lie."""
    return [one.data_ptr() for one in (*module.parameters(), *module.buffers())]
