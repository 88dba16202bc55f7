"""The laws of metrics, data sets and parts of models: sound ones keep them, and a planted fault breaks its law."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.conformance import main
from benchmarks.datasets import DATASETS, DataError, Source, register
from benchmarks.estimators import Estimate, Estimator
from benchmarks.laws.datasets import LAWS_OF_DATASETS, DatasetTrial
from benchmarks.laws.metrics import LAWS_OF_METRICS, MetricTrial
from benchmarks.laws.training import LAWS_OF_PARTS, LAWS_OF_REGULARISERS, PartTrial
from benchmarks.metrics import METRICS, DataOnly
from benchmarks.metrics.base import metric, metric_of_data
from models.backbones import BACKBONES
from models.backbones.dense import dense
from models.likelihoods import LIKELIHOODS, Bernoulli
from models.posteriors import POSTERIORS
from models.registry import PARTS
from models.regularisers import REGULARISERS, Regulariser
from priors.base import Unsupported
from priors.conformance import examine

pytestmark = pytest.mark.usefixtures("own_parts")


def outcomes(trial: Any, laws: Any) -> dict[str, str]:
    return {one.law.name: one.outcome for one in examine(trial, laws)}


def broken(trial: Any, laws: Any) -> set[str]:
    return {name for name, outcome in outcomes(trial, laws).items() if outcome == "fail"}


# Metrics

SOUND = Estimate("norm", Estimator("exact"), 0.0, "none", "lower")


@pytest.fixture(scope="module")
def trained() -> MetricTrial:
    """A trial whose VAE all others share."""
    trial = MetricTrial("nll")
    assert trial.run
    return trial


def tried(trained: MetricTrial, measure: Callable[[Any], Any], register: Callable[..., Any] = metric) -> dict[str, str]:
    """Verdicts of a metric on the shared VAE."""
    measure.__doc__ = "A metric."
    register("probe")(measure)
    trial = MetricTrial("probe")
    trial.__dict__.update(folder=trained.folder, run=trained.run)
    return outcomes(trial, LAWS_OF_METRICS)


def norms(subject: Any) -> list[Estimate]:
    values = subject.q.sample().norm(dim=-1)
    return [replace(SOUND, value=values.mean().item(), values=values)]


def test_a_sound_metric_keeps_every_law(trained: MetricTrial):
    assert tried(trained, norms) == dict.fromkeys(
        ("described", "estimates", "form", "repeats", "bystander", "by-image"), "pass"
    ) | {"of-data": "does not apply"}


def moving(subject: Any) -> list[Estimate]:
    next(subject.model.parameters()).add_(1.0)
    return [SOUND]


def learning(subject: Any) -> list[Estimate]:
    with torch.enable_grad():
        subject.model.decode(torch.zeros(1, 3)).sum().backward()
    return [SOUND]


def counting(calls: list[int] = []) -> Callable[[Any], list[Estimate]]:  # noqa: B006  (a state of its own is the fault)
    def measure(subject: Any) -> list[Estimate]:
        calls.append(1)
        return [replace(SOUND, value=float(len(calls)))]

    return measure


def python_draws(subject: Any) -> list[Estimate]:
    random.random()
    np.random.rand()
    return [SOUND]


def training_mode(subject: Any) -> list[Estimate]:
    subject.model.train()
    return [SOUND]


def half(subject: Any) -> list[Estimate]:
    (one,) = norms(subject)
    return [replace(one, values=one.values[:10])]


def without_a_reason(subject: Any) -> list[Estimate]:
    raise Unsupported


FAULTS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "no number": (lambda subject: [replace(SOUND, value=float("nan"))], {"estimates"}),
    "an infinite error": (lambda subject: [replace(SOUND, error=float("inf"))], {"estimates"}),
    "no list": (lambda subject: SOUND, {"estimates"}),
    "no figures": (lambda subject: [], {"estimates"}),
    "an exception": (lambda subject: 1 / 0, {"estimates"}),
    "no reason": (without_a_reason, {"estimates"}),
    "no direction": (lambda subject: [replace(SOUND, direction="up")], {"form"}),
    "a sentence for a unit": (lambda subject: [replace(SOUND, unit="nats an image")], {"form"}),
    "one name twice": (lambda subject: [SOUND, SOUND], {"form"}),
    "other figures the second time": (counting(), {"repeats"}),
    "moved weights": (moving, {"bystander"}),
    "gradients": (learning, {"bystander"}),
    "draws of Python and numpy": (python_draws, {"bystander"}),
    "training mode": (training_mode, {"bystander"}),
    "values of some images": (half, {"by-image"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_metrics_fault_breaks_its_law_and_no_other(fault: str, trained: MetricTrial):
    measure, laws = FAULTS[fault]
    found = tried(trained, measure)
    assert {name for name, outcome in found.items() if outcome == "fail"} == laws


def test_a_metric_of_the_data_is_tried_on_them(trained: MetricTrial):
    wrong = lambda material: [replace(SOUND, value=float("inf" if isinstance(material, DataOnly) else 0))]  # noqa: E731
    assert tried(trained, wrong, metric_of_data)["of-data"] == "fail"


def test_a_metric_that_is_undefined_here_breaks_nothing(trained: MetricTrial):
    def picky(subject: Any) -> list[Estimate]:
        raise Unsupported("only for pgen")

    assert set(tried(trained, picky).values()) == {"pass", "does not apply"}


@pytest.mark.long
@pytest.mark.usefixtures("cheap_metrics")
@pytest.mark.parametrize("name", ["nll", "bits_per_dim", "skl", "squared_error", "copying", "pms_train_test", "fid"])
def test_own_metrics_keep_their_laws(name: str, trained: MetricTrial):
    trial = MetricTrial(name)
    trial.__dict__.update(folder=trained.folder, run=trained.run)
    assert not broken(trial, LAWS_OF_METRICS)


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
def test_every_metric_keeps_its_laws(name: str, trained: MetricTrial):
    test_own_metrics_keep_their_laws(name, trained)


# Data sets


def source(**changes: Any) -> Source:
    """Of binary points, in three splits."""
    x = (torch.arange(60).reshape(30, 2) % 2).float()
    return replace(Source(x[:20], x[20:25], x[25:], levels=2), **changes)


def data_set(made: Callable[[], Source]) -> set[str]:
    register("probe", "a probe")(lambda folder, options: made())
    return broken(DatasetTrial("probe", Path("nowhere")), LAWS_OF_DATASETS)


def missing() -> Source:
    raise DataError("it is\nnowhere")


DATA_FAULTS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "another shape": (lambda: source(test=torch.zeros(5, 3)), {"splits"}),
    "another type": (lambda: source(test=torch.zeros(5, 2).double()), {"splits"}),
    "no rows": (lambda: source(test=torch.zeros(0, 2)), {"splits"}),
    "no number": (lambda: source(test=torch.full((5, 2), torch.nan)), {"splits"}),
    "too large": (lambda: source(test=torch.full((5, 2), 2.0)), {"bounds"}),
    "off the grid": (lambda: source(test=torch.full((5, 2), 0.3)), {"grid"}),
    "too many levels": (lambda: Source(*3 * (torch.full((5, 2), 9, dtype=torch.uint8),), 0.1, levels=4), {"grid"}),
    "another draw each time": (lambda: source(train=torch.rand(20, 2), levels=None), {"again"}),
    "too few labels": (lambda: source(labels=3 * (torch.zeros(5, dtype=torch.long),)), {"labels"}),
    "no such rule": (lambda: source(binarisation="often"), {"binarisation"}),
    "a rule without bounds": (lambda: source(bounded=False, binarisation="dynamic"), {"binarisation"}),
    "a density of all": (lambda: source(log_prob=lambda x: x.sum()), {"exact"}),
    "two lines": (missing, {"missing"}),
    "another exception": (lambda: 1 / 0, {"missing", "reads"}),
    "no source": (lambda: 3, {"missing", "reads"}),
}


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_a_data_sets_fault_breaks_its_law_and_no_other(fault: str):
    made, laws = DATA_FAULTS[fault]
    assert data_set(made) - {"missing"} == laws - {"missing"}
    assert ("missing" in data_set(made)) >= ("missing" in laws)


def test_a_sound_data_set_keeps_every_law():
    assert not data_set(source)


def test_every_data_set_keeps_its_laws(tmp_path: Path):
    """Those whose files are not there say so."""
    for name in DATASETS:
        assert not broken(DatasetTrial(name, tmp_path), LAWS_OF_DATASETS), name


# Parts of models


@pytest.mark.parametrize(
    ("part", "name"), [("regulariser", "beta"), ("regulariser", "mmd"), ("posterior", "deterministic"), ("type", "ae")]
)
def test_own_parts_keep_their_laws(part: str, name: str):
    assert not broken(PartTrial(part, name), LAWS_OF_REGULARISERS if part == "regulariser" else LAWS_OF_PARTS)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "name"), [(part, name) for part, known in PARTS.items() for name in known])
def test_every_part_keeps_its_laws(part: str, name: str):
    if name not in ("dpvae", "vaepp-cifar"):  # for images larger than 8 x 8
        test_own_parts_keep_their_laws(part, name)


def test_a_part_that_fails_breaks_its_law():
    @LIKELIHOODS.register("probe")
    class Wrong(Bernoulli):
        """A law of nothing."""

        def log_prob(self, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no law")

    (verdict,) = [one for one in examine(PartTrial("likelihood", "probe"), LAWS_OF_PARTS) if one.outcome == "fail"]
    assert verdict.found.startswith("failed: RuntimeError: no law (test_laws.py, line ")


def test_a_part_that_refuses_every_method_breaks_its_law():
    @POSTERIORS.register("probe")
    class Picky(POSTERIORS["normal"]):
        """A normal."""

        def forward(self, h: torch.Tensor) -> Any:
            raise Unsupported("not today")

    assert broken(PartTrial("posterior", "probe"), LAWS_OF_PARTS) == {"part-training"}


def test_a_part_without_a_word_on_it_breaks_its_law():
    @BACKBONES.register("probe")
    def silent(*arguments: Any) -> Any:
        return dense(*arguments)

    assert broken(PartTrial("backbone", "probe"), LAWS_OF_PARTS) == {"described"}


def test_a_regularisers_settings_are_checked():
    @REGULARISERS.register("probe")
    class Loose(Regulariser):
        """It has a setting that no suite can give."""

        def __init__(self, host: Any, weight=1.0):
            super().__init__()

        def term(self, coded: Any) -> torch.Tensor:
            return coded.z.square().mean()

    assert "settings" in broken(PartTrial("regulariser", "probe"), LAWS_OF_REGULARISERS)


# The command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metric", "nl"], "Unknown metric 'nl'. Did you mean 'nll'?"),
        (["--dataset", "digit"], "Unknown data set 'digit'. Did you mean 'digits'?"),
        ([], "--metric or --dataset NAME"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_a_kind_without_laws_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plugin = tmp_path / "own.py"
    plugin.write_text(
        "from benchmarks import datasets\nfrom benchmarks.plots.base import plot\n"
        '@plot("own")\ndef own(results):\n    "A plot."\n    yield\n'
        '@datasets.register("nowhere", "a data set")\ndef nowhere(folder, options):\n'
        '    raise datasets.DataError("It is nowhere: look for it.")\n'
    )
    assert main(["--plugin", str(plugin)]) == 0
    told = capsys.readouterr().out
    assert "own: a plot, of which there are no laws\n" in told
    assert "nowhere keeps all 2 laws that apply to it.\n" in told
