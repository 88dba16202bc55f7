"""Fused Adam reads raw memory: every gradient must lie as its parameter does, or weights get one another's updates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_methods import METHODS, run_of
from torch import nn

from benchmarks.config.settings import Run
from benchmarks.datasets.base import Dataset, Split
from benchmarks.runner import train
from benchmarks.runner.build import build
from benchmarks.runner.record import Record
from benchmarks.runner.train import Trainer
from models.registry import PARTS

CRITICS = ("pullback", "naive-pullback", "flexae-sr")
"""Methods whose critics of images are under a gradient penalty."""

LR = 1e-3


def images(side: int, channels: int = 1) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    shape = (60, channels, side, side)
    stored = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    return Dataset("made", *(Split(stored[k::3], 1 / 255) for k in range(3)), "none", True, 256, None, "0")


def unfused(player, settings):
    s = player.optimiser
    rate = s.lr or settings.lr
    return torch.optim.Adam(player.parameters, lr=rate, betas=s.betas, weight_decay=s.weight_decay, foreach=False)


def trained(run: Run, data: Dataset, folder: Path, steps: int = 2) -> dict[str, torch.Tensor]:
    model, prior = build(run, data)
    both = nn.ModuleDict({"model": model, "prior": prior}).train()
    trainer = Trainer(both["model"], both["prior"], data, run.training, 0, Record(folder))
    torch.manual_seed(0)
    for _ in range(steps):
        trainer.step(torch.arange(20))
    return {name: one.detach().clone() for name, one in both.named_parameters() if one.dim() > 1}


def compare(run: Run, data: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam moves a weight by its rate a step; the two implementations differ by rounding, but for the few gradients
    that are about as small as Adam's epsilon. Vectors have one layout."""
    fused = trained(run, data, folder)
    monkeypatch.setattr(train, "optimiser", unfused)
    plain = trained(run, data, folder)
    apart = {name: ((fused[name] - plain[name]).abs() > 0.1 * LR).double().mean().item() for name in plain}
    assert max(apart.values()) < 0.02, {name: share for name, share in apart.items() if share >= 0.02}


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_colour_images(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With one channel a critic's first convolution is spared: its gradient has one layout only."""
    compare(run_of(tmp_path, method), images(8, channels=3), tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("method", CRITICS)
@pytest.mark.parametrize("backbone", PARTS["backbone"])
def test_every_backbone(backbone: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the sizes that it takes, at its own widths where it is small."""
    narrow = {"mlp": [16], "dense": [16], "conv": [4, 8], "dpvae": [4, 16], "flexae": [4, 8, 16], "infogan": [4, 8, 16]}
    widths = narrow.get(backbone, [2, 3, 4] if backbone == "vaepp" else [2, 3])
    overrides = (f"model.backbone={backbone}", f"model.widths={widths}")
    compare(run_of(tmp_path, method, *overrides), images(16), tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("method", CRITICS)
@pytest.mark.parametrize("likelihood", [name for name in PARTS["likelihood"] if name != "negative-binomial"])
def test_every_likelihood(likelihood: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compare(run_of(tmp_path, method, f"model.likelihood={likelihood}"), images(8), tmp_path, monkeypatch)
