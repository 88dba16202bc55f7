"""Captured turns: what is replayed is what the loss gives, and what cannot be is computed as written."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.runner import capture
from benchmarks.runner.turns import WORTH, Turns
from priors.base import Batch, Player


class Line(nn.Module):
    """A loss with a draw, a warm-up and a buffer that it moves."""

    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(4.0))
        self.register_buffer("offset", torch.zeros(()))

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.offset.lerp_(batch.x.mean(), 0.1)
        noise = torch.randn_like(batch.x)
        size = (batch.x @ self.weight + noise[:, 0] + self.offset).square().mean()
        return size * batch.warm_up + torch.as_tensor(batch.step / 10).clamp(max=1), {"size": size.detach()}


class Counting(Line):
    """A loss that counts its calls in Python."""

    calls = 0

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.calls += 1
        return super().loss(batch)


class Deciding(Line):
    """A loss that asks `if` of the step."""

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss, parts = super().loss(batch)
        return (2 * loss if batch.step > 5 else loss), parts


class Drawing(Line):
    """A loss that draws from Python's random numbers."""

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss, parts = super().loss(batch)
        return loss * random.random(), parts


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays are the traced operations themselves, which no compiler has joined."""
    monkeypatch.setattr(capture, "fast", lambda graph, given: graph)


def turns_of(line: Line, how: str = "on", count: int = 1) -> Turns:
    player = Player("line", (line.weight,), line.loss)
    return Turns(player, "float32", line, how, count)  # type: ignore[arg-type]


def trace(line: Line, turn: Turns) -> list[Tensor]:
    """Loss, size, gradient and offset of a few batches, the last of which is smaller."""
    torch.manual_seed(0)
    told: list[Tensor] = []
    for step, rows in enumerate((8, 8, 8, 3)):
        loss, parts, (gradient,) = turn(Batch(torch.randn(rows, 4), 0.5 + step, step))
        told += [loss, parts["size"], gradient, line.offset.clone()]
    return told


def assert_as_written(line: Line, other: Line) -> None:
    """Captured, the first gives what the other does as written, and draws no number more."""
    expected = trace(other, turns_of(other, "off"))
    for a, b in zip(trace(line, turns_of(line)), expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_replay_follows_the_batch_the_weights_and_the_stream_of_draws(uncompiled: None) -> None:
    line, other = Line(), Line()
    turn = turns_of(line)
    assert_as_written(line, other)
    trace(line, turn)
    assert turn.how == "captured"
    with torch.no_grad():
        line.weight += 1
        other.weight += 1
        other.offset.copy_(line.offset)
    torch.manual_seed(1)
    found = turn(Batch(torch.ones(8, 4)))
    torch.manual_seed(1)
    torch.testing.assert_close(found[0], turns_of(other, "off")(Batch(torch.ones(8, 4)))[0])


@pytest.mark.parametrize(
    ("kind", "reason"), [(Counting, "calls"), (Deciding, "value out of a tracing"), (Drawing, "random's state")]
)
def test_a_loss_that_a_replay_would_change_is_computed_as_written(
    uncompiled: None, kind: type[Line], reason: str
) -> None:
    line = kind()
    turn = turns_of(line)
    trace(line, turn)
    assert turn.how.startswith("as written: ")
    assert reason in turn.how


def test_a_replay_that_gives_another_gradient_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(graph: capture.Flat, given: list[Tensor]) -> capture.Flat:
        return lambda now: [*graph(now)[:-1], 1.01 * graph(now)[-1]]

    monkeypatch.setattr(capture, "fast", wrong)
    turn = turns_of(Line())
    trace(Line(), turn)
    assert turn.how == "as written: its replay gives another gradient 0"


def test_without_a_compiler_a_training_goes_on_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **options: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", none)
    line, other = Line(), Line()
    turn = turns_of(line)
    trace(line, turn)
    assert "no compiler" in turn.how
    assert_as_written(Line(), other)


def test_a_tensor_in_another_place_is_captured_anew(uncompiled: None) -> None:
    line = Line()
    turn = turns_of(line)
    trace(line, turn)
    line.offset = torch.ones(())
    turn.renew()
    torch.manual_seed(0)
    found = turn(Batch(torch.zeros(8, 4)))[0]
    other = Line()
    other.offset = torch.ones(())
    torch.manual_seed(0)
    torch.testing.assert_close(found, turns_of(other, "off")(Batch(torch.zeros(8, 4)))[0])


def test_auto_captures_trainings_that_are_long_enough(uncompiled: None) -> None:
    short, long = turns_of(Line(), "auto", WORTH - 1), turns_of(Line(), "auto", WORTH)
    for turn in (short, long):
        trace(Line(), turn)
    assert [short.how, long.how] == ["as written", "captured"]


def test_convolutions_are_left_as_they_are_on_a_cpu() -> None:
    layer = nn.Conv2d(1, 2, 3)
    player = Player("line", tuple(layer.parameters()), lambda batch: (layer(batch.x).square().mean(), {}))
    turn = Turns(player, "float32", layer, "on", 1)
    turn(Batch(torch.randn(2, 1, 5, 5)))
    assert "convolutions" in turn.how


def test_the_compilers_bars_leave_no_semaphore_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tqdm is installed, its lock is one of threads alone."""
    tqdm = pytest.importorskip("tqdm").tqdm
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)
    monkeypatch.setattr(tqdm, "_lock", tqdm.get_lock())
    capture.joined(len)
    assert isinstance(tqdm.get_lock(), type(threading.RLock()))


@pytest.mark.long
def test_the_compiler_gives_what_the_loss_gives() -> None:
    line = Line()
    turn = turns_of(line)
    assert_as_written(line, Line())
    trace(line, turn)
    assert turn.how == "captured"


@pytest.mark.slow
def test_a_compiled_suite_has_the_losses_of_one_as_written(tmp_path: Path) -> None:
    from benchmarks.run import main

    histories = []
    for how in ("on", "off"):
        folder = tmp_path / how
        small = [f"--set={one}" for one in ("training.epochs=3", "protocol.samples=[10]", "protocol.images=10")]
        chosen = ["--suite", "smoke", "--dataset", "onehot", "--method", "gaussian", "--seeds", "0", *small]
        assert main([*chosen, "--results", str(folder), "--compile", how, "--device", "cpu"]) == 0
        (record,) = (folder / "runs").glob("*/*/history.csv")
        rows = record.read_text().splitlines()[1:]
        histories.append([float(row.split(",")[-1]) for row in rows])
        assert ("captured" in record.with_name("training.json").read_text()) == (how == "on")
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)
