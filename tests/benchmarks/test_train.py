"""The training loop: turns, order, schedules, stopping, and going on from a checkpoint as if nothing had happened."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.config.settings import ModelSettings, Run, Schedule, TrainingSettings, prior_settings
from benchmarks.datasets import Dataset, Split
from benchmarks.datasets.base import draw_once
from benchmarks.metrics.protocol import ProtocolSettings
from benchmarks.runner import train
from benchmarks.runner.build import build
from benchmarks.runner.cost import cost
from benchmarks.runner.record import Record
from benchmarks.runner.train import Diverged, Progress, Trainer
from priors.base import Batch, OptimiserSettings, Player


def dataset(n: int = 40, dynamic: bool = True) -> Dataset:
    """n grey images of 2 x 3, all different."""
    grey = torch.arange(6 * (n + 20), dtype=torch.float32).view(n + 20, 1, 2, 3) / (6 * (n + 20))
    splits = grey.split([n, 10, 10])
    return Dataset(
        name="made",
        train=Split(splits[0], 1.0, draws=dynamic),
        validation=Split(splits[1], 1.0),
        test=Split(splits[2], 1.0),
        binarisation="dynamic" if dynamic else "none",
        bounded=True,
        levels=2 if dynamic else None,
        log_prob=None,
        digest="made",
    )


class NoPrior(nn.Identity):
    """In the place of a prior that wants nothing before a validation."""

    def before_validation(self, codes: object) -> dict[str, float]:
        return {}


class Two(nn.Module):
    """A model of two players that pull at each other's parameters, and that writes down every turn.

    `script` gives the validation losses, epoch by epoch, where it is given.
    """

    def __init__(self, turns: tuple[int, int] = (1, 1), script: list[float] | None = None, lr: float | None = None):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.full((2,), 2.0))
        self.turns, self.script, self.lr = turns, script, lr
        self.calls: list[tuple[str, Batch, Tensor, Tensor]] = []
        self.validations = 0

    def players(self, prior: nn.Module) -> tuple[Player, ...]:
        settings = OptimiserSettings(lr=self.lr)
        return (
            Player("first", (self.a,), lambda batch: self.loss("first", batch), turns=self.turns[0]),
            Player("second", (self.b,), lambda batch: self.loss("second", batch), settings, turns=self.turns[1]),
        )

    def loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        self.calls.append((name, batch, self.a.detach().clone(), self.b.detach().clone()))
        value = self.a.square().sum() * self.b.square().sum() + batch.x.mean()
        return (value if name == "first" else -value), {"part": value.detach()}

    def validation_loss(self, x: Tensor, prior: nn.Module) -> Tensor:
        self.validations += 1
        value = self.script[self.validations - 1] if self.script else 1.0
        return torch.full((len(x),), value)


def trainer(model: nn.Module, folder: Path, data: Dataset | None = None, seed: int = 0, **settings: Any) -> Trainer:
    both = nn.ModuleDict({"model": model, "prior": NoPrior()})
    chosen = TrainingSettings(**{"epochs": 3, "batch_size": 16, "lr": 0.01} | settings)
    return Trainer(both["model"], both["prior"], data or dataset(), chosen, seed, Record(folder / str(seed)))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    """The records' folders, which a claim would have made."""
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()


# Turns


@pytest.mark.parametrize("turns", [(1, 1), (1, 3), (2, 0)])
def test_turns(turns: tuple[int, int], tmp_path: Path):
    """Every step, every player in its order, as often as it asks; fresh images in all turns but its first."""
    model = Two(turns)
    trainer(model, tmp_path, dataset(dynamic=False), epochs=2).run()
    step = ["first"] * turns[0] + ["second"] * turns[1]
    steps = 2 * math.ceil(40 / 16)
    assert [name for name, *_ in model.calls] == step * steps
    for start in range(0, len(model.calls), len(step)):
        calls = model.calls[start : start + len(step)]
        assert {batch.step for _, batch, *_ in calls} == {start // len(step)}
        assert len({len(batch.x) for _, batch, *_ in calls}) == 1
        same = [torch.equal(batch.x, calls[0][1].x) for _, batch, *_ in calls]
        assert same == [turn == 0 for count in turns for turn in range(count)]


@pytest.mark.parametrize("rule", ["dynamic", "static", "none"])
def test_batches_bring_the_images_before_any_binarisation(rule: str, tmp_path: Path):
    """The same rows as x in every turn, grey where these are 0 and 1; over an epoch's first turns all images."""
    plain = dataset(dynamic=False).train
    train = {"dynamic": replace(plain, draws=True), "static": draw_once(plain, 5), "none": plain}[rule]
    model = Two((1, 2))
    trainer(model, tmp_path, replace(dataset(), train=train), epochs=1).run()
    batches = [batch for name, batch, *_ in model.calls if name == "first"]
    seen = torch.cat([batch.original for batch in batches])
    order = seen.flatten(1)[:, 0].argsort()
    assert torch.equal(seen[order], plain[:])
    x = torch.cat([batch.x for batch in batches])[order]
    if rule == "none":
        assert all(batch.original is batch.x for _, batch, *_ in model.calls)
    if rule == "static":
        assert torch.equal(x, train[:])
    if rule != "none":
        for _, batch, *_ in model.calls:
            assert batch.x.unique().tolist() == [0, 1]
            rows = (batch.original.flatten(1)[:, None] == plain[:].flatten(1)).all(2)
            assert (rows.sum(1) == 1).all()
        assert (x[plain[:] > 0.6].mean() > x[plain[:] < 0.4].mean()).item()


def test_a_step_moves_its_own_players_parameters_alone(tmp_path: Path):
    model = Two((2, 1))
    trainer(model, tmp_path).run()
    ends = [(a, b) for _, _, a, b in model.calls[1:]] + [(model.a.detach(), model.b.detach())]
    for (name, _, a, b), (next_a, next_b) in zip(model.calls[:-1], ends, strict=False):
        assert torch.equal(a, next_a) == (name == "second")
        assert torch.equal(b, next_b) == (name == "first")


def test_descend_computes_no_other_gradient(tmp_path: Path):
    model = Two((1, 0))
    trainer(model, tmp_path).run()
    assert model.a.grad is not None
    assert model.b.grad is None


def test_each_player_descends_its_own_loss(tmp_path: Path):
    """The first makes a^2 b^2 smaller by a, the second larger by b."""
    model = Two()
    trainer(model, tmp_path).run()
    assert (model.a < 1).all()
    assert (model.b > 2).all()


def test_clipping_bounds_the_gradient(tmp_path: Path):
    model = Two()
    trainer(model, tmp_path, clip=0.125, epochs=1).run()
    assert model.a.grad.norm().item() == pytest.approx(0.125, rel=1e-4)
    assert model.b.grad.norm().item() == pytest.approx(0.125, rel=1e-4)


def test_normalised_gradients_have_the_length_of_one():
    gradients = [torch.tensor([[3.0, 4.0]]), torch.zeros(2)]
    one, none = train.normalised(gradients)
    torch.testing.assert_close(one, torch.tensor([[0.6, 0.8]]))
    assert torch.equal(none, torch.zeros(2))
    stacked = train.normalised([torch.tensor([[3.0, 4.0], [0.0, 2.0]])], members=True)
    torch.testing.assert_close(stacked[0], torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


def test_losses_are_means_over_images(tmp_path: Path):
    """A short last batch counts for its images, not for a whole batch."""
    model = Two()
    training = trainer(model, tmp_path, dataset(dynamic=False), epochs=1)
    (row,) = training.run().history
    calls = [(batch, a, b) for name, batch, a, b in model.calls if name == "first"]
    assert [len(batch.x) for batch, *_ in calls] == [16, 16, 8]
    total = sum(len(x.x) * (a.square().sum() * b.square().sum() + x.x.mean()).item() for x, a, b in calls)
    assert row["first.loss"] == pytest.approx(total / 40, rel=1e-5)
    assert row["first.part"] == pytest.approx(total / 40, rel=1e-5)


# Order


def orders(training: Trainer, epochs: int = 3) -> list[list[int]]:
    """The images' order in the first epochs."""
    found = []
    for epoch in range(epochs):
        training.progress = Progress(epoch=epoch)
        found.append(torch.cat(list(training.batches())).tolist())
    return found


def test_order_depends_on_seed_and_epoch_alone(tmp_path: Path):
    first = orders(trainer(Two(), tmp_path))
    torch.manual_seed(123)
    assert orders(trainer(Two((3, 2)), tmp_path, lr=0.5, warm_up=2)) == first
    assert all(sorted(order) == list(range(40)) for order in first)
    assert first[0] != first[1] != first[2]
    assert all(a != b for a, b in zip(orders(trainer(Two(), tmp_path, seed=1)), first, strict=True))


def test_batches_cover_the_data_in_parts(tmp_path: Path):
    assert [len(index) for index in trainer(Two(), tmp_path).batches()] == [16, 16, 8]
    assert [len(index) for index in trainer(Two(), tmp_path, batch_size=100).batches()] == [40]


# Settings by epoch


def test_seconds_of_the_processor_leave_out_what_was_slept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = trainer(Two(), tmp_path, epochs=2)
    monkeypatch.setattr(one, "validate", lambda losses: time.sleep(0.05))
    progress = one.run()
    assert 0 < progress.worked < progress.seconds
    assert progress.seconds - progress.worked > 0.08
    costs = {one.metric: one.value for one in cost(one.both, progress, torch.device("cpu"))}
    assert costs["processor_time"] == pytest.approx(progress.worked, abs=1e-3)


def test_warm_up(tmp_path: Path):
    """1/4, 2/4, 3/4, 1, 1 in an epoch's batches, and in the history beside that epoch."""
    model = Two()
    progress = trainer(model, tmp_path, epochs=5, warm_up=4, batch_size=40).run()
    seen = [batch.warm_up for name, batch, *_ in model.calls if name == "first"]
    assert seen == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [row["warm_up"] for row in progress.history] == seen


def test_no_warm_up(tmp_path: Path):
    model = Two()
    trainer(model, tmp_path, epochs=2).run()
    assert {batch.warm_up for _, batch, *_ in model.calls} == {1.0}


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Schedule(), [1, 1, 1, 1]),
        (Schedule(type="step", every=2, factor=0.1), [1, 1, 0.1, 0.1]),
        (Schedule(type="cosine"), [1, 0.5 + 0.5 / math.sqrt(2), 0.5, 0.5 - 0.5 / math.sqrt(2)]),
    ],
)
def test_schedules(schedule: Schedule, factors: list[float], tmp_path: Path):
    """The suite's rate for the first player, its own for the second, both times the factor."""
    training = trainer(Two(lr=0.5), tmp_path, epochs=4, lr=0.01, schedule=schedule)
    for epoch, factor in enumerate(factors):
        assert train.decay(schedule, epoch, 4) == pytest.approx(factor)
        training.epoch()
        rates = [adam.param_groups[0]["lr"] for adam in training.optimisers]
        assert rates == pytest.approx([0.01 * factor, 0.5 * factor])


# Stopping and the best weights


def test_early_stopping(tmp_path: Path):
    """Three epochs without a better loss after the best, the third."""
    progress = trainer(Two(script=[5, 4, 3, 6, 3, 9, 1]), tmp_path, epochs=7, patience=3).run()
    assert (progress.epoch, progress.best_epoch, progress.best_loss) == (6, 3, 3)


def test_patience_of_zero_never_stops(tmp_path: Path):
    assert trainer(Two(script=[1, 2, 3, 4, 5, 6]), tmp_path, epochs=6).run().epoch == 6


def test_patience_starts_after_the_warm_up(tmp_path: Path):
    progress = trainer(Two(script=[1, 2, 3, 4, 5, 6, 7, 8, 9]), tmp_path, epochs=9, patience=2, warm_up=4).run()
    assert (progress.epoch, progress.best_epoch) == (6, 4)


@pytest.mark.parametrize(("warm_up", "best"), [(0, 2), (2, 2), (3, 4), (4, 4), (5, 5)])
def test_best_weights_are_looked_for_after_the_warm_up(warm_up: int, best: int, tmp_path: Path):
    """A low loss under a small weight of the KL is none; the weights of the best epoch are those that stay."""
    model = Two(script=[3, 0, 2, 1, 5])
    progress = trainer(model, tmp_path, epochs=5, warm_up=warm_up, batch_size=40).run()
    assert progress.best_epoch == best
    later = model.calls[2 * best :]  # two turns an epoch
    if later:
        assert torch.equal(model.a, later[0][2])
        assert torch.equal(model.b, later[0][3])
        assert not torch.equal(model.a, model.calls[-1][2])
    assert not model.training


def test_warm_up_longer_than_training_keeps_the_last_epoch(tmp_path: Path):
    progress = trainer(Two(script=[1, 2, 3]), tmp_path, epochs=3, warm_up=10).run()
    assert progress.best_epoch == 3


def test_no_epoch_leaves_the_first_weights(tmp_path: Path):
    model = Two()
    assert trainer(model, tmp_path, epochs=0).run().epoch == 0
    assert torch.equal(model.a, torch.ones(3))
    assert model.calls == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_names_epoch_and_losses(bad: float, tmp_path: Path):
    with pytest.raises(Diverged, match=rf"diverged in epoch 2: first.loss = .*validation = {bad}"):
        trainer(Two(script=[1, bad, 1]), tmp_path).run()


# Going on from a checkpoint, and pairs


def run_of(prior: str, seed: int = 0, **training: Any) -> Run:
    settings = {"epochs": 5, "batch_size": 16, "lr": 0.01, "warm_up": 2, "schedule": {"type": "cosine"}}
    return Run(
        suite="made",
        dataset="made",
        method=prior,
        seed=seed,
        prior=prior_settings(prior, {"components": 4} if prior != "gaussian" else {}),
        model=ModelSettings(widths=(8,), latent_dim=2),
        training=TrainingSettings(**settings | training),
        protocol=ProtocolSettings(),
        metrics=("nll",),
    )


def trainer_of(run: Run, data: Dataset, record: Record) -> Trainer:
    model, prior = build(run, data)
    return Trainer(model, prior, data, run.training, run.seed, record)


class Killed(BaseException):
    """Stands for the end of the process."""


def trained(run: Run, data: Dataset, folder: Path, epochs: int | None = None) -> tuple[dict[str, Tensor], Progress]:
    """Weights and progress, after a first process that ends with its checkpoint of epoch `epochs`."""
    record = Record(folder)
    folder.mkdir()
    if epochs is not None:
        first = trainer_of(run, data, record)
        save = first.checkpoint

        def checkpoint() -> None:
            save()
            if first.progress.epoch == epochs:
                raise Killed

        first.checkpoint = checkpoint
        with pytest.raises(Killed):
            first.run()
        torch.manual_seed(99)  # the next process knows nothing of the first one's random state
    training = trainer_of(run, data, record)
    progress = training.run()
    return training.both.state_dict(), progress


def without_seconds(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


@pytest.mark.long
@pytest.mark.parametrize("patience", [0, 1])
@pytest.mark.parametrize("prior", ["gaussian", "vampprior"])
def test_resumed_at_every_epoch(prior: str, patience: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bit for bit the weights, the history and the best epoch of a training that nothing stopped."""
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1.0)
    data, run = dataset(), run_of(prior, patience=patience)
    weights, progress = trained(run, data, tmp_path / "whole")
    assert progress.epoch >= 3
    for epoch in range(1, progress.epoch + 1):
        again, other = trained(run, data, tmp_path / f"killed-{epoch}", epoch)
        assert again.keys() == weights.keys()
        for name, value in weights.items():
            assert torch.equal(again[name], value), f"{name}, killed after epoch {epoch}"
        assert without_seconds(other.history) == without_seconds(progress.history)
        assert (other.epoch, other.step, other.best_epoch) == (progress.epoch, progress.step, progress.best_epoch)
        assert other.best_loss == progress.best_loss
        with (tmp_path / f"killed-{epoch}" / "history.csv").open() as file:
            assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, progress.epoch + 1))


def test_the_history_is_whole_where_a_process_ends_with_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nothing after the checkpoint is done by the process; the next one finds all epochs done."""
    record = Record(tmp_path / "0")
    save = Record.save

    def save_and_end(*arguments: Any) -> None:
        save(*arguments)
        raise Killed

    first = trainer_of(run_of("gaussian"), dataset(), record)
    with monkeypatch.context() as context:
        context.setattr(Record, "save", save_and_end)
        with pytest.raises(Killed):
            first.run()
    trainer_of(run_of("gaussian"), dataset(), Record(record.folder)).run()
    with (record.folder / "history.csv").open() as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [1, 2, 3, 4, 5]


def test_checkpoints_are_rare(tmp_path: Path):
    """By default one at the end of so short a training, not one an epoch."""
    training = trainer_of(run_of("gaussian"), dataset(), Record(tmp_path / "0"))
    saved = []
    save, training.checkpoint = training.checkpoint, lambda: saved.append(training.progress.epoch) or save()
    training.run()
    assert saved == [5]
    assert (tmp_path / "0" / "checkpoint").is_file()


def seen(prior: str, seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """All batches of a training, as drawn."""
    batches: list[Tensor] = []
    training = trainer_of(run_of(prior, seed, epochs=2), dataset(), Record(folder))
    folder.mkdir()
    plain = Split.batch

    def batch(self: Split, index: Any, *more: Any) -> Tensor:
        batches.append(plain(self, index, *more))
        return batches[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Split, "batch", batch)
        training.run()
    return batches


def test_methods_are_paired_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same first weights and, draw for draw, the same batches for every prior; others for another seed."""
    data = dataset()
    priors = ("gaussian", "vampprior", "mixture")
    first = {prior: build(run_of(prior), data)[0].state_dict() for prior in priors}
    for weights in first.values():
        for name, value in first["gaussian"].items():
            assert torch.equal(weights[name], value)
    other = build(run_of("gaussian", seed=1), data)[0].state_dict()
    assert not torch.equal(other["encoder.1.0.linear.weight"], first["gaussian"]["encoder.1.0.linear.weight"])

    batches = {prior: seen(prior, 0, tmp_path / prior, monkeypatch) for prior in first}
    for drawn in batches.values():
        assert len(drawn) == len(batches["gaussian"]) == 2 * (3 + 1)
        assert all(map(torch.equal, drawn, batches["gaussian"]))
    moved = seen("gaussian", 1, tmp_path / "other", monkeypatch)
    assert not any(map(torch.equal, moved[:3], batches["gaussian"][:3]))
    assert not torch.equal(batches["gaussian"][0], batches["gaussian"][4]), "and others in another epoch"
