"""What evaluation costs, and that it leaves nothing of a run to chance."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from benchmarks import metrics
from benchmarks.config import suite
from benchmarks.config.suite import Request
from benchmarks.datasets import Dataset, load
from benchmarks.estimators import kernel, manifold, neighbours
from benchmarks.estimators.annealing import Annealing
from benchmarks.estimators.estimate import Estimate
from benchmarks.estimators.importance import importance_sampling
from benchmarks.metrics import METRICS, DataOnly, Evaluated
from benchmarks.metrics.protocol import ProtocolSettings
from benchmarks.runner.build import build
from covering import slow_but
from priors import registry
from priors.base import Codes, Unsupported
from priors.parts import normal
from priors.testing import toy_host

pytestmark = pytest.mark.long

LIKELIHOOD = ("nll", "log_likelihood", "bits_per_dim", "reliability", "active_units")

DEFINED = [name for name, one in METRICS.items() if not one.inception]
"""What needs no file of weights."""


@lru_cache
def digits() -> Dataset:
    return load("digits", Path())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One classifier for all of this file."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def few_chains(cheap_metrics: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.ais, "HOW", Annealing(steps=4, chains=2))
    monkeypatch.setattr(metrics.ais, "IMAGES", 5)


def make_subject(method: str, *overrides: str, cache: Path = Path()) -> Evaluated:
    request = Request(datasets=("digits",), methods=(method,), seeds=(0,), overrides=overrides)
    (run,) = suite.expand(suite.read("smoke"), request)
    model, prior = build(run, digits())
    prior.fit(Codes(lambda: model.encode_all(digits().train)))
    return Evaluated(digits(), run.protocol, run.seed, cache=cache, model=model.eval(), prior=prior.eval())


def figures_of(name: str, subject: Evaluated) -> list[Estimate] | str:
    """Its figures, or why it has none."""
    with torch.no_grad():
        try:
            return METRICS[name](subject)
        except Unsupported as reason:
            return str(reason)


@pytest.mark.parametrize(("method", "extra"), [("gaussian", 0), ("mixture", 0), ("vampprior", 10)])
def test_every_image_is_encoded_once(method: str, extra: int):
    """All metrics together encode the test set once, and a VampPrior its pseudo-inputs once."""
    subject, rows = make_subject(method), []
    subject.model.encoder.register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    with torch.no_grad():
        for name in LIKELIHOOD:
            assert METRICS[name](subject)
    assert sum(rows) == len(subject.data.test) + extra


def test_no_more_rows_at_once_than_asked_for():
    """The largest tensor that is decoded has `rows` codes, whatever K."""
    subject, sizes = make_subject("gaussian"), []

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        sizes.append(z.shape[:-1].numel())
        return subject.model.log_likelihood(x, z)

    with torch.no_grad():
        result = importance_sampling(
            subject.data.test, subject.q[:5], log_likelihood, subject.prior.log_prob, [10, 300], seed=int, rows=64
        )
    assert max(sizes) <= 64
    assert sum(sizes) == 5 * 300
    assert len(result.elbo) == 5


@pytest.mark.parametrize("method", slow_but(["mixture"], ["mixture", "implicit"]))
def test_metrics_do_not_move_each_other(method: str, cache: Path):
    """Any metric alone gives what it gives among others, in any order and wherever the random state is."""
    together = make_subject(method, cache=cache)
    forward = {name: figures_of(name, together) for name in DEFINED}
    backward = make_subject(method, cache=cache)
    for name in reversed(DEFINED):
        torch.randn(7)
        assert figures_of(name, backward) == forward[name], name
    for name in DEFINED[::6]:
        assert figures_of(name, make_subject(method, cache=cache)) == forward[name], name


def test_metrics_leave_the_random_state_alone(cache: Path):
    subject = make_subject("gaussian", cache=cache)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for name in DEFINED:
        figures_of(name, subject)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_size_of_chunks_moves_no_figure(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Sizes change the order of sums alone: 1e-5 relative."""
    usual = make_subject("mixture", cache=cache)
    figures = {name: figures_of(name, usual) for name in DEFINED}
    monkeypatch.setattr(metrics.evaluated, "CHUNK", 7)
    monkeypatch.setattr(neighbours, "BUDGET", 2**12)
    monkeypatch.setattr(kernel, "BUDGET", 2**12)
    monkeypatch.setattr(manifold, "BUDGET", 2**12)
    monkeypatch.setattr(normal, "SIDE", 37)
    small = make_subject("mixture", cache=cache)
    for name, expected in figures.items():
        found = figures_of(name, small)
        if isinstance(expected, str):
            assert found == expected
            continue
        for one, other in zip(found, expected, strict=True):
            assert one.value == pytest.approx(other.value, rel=1e-5, abs=1e-9), (name, str(one.estimator))


def test_every_figure_says_what_it_is(cache: Path):
    """Names, estimators and units are there, none twice; a metric's summary is one line."""
    subject, seen = make_subject("mixture", cache=cache), set()
    for name in DEFINED:
        figures = figures_of(name, subject)
        if isinstance(figures, str):
            assert " " in figures
            continue
        for one in figures:
            assert one.metric
            assert str(one.estimator)
            assert one.unit
            assert math.isfinite(one.value), (name, one)
        if name not in ("log_likelihood", "excess_nll"):
            assert not seen & {(one.metric, str(one.estimator)) for one in figures}, name
            seen |= {(one.metric, str(one.estimator)) for one in figures}
    for one in METRICS.values():
        assert one.summary.endswith("."), one.name


def test_what_a_figure_is_the_mean_of_is_kept():
    """Image by image, for comparisons in pairs."""
    figure = next(one for one in figures_of("nll", make_subject("gaussian")) if str(one.estimator) == "elbo")
    assert len(figure.values) == 100
    assert figure.values.mean().item() == figure.value
    assert "values" not in figure.as_dict()


class Repeats:
    """A model whose images are given ones, in their order, whatever the codes."""

    def __init__(self, images: Tensor):
        self.images, self.workspace = images, 0

    def decode(self, z: Tensor) -> Tensor:
        self.workspace += len(z)
        return self.images[self.workspace - len(z) : self.workspace]


def repeating(images: Tensor) -> Evaluated:
    """A subject that generates these images of digits, and reconstructs images as they are."""
    prior = SimpleNamespace(sampler="", sample=lambda n: torch.zeros(n, 2))
    subject = Evaluated(digits(), ProtocolSettings(generated=300), 0, model=Repeats(images), prior=prior)
    subject.reconstructed = subject.test
    return subject


def values(name: str, subject: Evaluated) -> dict[str, float]:
    """Figures by their metric and what its estimator ends with after the number of images."""
    return {one.metric + re.sub(r".*\d", "", str(one.estimator)): one.value for one in METRICS[name](subject)}


def test_planted_copies_are_flagged():
    """Training images handed out as generated ones: the ratio and the authentic share fall, C_T is far below 0."""
    found = values("copying", repeating(digits().train.original[torch.randperm(1197)[:300]]))
    assert found["authentic_share"] == 0
    assert found["data_copying"] == found["data_copying-against-reconstructions"] < -15
    assert found["copies"] == 1
    assert found["copies-reconstruction"] == found["copies-unseen"] == 0
    assert found["copies_p"] < 1e-100
    subject = repeating(digits().train.original[:])
    subject.model.images = subject.images("training") / 255
    found = values("pms", subject)
    assert found["pms_generated_train"] == found["pms_ratio"] == 0
    assert found["pms_generated_test"] > 0


def test_held_out_images_are_not_flagged():
    """Images of the same law that no training has seen look like the test set's."""
    subject = repeating(digits().validation.original[:])
    found = values("copying", subject)
    assert abs(found["data_copying"]) < 3
    assert found["data_copying-reconstruction"] == 0
    assert found["copies"] == 0
    assert found["copies_p"] == 1
    assert found["authentic_share"] == pytest.approx(found["authentic_share-test"], abs=0.1)
    assert values("pms", repeating(digits().validation.original[:]))["pms_ratio"] == pytest.approx(1, abs=0.05)


def smoothed(images: Tensor) -> Tensor:
    """The means of every image and the two of its set that are nearest to it, in whole grey levels."""
    return images[neighbours.nearest_few(images, images, 3).indices].float().mean(1).round()


def test_smoothness_is_not_copying():
    """Means of unseen images: C_T takes them for copies; beside others that are as smooth they are none."""
    subject = repeating(smoothed(255 * digits().validation.original[:]) / 255)
    subject.reconstructed = smoothed(subject.reconstructed)
    found = values("copying", subject)
    assert found["data_copying"] < -4
    assert found["data_copying-reconstruction"] < -4
    assert abs(found["data_copying-against-reconstructions"]) < 3
    assert found["authentic_share"] == pytest.approx(found["authentic_share-reconstruction"], abs=0.1)
    assert found["copies"] == 0
    assert found["copies_p"] == 1


def test_a_decoder_that_knows_training_images_alone_is_flagged():
    """Its reconstructions of unseen images are copies too, and hide its own: unseen images do not."""
    some = digits().train.original[:300]
    subject = repeating(some)
    subject.reconstructed = (255 * some.flip(0)).round()
    found = values("copying", subject)
    assert found["copies"] == found["copies-reconstruction"] == 1
    assert found["copies_p"] < 1e-100
    assert found["copies_p-against-reconstructions"] == 1


@pytest.mark.parametrize("backbone", ["dense", "conv"])
def test_networks_that_have_learned_nothing_copy_nothing(backbone: str):
    subject = make_subject("gaussian", f"model.backbone={backbone}", "model.widths=[16,16]", "protocol.generated=300")
    with torch.no_grad():
        found = values("copying", subject)
    assert abs(found["data_copying"]) > 15
    assert abs(found["data_copying-reconstruction"]) > 15
    assert found["copies"] == found["copies-reconstruction"] == 0
    assert found["copies_p"] == 1


def test_more_images_are_generated_where_the_test_set_is_small():
    """For the count of copies alone: figures of equal sets keep theirs."""
    subject = make_subject("gaussian", "protocol.generated=700")
    with torch.no_grad():
        estimators = [str(one.estimator) for one in METRICS["copying"](subject)]
    assert estimators[::3] == ["pixels-300", "c_t-300", "third-700", "fisher-700x600"]
    assert len(subject.generated) == 300


def test_the_data_alone_have_the_figures_of_data():
    """No model: scores between real images, and a reason for everything else."""
    subject = DataOnly(digits(), ProtocolSettings(), 0)
    found = values("pms_train_train", subject) | values("pms_train_test", subject)
    assert found["pms_train_train"] == pytest.approx(found["pms_train_test"], rel=0.05)
    for name in set(DEFINED) - {"pms_train_train", "pms_train_test"}:
        assert "of a model" in figures_of(name, subject)


def test_fewer_draws_are_the_first_of_more():
    """K = 10 gives the same figure whatever the largest K is."""
    with torch.no_grad():
        few, many = (
            make_subject("gaussian", f"protocol.samples={samples}").importance for samples in ("[10]", "[10, 250]")
        )
    assert torch.allclose(few.log_likelihood[10], many.log_likelihood[10], rtol=1e-6)


def test_variance_is_the_likelihoods():
    """`model.variance` reaches the likelihood gaussian-fixed."""
    subject = make_subject("gaussian", "model.likelihood=gaussian-fixed", "model.variance=0.25")
    assert subject.model.likelihood.fixed.exp().item() == pytest.approx(0.25)


def test_annealing_agrees_with_the_exact_likelihood(monkeypatch: pytest.MonkeyPatch):
    """Probabilistic PCA: the bound on data, and both bounds on the model's own images."""
    monkeypatch.setattr(metrics.ais, "HOW", Annealing(steps=100, chains=8))
    monkeypatch.setattr(metrics.ais, "IMAGES", 30)
    w, sd = torch.randn(6, 2, dtype=torch.float64), 0.6
    x = torch.randn(30, 2, dtype=torch.float64) @ w.T + sd * torch.randn(30, 6, dtype=torch.float64)
    law = torch.distributions.MultivariateNormal(torch.zeros(6).double(), w @ w.T + sd**2 * torch.eye(6).double())

    def encode_all(x: Tensor) -> normal.DiagonalNormal:
        code = x @ w @ torch.linalg.inv(w.T @ w + sd**2 * torch.eye(2).double())
        return normal.DiagonalNormal(code, torch.full_like(code, -2.0))

    model = SimpleNamespace(
        encode_all=encode_all,
        log_likelihood=lambda x, z: torch.distributions.Normal(z @ w.T, sd).log_prob(x).sum(-1),
        parameters_of_x=lambda z: z.double() @ w.T,
        likelihood=SimpleNamespace(sampler="", sample=lambda mean: mean + sd * torch.randn_like(mean)),
    )
    prior = registry.make("gaussian", toy_host(latent_dim=2)).double()
    x.seen = x  # by the encoder
    subject = Evaluated(SimpleNamespace(test=x), ProtocolSettings(), 0, model=model, prior=prior)
    found = {(one.metric, str(one.estimator)): one for one in METRICS["ais"](subject)}
    exact = -law.log_prob(x).mean().item()
    lower = found["nll", "ais-100x8"]
    assert exact - 0.01 < lower.value < exact + 0.06
    assert len(lower.values) == 30
    above, below = (found["nll", f"ais-100x8-simulated{end}"].value for end in ("", "-reverse"))
    assert below - 0.02 < above < below + 0.1
    assert found["ais_gap", "ais-100x8"].value == pytest.approx(above - below)


def test_pockets_and_leaks_are_where_one_law_has_what_the_other_lacks():
    """p = N(0, I), q = N(m, s^2 I): pockets lie away from m, leaks away from 0."""
    q = normal.DiagonalNormal(torch.full((50, 2), 1.5), torch.full((50, 2), -1.0))
    prior = registry.make("gaussian", toy_host(latent_dim=2))
    subject = Evaluated(SimpleNamespace(), ProtocolSettings(), 0, model=SimpleNamespace(), prior=prior)
    subject.q = subject.encoded = q
    pockets, leaks = subject.least_covered(5000, 100), subject.least_likely(5000, 100)
    assert pockets.shape == leaks.shape == (100, 2)
    assert (pockets - 1.5).norm(dim=1).min() > 3
    assert leaks.norm(dim=1).min() > 2.8
    assert (leaks.mean(0) > 1.5).all()
