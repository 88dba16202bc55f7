"""Controls of metrics: damaged real images in the place of generated ones."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributions import MultivariateNormal

from benchmarks import run
from benchmarks.config import suite
from benchmarks.datasets import load
from benchmarks.metrics import METRICS
from benchmarks.metrics.controlled import Controlled, Linear, controlled, drawn_anew
from benchmarks.metrics.controls import CONTROLS, Real
from benchmarks.metrics.protocol import ProtocolSettings
from priors.base import Unsupported
from workbench import Workbench

PROTOCOL = ProtocolSettings(generated=300)

SUITE = """
title = "Tiny controls"
datasets = ["digits"]
methods = ["plain", "noisy"]
seeds = 1
metrics = ["nll", "pms"]
model.latent_dim = 4
method.plain.control = "clean"
method.noisy.control = "outliers"
"""


def digits_as(name: str, seed: int = 0, tmp: Path = Path()) -> Controlled:
    return controlled(CONTROLS[name], 4, load("digits", tmp), PROTOCOL, seed)


def rows(x: torch.Tensor) -> set[bytes]:
    return {one.contiguous().numpy().tobytes() for one in x}


def test_five_sets_that_share_no_image_are_drawn_by_the_seed():
    data = load("digits", Path())
    first, other = drawn_anew(data, PROTOCOL, 0), drawn_anew(data, PROTOCOL, 1)
    sets = [first.data.train.stored, first.data.validation.stored, first.data.test.stored, first.unseen * 16]
    assert [len(one) for one in sets] == [797, 300, 300, 400]
    every = torch.cat([one.float() for one in sets]).flatten(1)
    before = torch.cat([split.original.stored for split in (data.train, data.validation, data.test)]).flatten(1).float()
    assert sorted(every.tolist()) == sorted(before.tolist())
    assert not torch.equal(first.data.train.stored, other.data.train.stored)


def test_labels_go_with_their_images():
    drawn, data = drawn_anew(load("digits", Path()), PROTOCOL, 3), load("digits", Path())
    label_of = dict(zip(map(bytes, data.train.stored.flatten(1).numpy()), data.labels[0].tolist(), strict=True))
    known = [(label_of.get(bytes(one)), label) for one, label in zip(drawn.data.test.stored.flatten(1).numpy(),
             drawn.data.labels[2].tolist(), strict=True)]  # fmt: skip
    assert {a == b for a, b in known if a is not None} == {True}


def test_what_each_control_does():
    made = {name: digits_as(name) for name in CONTROLS}
    clean, training = made["clean"].made, rows(made["clean"].all_training)
    share = {name: sum(x.numpy().tobytes() in training for x in one.made) for name, one in made.items()}
    assert (share["clean"], share["few-copies"], share["copies"]) == (0, 15, 300)
    assert len(rows(made["copies"].made)) == 300  # each once
    assert (len(made["half"].made), made["half"].count, len(made["half"].test)) == (150, 150, 150)
    unlike = {name: sum(x.numpy().tobytes() not in rows(clean) for x in one.made) for name, one in made.items()}
    assert unlike["outliers"] == 15
    assert 25 <= unlike["invented-mode"] <= 30
    assert unlike["blur"] == 300
    assert made["blur"].made.float().mean() == pytest.approx(clean.float().mean().item(), rel=0.01)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 7)])
def test_of_few_images_some_are_damaged(shape: tuple[int, ...]):
    images = torch.randint(0, 256, (40, *shape), dtype=torch.uint8)
    real = Real(images[:20], None, images[20:])
    for name in ("invented-mode", "outliers", "few-copies"):
        assert not torch.equal(CONTROLS[name].damage(real, 6), images[:6]), name


def test_an_image_of_one_pixel_has_no_principal_component_to_spare():
    with pytest.raises(Unsupported, match="1 principal components of 1 leave nothing"):
        Linear(torch.rand(20, 1, 1, 1), 1)


def test_a_dropped_mode_has_no_image_of_one_class():
    drawn, one = drawn_anew(load("digits", Path()), PROTOCOL, 0), digits_as("dropped-mode")
    label_of = dict(zip(map(bytes, (255 * drawn.unseen).round().byte().flatten(1).numpy()), drawn.labels.tolist(),
                        strict=True))  # fmt: skip
    assert len({label_of[bytes(x)] for x in one.made.flatten(1).numpy()}) == 9
    assert len(rows(one.made)) == len(one.made) == 300


def test_the_linear_encoder_is_the_posterior_of_probabilistic_principal_components():
    x = torch.randn(500, 6, dtype=torch.float64) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.5, 0.5], dtype=torch.float64)
    values, vectors = torch.linalg.eigh(x.T.cov())
    noise = values[:4].mean()
    w = vectors[:, 4:] * (values[4:] - noise).sqrt()
    inverse = torch.linalg.inv(w.T @ w + noise * torch.eye(2, dtype=torch.float64))
    mean, q = (x - x.mean(0)) @ w @ inverse.T, Linear(x, 2).encode(x)
    assert torch.allclose(q.mean.double(), mean, atol=1e-5)
    expected = MultivariateNormal(mean, noise * inverse)
    assert torch.allclose(q.log_prob(q.mean).double(), expected.log_prob(mean), atol=1e-4)


def test_what_a_control_has_not_says_so():
    one = digits_as("clean")
    for name in ("nll", "squared_error", "off_manifold", "critic"):
        with pytest.raises(Unsupported):
            METRICS[name](one)
    data = load("digits", Path())
    few = replace(data, train=replace(data.train, stored=data.train.stored[:300]), labels=None)
    with pytest.raises(Unsupported, match="too few"):
        controlled(CONTROLS["clean"], 4, few, PROTOCOL, 0)
    with pytest.raises(Unsupported, match="no class"):
        controlled(CONTROLS["dropped-mode"], 4, replace(data, labels=None), PROTOCOL, 0)
    with pytest.raises(Unsupported, match="no pictures"):
        controlled(CONTROLS["clean"], 2, load("moons", Path()), PROTOCOL, 0)


@pytest.mark.long
def test_a_suite_of_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bench = Workbench(tmp_path, capsys, SUITE)
    asked = (*bench.about("tiny.toml"), "--executor", "serial", "--all")
    answer = bench.ask(run.main, *asked)
    assert answer.status == 0, answer.err
    assert f"run table --suite tiny --results {bench.results} --verdict" in answer.out
    table = (bench.results / "tiny.csv").read_text()
    assert {one["standing"] for one in csv.DictReader(io.StringIO(table))} == {""}  # images are no rivals
    assert "pms_generated_train" in table
    assert "nothing decodes a code" in table
    kept = json.loads((bench.results / "tiny.runs.json").read_text())
    assert [one["control"] for one in kept["settings"]] == ["clean", "outliers"]
    assert "2 already done" in bench.ask(run.main, *asked).out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SUITE.replace('"outliers"', '"outlier"'), "Did you mean 'outliers'?"),
        (SUITE.replace("method.noisy.control", "method.noisy.controls"), "Did you mean 'control'?"),
        (SUITE + 'method.noisy.use = "gaussian"', "without a prior beside it"),
        (SUITE.replace('"outliers"', "3"), "control = 3 is not valid"),
    ],
)
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str):
    bench = Workbench(tmp_path, capsys, text)
    answer = bench.ask(run.main, *bench.about("tiny.toml"))
    assert answer.status == 2
    assert said in " ".join((answer.out + answer.err).split())


def test_no_other_run_moves():
    """Their names carry the hash of their settings, and stand in committed ledgers."""
    reference = Path(__file__).parents[2] / "results" / "reference"
    kept = json.loads((reference / "quickstart.runs.json").read_text())["runs"]
    assert {one.name for one in suite.expand(suite.read("quickstart"))} == {*kept}
