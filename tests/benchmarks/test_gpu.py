"""Everything that runs on a CPU runs on a GPU, and a training step never makes the host wait: on a pretended one.

The runs are on the second card, so that what loses a device's index is refused too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import pytest
import torch
from test_methods import METHODS, run_of
from torch import Tensor, nn

from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request
from benchmarks.datasets.base import Dataset, Split, draw_once
from benchmarks.estimators import annealing as chains
from benchmarks.estimators.annealing import Annealing
from benchmarks.features import Features, Network, inception
from benchmarks.metrics import METRICS, Evaluated, ais, low_dimensional
from benchmarks.runner.build import build
from benchmarks.runner.execute import execute
from benchmarks.runner.lifecycle import begin
from benchmarks.runner.recall import recall
from benchmarks.runner.record import Record
from benchmarks.runner.train import Trainer
from benchmarks.runner.workspace import Workspace
from covering import slow_but
from models.registry import PARTS
from pretended import Kernels, Refused, pretended_gpu
from priors.base import Codes

CARD = "cuda:1"


@lru_cache
def images(side: int = 8, n: int = 60) -> Dataset:
    """Grey images of ten classes, drawn afresh for every batch where they train a model."""
    generator = torch.Generator().manual_seed(0)
    stored = [
        torch.randint(256, (count, 1, side, side), dtype=torch.uint8, generator=generator) for count in (n, 30, 30)
    ]
    train, *others = (Split(x, 1 / 255, draws=x is stored[0]) for x in stored)
    drawn = [draw_once(split, seed) for seed, split in enumerate(others)]
    labels = tuple(torch.arange(len(x)) % 10 for x in stored)
    exact = lambda x: -x.flatten(1).sum(1)  # noqa: E731  (no law of theirs, but the figure's device is asked for)
    return Dataset("made", train, *drawn, "dynamic", True, 2, exact, "0" * 8, labels)


def trainer_of(run: Run, data: Dataset, folder: Path, **settings: object) -> Trainer:
    model, prior = build(run, data)
    training = run.training.model_copy(update=settings)
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(model, prior, data, training, run.seed, Record(folder))


# Whole runs


def stand_in(path: Path, device: torch.device) -> Network:
    """An Inception network's features of pictures on its own device, of fewer dimensions."""

    def extract(pictures: Tensor) -> Features:
        x = pictures.to(device).flatten(1).float()
        return Features(x[:, :5], x[:, :7])

    return Network("inception-v3-compat", "0" * 8, "a stand-in", extract)


@pytest.fixture
def workspace(
    cheap_metrics: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """On the card, with less to compute."""
    monkeypatch.setattr(
        "benchmarks.runner.workspace._dataset", lambda asked, name, folder, options, rule, device: images().to(device)
    )
    shared = tmp_path_factory.getbasetemp() / "cache"  # the classifier's, trained once for all tests
    monkeypatch.setattr(Workspace, "cache", property(lambda self: shared))
    monkeypatch.setattr(inception, "load", stand_in)
    monkeypatch.setattr(ais, "HOW", Annealing(steps=2, chains=2, leapfrog=1))
    monkeypatch.setattr(chains, "tune", partial(chains.tune, rounds=2))
    monkeypatch.setattr(ais, "IMAGES", 4)
    monkeypatch.setattr(low_dimensional, "DRAWN", 2000)
    monkeypatch.setattr(low_dimensional, "FEW", 64)  # these images are few enough dimensions then
    return Workspace(tmp_path, tmp_path, CARD, inception=tmp_path / "weights")


TRIED = "vampprior", "implicit", "pullback+flow-posterior", "beta-vae-h+dp", "autoregressive", "flexae-sr", "rae-gmm"
"""Of every kind of law, of model and of fit one; the training steps of all methods are tried below."""


@pytest.mark.long
@pytest.mark.parametrize("method", slow_but(TRIED, METHODS))
def test_a_whole_run_on_a_gpu(method: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    """Built and trained for an epoch, taken up from its checkpoint, evaluated by every metric, drawn, and recalled."""
    run = run_of(workspace.results, method, "training.epochs=2", "training.batch_size=20")
    run = run.model_copy(update={"metrics": tuple(METRICS)})
    epochs: list[int] = []
    epoch = Trainer.epoch
    monkeypatch.setattr(Trainer, "epoch", lambda self: (epochs.append(self.progress.epoch), epoch(self))[1])
    with pretended_gpu() as kernels:
        trainer = trainer_of(run, workspace.dataset(run), workspace.record(run).folder, epochs=1)
        begin(run, workspace.record(run), workspace.dataset(run))
        trainer.run()
        outcome = execute(run, workspace)
        assert outcome.status == "ok", (workspace.record(run).folder / "error.txt").read_text()
        subject = recall(run, workspace)
        drawn = subject.model.decode(subject.prior.sample(3))
        assert drawn.device == torch.device(CARD)
        assert kernels.count
    assert epochs == [0, 1]
    assert (workspace.record(run).folder / "samples.png").is_file()
    metrics = workspace.record(run).read("metrics.json")
    assert metrics["protocol"]["device"] == "cuda"
    assert {name for name, found in metrics["metrics"].items() if "figures" in found} >= {"squared_error", "fid", "pms"}
    assert workspace.record(run).read("env.json")["device"] == f"pretended {CARD}"


def test_figures_of_two_devices_are_never_in_one_record(workspace: Workspace):
    """What a CPU has evaluated is evaluated anew where a GPU adds a metric."""
    run = run_of(workspace.results, "gaussian").model_copy(update={"metrics": ("squared_error",)})
    assert execute(run, workspace.on_cpu).status == "ok"
    record = workspace.record(run)
    (before,) = record.read("metrics.json")["metrics"]["squared_error"]["figures"]
    more = run.model_copy(update={"metrics": ("squared_error", "active_units")})
    record.write("metrics.json", told(record, value=-1.0))
    with pretended_gpu():
        assert execute(more, workspace).status == "ok"
    content = record.read("metrics.json")
    (after,) = content["metrics"]["squared_error"]["figures"]
    assert content["protocol"]["device"] == "cuda"
    assert set(content["metrics"]) == {"squared_error", "active_units"}
    assert after["value"] == pytest.approx(before["value"])


def told(record: Record, value: float) -> dict[str, object]:
    """The record's metrics with another figure, so that one that is kept shows."""
    content = record.read("metrics.json")
    content["metrics"]["squared_error"]["figures"][0]["value"] = value
    return content


@pytest.mark.long
def test_a_run_on_points_on_a_gpu(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    """Data that are no images have metrics and a picture of their own."""
    splits = [Split(torch.rand(n, 2), 1.0) for n in (60, 30, 30)]
    data = Dataset("points", *splits, "none", False, None, None, "0" * 8)
    monkeypatch.setattr(
        "benchmarks.runner.workspace._dataset", lambda asked, name, folder, options, rule, device: data.to(device)
    )
    run = run_of(workspace.results, "gaussian").model_copy(update={"metrics": ("nll", "fd_data", "off_manifold")})
    with pretended_gpu():
        outcome = execute(run, workspace)
    assert outcome.status == "ok", outcome.note
    assert all("figures" in one for one in workspace.record(run).read("metrics.json")["metrics"].values())
    assert (workspace.record(run).folder / "samples.png").is_file()


@pytest.mark.parametrize("method", ["mixture", "vampprior", "dp", "aggregate", "two-stage", "implicit"])
def test_a_likelihood_waits_for_the_device_once_a_group_of_images(method: str, tmp_path: Path):
    """And that once for the figures themselves."""
    run = run_of(tmp_path, method)
    with pretended_gpu() as kernels:
        data = images().to(CARD)
        model, prior = build(run, data)
        model.eval(), prior.eval()
        subject = Evaluated(data, run.protocol.model_copy(update={"images": 30}), run.seed, model=model, prior=prior)
        assert len(subject.q.mean) == 30
        kernels.noted.clear()
        with torch.no_grad():
            subject.importance  # noqa: B018
    assert kernels.noted.total() <= 3


# Training steps


@pytest.mark.long
@pytest.mark.parametrize(("method", "steps"), [("two-stage", "steps"), ("pullback", "gan_steps")])
def test_a_fit_after_training_waits_no_more_often_the_longer_it_takes(method: str, steps: str, tmp_path: Path):
    noted = []
    for count in (2, 6):
        run = run_of(tmp_path, method, f"prior.{method}.{steps}={count}")
        with pretended_gpu() as kernels:
            data = images().to(CARD)
            model, prior = build(run, data)
            codes = Codes(lambda: model.encode_all(data.train))  # noqa: B023  (called at once)
            assert codes.posterior
            kernels.noted.clear()
            prior.fit(codes)
        noted.append(kernels.noted)
    assert noted[0] == noted[1]


PARTS_ON_IMAGES = {
    **{f"backbone {name}": (16, (f"model.backbone={name}",)) for name in PARTS["backbone"]},
    **{
        f"posterior {name}": (8, (f"model.posterior={name}",))
        for name in PARTS["posterior"]
        if PARTS["posterior"][name].stochastic  # others no VAE has: methods with a WAE or an AE do
    },
    **{f"likelihood {name}": (8, (f"model.likelihood={name}",)) for name in PARTS["likelihood"]},
    "bfloat16": (8, ("training.precision=bfloat16",)),
}


def step_on_a_card(run: Run, data: Dataset, folder: Path) -> Kernels:
    """What a step in the middle of training does: the first one makes the optimisers' state."""
    with pretended_gpu() as kernels:
        trainer = trainer_of(run, data.to(CARD), folder, clip=1.0)
        trainer.both.train()
        index = torch.arange(20, device=CARD)
        trainer.step(index)
        kernels.noted.clear()
        kernels.count = 0
        trainer.step(index)
        assert {p.device for p in trainer.both.parameters()} == {torch.device(CARD)}
    return kernels


@pytest.mark.filterwarnings("ignore:PyTorch was compiled without cuDNN")  # which a recurrent network looks for
@pytest.mark.parametrize("method", METHODS)
def test_a_methods_training_step_makes_no_host_wait(method: str, tmp_path: Path):
    """Neither for a number nor for a copy: work is queued ahead of the device, and a graph could hold it."""
    kernels = step_on_a_card(run_of(tmp_path, method), images(), tmp_path)
    assert kernels.count > 10
    assert not kernels.noted


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS_ON_IMAGES)
def test_a_parts_training_step_makes_no_host_wait(part: str, tmp_path: Path):
    side, overrides = PARTS_ON_IMAGES[part]
    run = run_of(tmp_path, "gaussian", *overrides)
    if part.startswith("backbone"):
        run = run.model_copy(update={"model": run.model.model_copy(update={"widths": None})})
    kernels = step_on_a_card(run, images(side, 20), tmp_path)
    assert kernels.count > 10
    assert not kernels.noted


def test_methods_leave_out_no_regulariser_and_no_model():
    """Which have no tests of their own above."""
    found = [
        run for method in METHODS for run in suite.expand(suite.read("smoke"), Request(("digits",), (method,), (0,)))
    ]
    assert {one.name for run in found for one in run.regularisers} == set(PARTS["regulariser"])
    assert {run.model.type for run in found} == set(PARTS["type"])
    assert "deterministic" in {run.model.posterior for run in found}


# The pretended card


def there(*shape: int) -> Tensor:
    return torch.zeros(*shape or (3, 2), device="cuda")


REFUSALS = {
    "a sum": lambda: there() + torch.zeros(3, 2),
    "of two cards": lambda: there() + torch.zeros(3, 2, device="cuda:1"),
    "a product": lambda: there() @ torch.zeros(2, 2),
    "an index": lambda: there().index_select(0, torch.tensor([0])),
    "an index on the card": lambda: torch.zeros(3)[torch.tensor([0], device="cuda")],
    "a sum of a number on the card": lambda: torch.zeros(3) + torch.tensor(1.0, device="cuda"),
    "a concatenation": lambda: torch.cat([there(), torch.zeros(1, 2)]),
    "in workspace": lambda: torch.zeros(3, 2).add_(there()),
    "numpy": lambda: there().numpy(),
    "a generator": lambda: torch.bernoulli(there(), generator=torch.Generator()),
    "a generator of draws": lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
    "a layer": lambda: nn.Linear(2, 1)(there()),
}


@pytest.mark.parametrize("wrong", [pytest.param(one, id=name) for name, one in REFUSALS.items()])
def test_the_pretended_card_refuses_what_a_real_one_does(wrong: Callable[[], object]):
    with pretended_gpu(), pytest.raises(Refused):
        wrong()


def test_the_pretended_card_refuses_gradients_of_another_layout():
    with pretended_gpu():
        weight = nn.Parameter(torch.ones(2, 3, device="cuda"))
        weight.grad = torch.ones(3, 2, device="cuda").T
        with pytest.raises(Refused, match="strides"):
            torch.optim.Adam([weight], fused=True).step()


def test_the_pretended_card_lets_pass_what_a_real_one_does():
    """Networks, numbers of the host, indices of the host, and what is brought back to it; only the latter waits."""
    with pretended_gpu() as kernels:
        layer = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).to("cuda")
        adam = torch.optim.Adam(layer.parameters(), fused=True)
        for _ in range(2):
            adam.zero_grad()
            layer(there() + torch.tensor(1.0)).square().mean().backward()
            adam.step()
        assert not kernels.waits
        kernels.noted.clear()
        devices = {x.device.type for p in layer.parameters() for x in (p, p.grad, *adam.state[p].values())}
        assert devices == {"cuda"}
        assert {x.device.type for x in (torch.zeros_like(there()), there().new_ones(2), there() > 0)} == {"cuda"}
        assert not kernels.noted
        assert there()[torch.tensor([0])].device.type == "cuda"
        assert dict(kernels.noted) == {"copy: indices from the host": 1}
        assert torch.tensor([1.0], device="cuda").is_cuda
        assert kernels.noted["copy: from the host"] == 1
        assert not kernels.waits
        assert there().to(torch.zeros(())).is_cpu
        assert kernels.waits == {"wait: copy from the card"}


WAITS = {
    "a truth": lambda: bool((there() == 0).all()),
    "a number": lambda: there().sum().item(),
    "numbers": lambda: there().tolist(),
    "a mask": lambda: there()[there() == 0],
    "indices of a mask": lambda: (there() == 0).nonzero(),
    "a copy": lambda: there().cpu(),
}


@pytest.mark.parametrize("what", WAITS)
def test_the_pretended_card_notes_waits(what: str):
    with pretended_gpu() as kernels:
        assert not kernels.waits
        WAITS[what]()
        assert kernels.waits


def test_nothing_is_pretended_afterwards():
    with pretended_gpu():
        x = there()
    assert x.device.type == "cpu"
    with pytest.raises((AssertionError, RuntimeError)):
        torch.zeros(1, device="cuda:77")
