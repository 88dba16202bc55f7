"""Seeds trained together: each as it would be alone, killed or not, to its own end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from test_methods import METHODS, SHORT
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import run_suite
from benchmarks.common.errors import UsageError
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request
from benchmarks.datasets import Dataset, load
from benchmarks.run import main
from benchmarks.runner import progress, together, train
from benchmarks.runner.build import build
from benchmarks.runner.ensemble import course
from benchmarks.runner.ensemble.ensemble import Ensemble, clipping
from benchmarks.runner.ensemble.noise import Handed, Stream, drawn, noted
from benchmarks.runner.ensemble.refusal import Unstackable
from benchmarks.runner.ensemble.stack import Stack
from benchmarks.runner.record import Record
from benchmarks.runner.train import Diverged, Progress, Trainer
from benchmarks.runner.workspace import Workspace
from covering import slow_but
from priors.base import Batch
from workbench import TINY, Workbench, write

S = 4

PENALISED = 1e-3
"""Relative difference of losses after a few epochs with a gradient penalty, which is steep in the weights."""

ROUNDING = 1e-5
"""The same without one: float32 sums in another order, over a few dozen steps."""

CONVOLUTIONAL = {"pullback", "naive-pullback", "pullback+flow-posterior", "flexae-sr"}
"""Methods whose critic of images has convolutions; on vectors it is dense."""

DENSE = [name for name in METHODS if name not in CONVOLUTIONAL]

Members = Callable[..., list[Trainer]]


@pytest.fixture(scope="module")
def data() -> dict[str, Dataset]:
    return {name: load(name, Path("data")) for name in ("digits", "onehot")}


@pytest.fixture
def members(data: dict[str, Dataset], tmp_path: Path) -> Members:
    """Trainers of S seeds, each in the folder of `where` that is its seed's."""

    def make(method: str, where: str, *overrides: str, on: str = "digits", seeds: int = S) -> list[Trainer]:
        chosen = suite.read(str(write(tmp_path / "short.toml", SHORT)))
        runs = suite.expand(chosen, Request((on,), (method,), tuple(range(seeds)), None, overrides))
        return [trainer(run, data[on], tmp_path / where / str(run.seed)) for run in runs]

    return make


def trainer(run: Run, data: Dataset, folder: Path) -> Trainer:
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(*build(run, data), data, run.training, run.seed, Record(folder))


def alone(trainers: Sequence[Trainer]) -> None:
    for one in trainers:
        one.run()


def beside(trainers: Sequence[Trainer]) -> dict[int, Progress | Diverged]:
    """Trained together; how each ended, by its seed."""
    ends: dict[int, Progress | Diverged] = {}
    course.train(trainers, lambda one, how: ends.update({one.seed: how}))
    return ends


def gap(one: Trainer, other: Trainer, *skipped: str) -> float:
    """The largest relative difference of any number in their histories, which have the same epochs."""
    skipped = ("seconds", *skipped)
    histories = [member.progress.history for member in (one, other)]
    assert [row.keys() for row in histories[0]] == [row.keys() for row in histories[1]]
    pairs = [(a[key], b[key]) for a, b in zip(*histories, strict=True) for key in a if key not in skipped]
    return max(abs(a - b) / max(1.0, abs(a)) for a, b in pairs)


# As alone


TRIED = ("mixture", "lars", "aggregate", "flexae")
"""What every call of the tests trains: a mixture, a buffer, images drawn within a loss, a penalty in several turns."""

LOOSE = {"flexae": PENALISED, "wae-wgan": PENALISED, "infovae": 1e-4, "infovae+dp": 1e-4}
"""The mean discrepancy of infovae is a small difference of large numbers."""

SMOOTH = {"hvae-exemplar": ("prior.two-level.settings.neighbours=0",)}
"""Which of two exemplars is the tenth nearest hangs on the last digit of their codes: all take part here."""


@pytest.mark.long
@pytest.mark.parametrize("method", slow_but(TRIED, DENSE))
def test_every_method_is_trained_as_alone(method: str, members: Members):
    """Losses, parts and validations of all epochs, and the weights that are kept."""
    torch.set_flush_denormal(True)
    how = ("training.epochs=3", *SMOOTH.get(method, ()))
    solo, stacked = (members(method, where, *how) for where in ("alone", "together"))
    alone(solo)
    assert beside(stacked).keys() == {*range(S)}
    tolerance = LOOSE.get(method, ROUNDING)
    assert max(map(gap, solo, stacked)) < tolerance
    rate = solo[0].settings.lr  # of which Adam takes a step, however small a gradient is, also one of rounding's size
    close: Any = {"rtol": tolerance, "atol": rate, "equal_nan": True}
    for a, b in zip(solo, stacked, strict=True):
        torch.testing.assert_close(a.progress.best, b.progress.best, **close)


@pytest.mark.long
@pytest.mark.parametrize("method", slow_but(("pullback",), sorted(CONVOLUTIONAL)))
def test_critics_of_vectors_are_trained_as_alone(method: str, members: Members):
    """But for ln Z and what it enters: chains that are accepted or not make much of little."""
    solo, stacked = (members(method, where, "training.epochs=3", on="onehot") for where in ("alone", "together"))
    alone(solo)
    beside(stacked)
    assert max(gap(a, b, "log_z", "log_z_error", "validation") for a, b in zip(solo, stacked, strict=True)) < PENALISED


@pytest.mark.parametrize("method", sorted(CONVOLUTIONAL))
def test_convolutions_are_not_stacked(method: str, members: Members):
    with pytest.raises(Unstackable, match="Conv2d is not stacked"):
        Ensemble(members(method, "together"))


def test_settings_of_training(members: Members):
    """Clipping is of each seed's own gradient; a schedule, warm-up and a last batch of another size."""
    overrides = (
        "training.epochs=3",
        "training.clip=0.5",
        "training.gradients=normalised",
        "training.batch_size=350",
        "training.warm_up=4",
    )
    more = (*overrides, "training.schedule.type=cosine")
    solo, stacked = members("gaussian", "alone", *more), members("gaussian", "together", *more)
    alone(solo)
    beside(stacked)
    assert max(map(gap, solo, stacked)) < ROUNDING


def test_clipping_is_a_seeds_own():
    gradients = [torch.tensor([[3.0, 0.0], [0.3, 0.0]]), torch.tensor([[4.0], [0.4]])]
    torch.testing.assert_close(clipping(gradients, 1.0), torch.tensor([0.2, 1.0]))


@pytest.mark.slow
def test_compiled_together(members: Members) -> None:
    """What the compiler has joined gives what it was given."""
    solo, stacked = members("dp", "alone"), members("dp", "together")
    for one in stacked:
        one.turns[0].capture = "on"
    alone(solo)
    beside(stacked)
    assert max(map(gap, solo, stacked)) < ROUNDING


# Killed, and the ends of single seeds


class Killed(BaseException):
    """Stands for the end of the process."""


def killed(trainers: Sequence[Trainer], epoch: int, work: Callable[[Sequence[Trainer]], object]) -> None:
    """The work ends with the last member's checkpoint of an epoch."""
    last = trainers[-1]
    save = last.checkpoint

    def checkpoint() -> None:
        save()
        if last.progress.epoch == epoch:
            raise Killed

    last.checkpoint = checkpoint  # type: ignore[method-assign]
    with pytest.raises(Killed):
        work(trainers)


@pytest.mark.long
@pytest.mark.parametrize("method", ["lars"])
def test_each_goes_on_from_what_the_other_has_left(method: str, members: Members, monkeypatch: pytest.MonkeyPatch):
    """Begun together and taken up alone, and the other way round."""
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1.0)
    whole = members(method, "whole", "training.epochs=4")
    alone(whole)
    for first, second in ((beside, alone), (alone, beside)):
        folder = f"{first.__name__} first"
        begun = members(method, folder, "training.epochs=4")
        for some in [begun] if first is beside else [[one] for one in begun]:
            killed(some, 2, first)
        again = members(method, folder, "training.epochs=4")
        second(again)
        assert max(map(gap, whole, again)) < ROUNDING
        assert all(one.progress.shared for one in again)


def test_checkpoints_hold_one_seed_alone(members: Members, monkeypatch: pytest.MonkeyPatch):
    """As large as without the others."""
    sizes = []
    for where, work in (("alone", alone), ("together", beside)):
        trainers = members("gaussian", where)
        work(trainers)
        sizes.append([(one.record.folder / "checkpoint").stat().st_size for one in trainers])
    assert all(abs(a - b) < 2000 for a, b in zip(*sizes, strict=True))


def test_seeds_that_stand_at_different_epochs_are_not_mixed(members: Members, monkeypatch: pytest.MonkeyPatch):
    """Two that are further go on together; the one that is alone is left for later, where it stands."""
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1.0)
    whole = members("gaussian", "whole", "training.epochs=3", seeds=3)
    alone(whole)
    begun = members("gaussian", "again", "training.epochs=3", seeds=3)
    killed(begun[:1], 1, alone)
    killed(begun[1:2], 1, alone)
    ends = beside(again := members("gaussian", "again", "training.epochs=3", seeds=3))
    assert ends.keys() == {0, 1}
    assert again[2].progress.epoch == 0
    assert max(map(gap, whole[:2], again[:2])) < ROUNDING


@pytest.mark.long
def test_early_stopping_is_a_seeds_own(members: Members, monkeypatch: pytest.MonkeyPatch):
    """Each ends where it does alone; the last one goes on alone, from its checkpoint."""
    overrides = ("training.epochs=30", "training.patience=1", "training.lr=0.02")
    solo = members("gaussian", "alone", *overrides)
    alone(solo)
    assert len({one.progress.epoch for one in solo}) > 1
    stacked = members("gaussian", "together", *overrides)
    ends = beside(stacked)
    left = [one for one in stacked if one.seed not in ends]
    assert len(left) <= 1
    alone(left)
    assert [one.progress.epoch for one in stacked] == [one.progress.epoch for one in solo]
    assert [one.progress.best_epoch for one in stacked] == [one.progress.best_epoch for one in solo]


def test_a_seed_that_diverges_leaves_the_others(members: Members):
    """With its own word on it; theirs are the losses that they have alone."""
    solo, stacked = (members("gaussian", where, "training.epochs=2") for where in ("alone", "together"))
    alone(solo)
    step, count = Ensemble.step, []

    def poisoned(self: Ensemble, index: Tensor) -> dict[str, Tensor]:
        count.append(1)
        if len(count) == 2:
            with torch.no_grad():
                next(stacked[1].model.parameters()).fill_(float("nan"))
        return step(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ensemble, "step", poisoned)
        ends = beside(stacked)
    assert isinstance(ends[1], Diverged)
    assert "diverged in epoch 1: vae.loss = nan" in str(ends[1])
    others = [0, 2, 3]
    assert all(isinstance(ends[s], Progress) for s in others)
    assert max(gap(solo[s], stacked[s]) for s in others) < ROUNDING


# What cannot be


class Plain(nn.Module):
    """A parameter, a buffer, and a number of another kind."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3))
        self.register_buffer("average", torch.zeros(()))
        self.number = 1.0
        self.kept = {"last": [1.0, 2.0]}
        self.also = [self.weight]  # trained, and the same object


@pytest.mark.parametrize("change", [lambda kept: kept.update(last=[]), lambda kept: kept["last"].__setitem__(0, 3.0)])
def test_numbers_within_what_stays_the_same_object_are_noticed(change: Callable[[dict[str, Any]], None]):
    stack = Stack([Plain(), Plain()])
    stack.gather()
    with torch.no_grad():
        stack.parameters[0].add_(1.0)
    stack.gather()
    change(stack.members[0].kept)
    with pytest.raises(Unstackable, match="keeps numbers beside"):
        stack.gather()


def test_numbers_beside_parameters_and_buffers_are_noticed():
    stack = Stack([Plain(), Plain()])
    stack.gather()
    stack.members[1].number += 1.0
    with pytest.raises(Unstackable, match="keeps numbers beside"):
        stack.gather()


def test_a_buffer_that_a_hook_replaces_is_taken_up():
    stack = Stack([Plain(), Plain()])
    stack.members[1].average = torch.tensor(5.0)
    stack.gather()
    assert stack.buffers[0].tolist() == [0, 5]
    stack.buffers[0].add_(1)
    assert stack.members[1].average.item() == 6
    stack.members[0].average = torch.zeros(2)
    with pytest.raises(Unstackable, match="changes its shape"):
        stack.gather()


DRAWS: dict[str, Callable[[], object]] = {
    "randn": lambda: torch.randn(3, 2) + torch.randn(()),
    "rand": lambda: torch.rand(5, dtype=torch.float64),
    "like": lambda: torch.randn_like(torch.ones(4, 3).T) + torch.rand_like(torch.ones(3, 4)),
    "integers": lambda: torch.randint(10, (4,)) + torch.randint(2, 5, (4,)),
    "order": lambda: torch.randperm(7),
    "dropout": lambda: F.dropout(torch.ones(20, 3), 0.3),
    "no dropout": lambda: F.dropout(torch.ones(3), 0.0) + F.dropout(torch.ones(3), training=False),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_those_of_the_global_state(name: str):
    """By a stream of the same seed, call by call."""
    makes = noted(DRAWS[name], torch.device("cpu"))
    torch.manual_seed(7)
    wanted = DRAWS[name]()
    with Handed([one[0] for one in drawn(makes, [Stream(7)])]):
        found = DRAWS[name]()
    assert torch.equal(wanted, found)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.multinomial(torch.ones(3), 2),
        lambda: torch.empty(3).exponential_(),
        lambda: torch.bernoulli(torch.rand(3)),
    ],
)
def test_other_random_functions_are_refused(draw: Callable[[], object]):
    with pytest.raises(Unstackable, match="draws"):
        noted(draw, torch.device("cpu"))


def test_a_loss_that_is_another_together_is_refused(members: Members):
    """The rehearsal finds it: here one that looks at the first seed's weights, whoever computes."""
    trainers = members("gaussian", "together")
    weight = next(trainers[0].model.parameters()).detach().clone()
    for one in trainers:
        (player,), weights = one.players, next(one.model.parameters())

        def loss(batch: Batch, plain: Any = player.loss, own: Tensor = weights) -> Any:
            value, parts = plain(batch)
            return value + (own.detach() - weight).square().sum(), parts

        one.players = (player._replace(loss=loss),)
    with pytest.raises(Unstackable, match="losses of a rehearsal differ"):
        Ensemble(trainers)


# The command

STACKED = TINY.replace("seeds = 1", "seeds = 3").replace("epochs = 2", "epochs = 3")


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workbench:
    return Workbench(tmp_path, capsys, STACKED)


def ask(bench: Workbench, *arguments: str) -> Any:
    return bench.ask(main, *bench.about("tiny.toml"), *arguments)


def costs(bench: Workbench) -> list[str]:
    frame = pd.read_csv(bench.results / "tiny-cost.csv")
    return frame[frame["metric"] == "training_time"]["estimator"].tolist()


@pytest.mark.long
def test_a_suite_stacked_has_the_table_of_one_that_is_not(bench: Workbench):
    """To rounding; its costs say that they are shared, and nothing is done twice."""
    frames = []
    for stack, kind in (("off", "wall-clock"), ("on", "wall-clock+shared")):
        answer = ask(bench, "--executor", "serial", "--stack", stack, "--results", str(bench.folder / stack))
        assert answer.status == 0, answer.err
        frames.append(pd.read_csv(bench.folder / stack / "tiny.csv"))
        bench.results = bench.folder / stack
        assert costs(bench) == [kind] * 2
    pd.testing.assert_frame_equal(*frames, rtol=1e-4)
    again = ask(bench, "--executor", "serial", "--stack", "on", "--results", str(bench.folder / "on"))
    assert "6 runs, 6 already done" in again.out
    bench.results = bench.folder / "on"
    (folder, *_) = (bench.results / "runs" / "tiny").glob("onehot-gaussian-*")
    assert not (folder / "checkpoint").exists()
    assert {"history.csv", "weights.safetensors"} == {*json.loads((folder / "training.json").read_text())["files"]}


def test_an_unknown_way_to_stack_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"Unknown stack 'of'\. Did you mean 'off'"):
        run_suite("smoke", stack="of", results=tmp_path)  # type: ignore[arg-type]


def test_off_trains_nothing_together(bench: Workbench, monkeypatch: pytest.MonkeyPatch):
    """And auto does not where a training is too short to repay it."""
    monkeypatch.setattr("benchmarks.runner.executors.job.train_together", lambda *_: pytest.fail("together"))
    for stack in ("off", "auto"):
        answer = ask(bench, "--executor", "serial", "--stack", stack, "--method", "gaussian", "--seeds", "0", "1")
        assert answer.status == 0, answer.err


def test_whatever_goes_wrong_together_costs_no_run(bench: Workbench, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(together, "train", failing)
    answer = ask(bench, "--executor", "serial", "--stack", "on", "--method", "gaussian")
    assert answer.status == 0, answer.err
    assert answer.out.count("trained alone: MemoryError: no room") == 3
    assert costs(bench) == ["wall-clock"]


DEADLY = '''
"""A standard normal that ends the process of whoever trains several seeds at once."""
import os
import signal

from torch._C._functorch import is_batchedtensor

from priors import register
from priors.gaussian import Gaussian


@register("deadly")
class Deadly(Gaussian):
    """N(0, I)."""

    def log_prob(self, z):
        if is_batchedtensor(z):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().log_prob(z)
'''


@pytest.mark.long
@pytest.mark.usefixtures("own_parts")
def test_processes_that_are_killed_together_cost_no_run(bench: Workbench):
    """One method's seeds are trained together, the other's process is killed: all runs are done."""
    plugin = str(bench.write("deadly.py", DEADLY))
    arguments = ("--plugin", plugin, "--method", "gaussian", "deadly", "--workers", "2", "--stack", "on")
    answer = ask(bench, *arguments)
    assert answer.status == 0, answer.out + answer.err
    assert answer.out.count("trained alone: their process was ended") == 3
    assert sorted(costs(bench)) == ["wall-clock", "wall-clock+shared"]


# Which


def runs(folder: Path, methods: int, seeds: int) -> list[Run]:
    names = ("gaussian", "vampprior", "mixture")[:methods]
    text = TINY.replace('["gaussian", "vampprior"]', json.dumps([*names, "data"]))
    chosen = suite.read(str(write(folder / "which.toml", text)))
    return suite.expand(chosen, Request((), names, tuple(range(seeds))))


@pytest.mark.parametrize(
    ("stack", "methods", "seeds", "workers", "sizes"),
    [
        ("on", 1, 5, 1, [5]),
        ("on", 1, 5, 2, [3, 2]),
        ("on", 1, 3, 2, [3]),
        ("on", 2, 5, 2, [5, 5]),
        ("on", 3, 4, 8, [2] * 6),
        ("on", 1, 1, 1, [1]),
        ("auto", 1, 3, 2, [2, 1]),
        ("auto", 1, 2, 2, [1, 1]),
        ("off", 2, 2, 1, [1] * 4),
    ],
)
def test_parts(
    stack: Any,
    methods: int,
    seeds: int,
    workers: int,
    sizes: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """As many as there are workers; "auto" rather has two seeds side by side than together."""
    monkeypatch.setattr(together, "STEPS", 0)
    every = runs(tmp_path, methods, seeds)
    found = together.groups(every, Workspace(tmp_path, tmp_path, stack=stack), workers)
    assert [len(part) for part in found] == sizes
    assert {run.name for part in found for run in part} == {run.name for run in every}
    assert all(len({run.method for run in part}) == 1 for part in found)


def test_large_networks_are_trained_alone_on_a_cpu(bench: Workbench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(together, "STEPS", 0)
    every = runs(bench.folder, 1, 2)
    where = Workspace(bench.folder, bench.folder, stack="auto")
    monkeypatch.setattr(together, "LARGEST", 10)
    assert "is as fast alone on a CPU" in together.train_together(every, where)
    monkeypatch.undo()
    assert together.train_together(every, where) == ""
    for run in every:
        assert where.record(run).read("training.json")["status"] == "ok"
        waiting = {**where.record(run).reported(), "silent": 1e6}
        assert (progress.share(waiting), progress.describe(waiting)) == (0.9, "trained")


def test_a_run_that_another_process_holds_is_left_to_it(bench: Workbench):
    every = runs(bench.folder, 1, 3)
    where = Workspace(bench.folder, bench.folder, stack="on")
    other = os.fork()
    held = where.record(every[0]).folder / "held"
    if other == 0:
        with where.record(every[0]).claim():
            held.touch()
            while held.exists():
                pass
        os._exit(0)
    while not held.exists():
        pass
    assert together.train_together(every, where) == ""
    held.unlink()
    os.waitpid(other, 0)
    done = [where.record(run).read("training.json") is not None for run in every]
    assert done == [False, True, True]
