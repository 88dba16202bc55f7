"""Importance sampling and its diagnostics against laws with a known ln p(x), and the figures that are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.stats import norm
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, kl_divergence

from benchmarks import datasets
from benchmarks.common.seeds import seed_for
from benchmarks.datasets.gaussian import pca_parameters
from benchmarks.estimators.codes import active_units
from benchmarks.estimators.estimate import Estimate
from benchmarks.estimators.importance import Importance, importance_sampling, pareto_k
from benchmarks.metrics import METRICS, Evaluated, likelihood
from benchmarks.metrics.likelihood import RELIABLE
from benchmarks.metrics.protocol import ProtocolSettings
from models import registry
from priors import registry as prior_registry
from priors.base import Density, Prior, Unsupported
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.testing import toy_host

FLOAT = torch.float64


class FullNormal(MultivariateNormal):
    """A normal law with a full covariance that is indexed over its batch, as the estimator asks."""

    def __getitem__(self, index: slice) -> FullNormal:
        return FullNormal(self.loc[index], scale_tril=self.scale_tril[index])


class PCA:
    """Probabilistic PCA, x = b + W z + s e: ln p(x) and p(z|x) are known (Tipping and Bishop 1999)."""

    def __init__(self, images: int, observed: int = 8, latent: int = 3, scale: float = 1.0, s: float = 0.7):
        self.w = scale * torch.randn(observed, latent, dtype=FLOAT)
        self.b, self.s = torch.randn(observed, dtype=FLOAT), s
        z, e = torch.randn(images, latent, dtype=FLOAT), torch.randn(images, observed, dtype=FLOAT)
        self.x = self.b + z @ self.w.T + s * e
        self.precision = self.w.T @ self.w / s**2 + torch.eye(latent, dtype=FLOAT)
        self.code = (self.x - self.b) @ self.w / s**2 @ torch.linalg.inv(self.precision)

    def exact(self) -> Tensor:
        """ln N(x; b, W W' + s^2 I)."""
        covariance = self.w @ self.w.T + self.s**2 * torch.eye(len(self.b), dtype=FLOAT)
        return torch.from_numpy(scipy.stats.multivariate_normal(self.b.numpy(), covariance.numpy()).logpdf(self.x))

    def posterior(self) -> FullNormal:
        return FullNormal(self.code, torch.linalg.inv(self.precision))

    def mean_field(self) -> DiagonalNormal:
        """The diagonal normal that is nearest to the posterior: same mean, variances 1/precision_dd."""
        return DiagonalNormal(self.code, -self.precision.diagonal().log().expand_as(self.code))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        error = (x - self.b - z @ self.w.T).square().sum(-1)
        return -0.5 * error / self.s**2 - 0.5 * len(self.b) * math.log(2 * math.pi * self.s**2)

    def estimate(self, q: Distribution, samples: Sequence[int], **options: Any) -> Importance:
        options = {"x": self.x, "seed": lambda i: seed_for(0, i), **options}
        return importance_sampling(
            q=q, log_likelihood=self.log_likelihood, log_prior=log_standard_normal, samples=samples, **options
        )


def equal(a: Importance, b: Importance, take: Callable[[Tensor], Tensor] = lambda t: t, rtol: float = 1e-5) -> None:
    """All estimates of `b` are those that `take` selects of `a`."""
    assert a.log_likelihood.keys() == b.log_likelihood.keys()
    for k, values in a.log_likelihood.items():
        torch.testing.assert_close(b.log_likelihood[k], take(values), rtol=rtol, atol=0)
    for name in ("elbo", "reconstruction", "kl", "effective", "largest", "pareto_k"):
        mine, theirs = getattr(b, name), take(getattr(a, name))
        torch.testing.assert_close(mine, theirs, rtol=rtol, atol=0, equal_nan=True, msg=name)


# The estimator


def test_exact_posterior_makes_any_k_exact():
    pca = PCA(images=6)
    result = pca.estimate(pca.posterior(), (1, 10, 300))
    for values in (*result.log_likelihood.values(), result.elbo):
        torch.testing.assert_close(values, pca.exact(), rtol=0, atol=1e-9)
    torch.testing.assert_close(result.effective, torch.ones(6, dtype=FLOAT))
    torch.testing.assert_close(result.largest, torch.full((6,), 1 / 300, dtype=FLOAT))
    assert (result.pareto_k < RELIABLE).all()


def test_mean_field_posterior_at_5000_draws():
    pca = PCA(images=60, observed=12, scale=0.5)
    result = pca.estimate(pca.mean_field(), (5000,))
    gap = result.log_likelihood[5000] - pca.exact()
    assert abs(gap.mean().item()) < 0.005
    assert (pca.exact() - result.elbo).mean() > 0.05  # the bound itself is far from it


def test_elbo_falls_short_by_the_divergence_from_the_posterior():
    pca = PCA(images=10)
    q = pca.mean_field()
    result = pca.estimate(q, (4000,))
    full = FullNormal(q.mean, torch.diag_embed(q.variance))
    gap = kl_divergence(full, MultivariateNormal(pca.code, torch.linalg.inv(pca.precision)))
    assert abs((result.elbo - pca.exact() + gap).mean().item()) < 0.02
    assert (result.elbo < pca.exact()).all()
    exact_kl = kl_divergence(full, MultivariateNormal(torch.zeros(3, dtype=FLOAT), torch.eye(3, dtype=FLOAT)))
    assert abs((result.kl - exact_kl).mean().item()) < 0.03


@pytest.mark.long
def test_estimate_rises_with_k():
    pca = PCA(images=500, latent=4)
    result = pca.estimate(pca.mean_field(), (1, 5, 25, 125))
    means = [values.mean().item() for values in result.log_likelihood.values()]
    assert means == sorted(means)
    assert result.elbo.mean().item() < means[1]
    assert means[-1] - means[0] > 0.2
    assert means[-1] < pca.exact().mean().item()


def test_bernoulli_decoder_against_a_grid_over_codes():
    w, b = 0.7 * torch.randn(6, 2, dtype=FLOAT), torch.randn(6, dtype=FLOAT)
    x = torch.bernoulli(torch.full((5, 6), 0.5, dtype=FLOAT))

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        return torch.distributions.Bernoulli(logits=z @ w.T + b).log_prob(x).sum(-1)

    axis = torch.linspace(-8, 8, 101, dtype=FLOAT)  # the trapezoid rule is a plain sum: the ends weigh nothing
    grid = torch.cartesian_prod(axis, axis)[:, None]
    exact = (log_likelihood(x, grid) + log_standard_normal(grid)).logsumexp(0) + 2 * math.log(0.16)
    q = DiagonalNormal(0.3 * torch.randn(5, 2, dtype=FLOAT), torch.full((5, 2), 0.3, dtype=FLOAT))
    result = importance_sampling(x, q, log_likelihood, log_standard_normal, (20_000,), seed=lambda i: i)
    torch.testing.assert_close(result.log_likelihood[20_000], exact, rtol=0, atol=0.03)
    assert abs((result.log_likelihood[20_000] - exact).mean().item()) < 0.01


@pytest.mark.parametrize("rows", [1, 7])
def test_rows_at_a_time_change_nothing(rows):
    pca = PCA(images=5)
    q = pca.mean_field()
    equal(pca.estimate(q, (1, 10, 100), rows=1024), pca.estimate(q, (1, 10, 100), rows=rows))


def test_other_images_change_nothing():
    pca = PCA(images=12)
    q = pca.mean_field()
    done: list[int] = []
    together = pca.estimate(q, (10, 100), rows=5, progress=done.append)  # 3 images a block
    assert done == [3, 6, 9, 12]
    alone = pca.estimate(q[7:8], (10, 100), x=pca.x[7:8], seed=lambda i: seed_for(0, 7 + i))
    equal(together, alone, lambda values: values[7:8])
    equal(together, pca.estimate(q[:5], (10, 100), x=pca.x[:5]), lambda values: values[:5])


def test_few_draws_share_their_decoding_with_other_images_and_change_nothing():
    """As many images as fill the rows are decoded together, each from its own stream."""
    pca = PCA(images=7)
    q, sizes = pca.mean_field(), []

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        sizes.append(tuple(z.shape[:2]))
        return pca.log_likelihood(x, z)

    alone = pca.estimate(q, (10, 20), rows=20)
    together = importance_sampling(
        pca.x, q, log_likelihood, log_standard_normal, (10, 20), seed=lambda i: seed_for(0, i), rows=65
    )
    assert sizes == [(20, 3), (20, 3), (20, 1)]
    equal(alone, together)


def test_every_k_takes_the_first_draws_of_one_stream():
    pca = PCA(images=1)
    q = pca.mean_field()
    seen: list[Tensor] = []

    def spy(z: Tensor) -> Tensor:
        seen.append(z)
        return log_standard_normal(z)

    result = importance_sampling(pca.x, q, pca.log_likelihood, spy, (100, 1, 10), seed=lambda i: i, rows=30)
    z = torch.cat(seen)
    assert [len(chunk) for chunk in seen] == [30, 30, 30, 10]
    log_weight = (pca.log_likelihood(pca.x, z) + log_standard_normal(z) - q.log_prob(z))[:, 0]
    assert list(result.log_likelihood) == [1, 10, 100]
    for k, value in result.log_likelihood.items():
        torch.testing.assert_close(value[0], log_weight[:k].exp().mean().log())
    torch.testing.assert_close(result.elbo[0], log_weight.mean())
    share = log_weight.exp().sum().square() / log_weight.mul(2).exp().sum() / 100
    torch.testing.assert_close(result.effective[0], share)


def test_seeds_alone_decide_the_draws():
    pca = PCA(images=4)
    q = pca.mean_field()
    first = pca.estimate(q, (50,))
    torch.manual_seed(99)
    equal(first, pca.estimate(q, (50,)), rtol=0)
    other = pca.estimate(q, (50,), seed=lambda i: seed_for(1, i))
    assert (other.log_likelihood[50] != first.log_likelihood[50]).all()
    twins = pca.estimate(q[[0, 0]], (50,), x=pca.x[[0, 0]])
    assert twins.elbo[0] != twins.elbo[1]  # every image has a stream of its own


def test_parts_make_up_the_elbo():
    pca = PCA(images=4)
    result = pca.estimate(pca.mean_field(), (1, 200))
    torch.testing.assert_close(result.reconstruction + result.kl, -result.elbo, rtol=1e-12, atol=0)
    single = pca.estimate(pca.mean_field(), (1,))
    torch.testing.assert_close(single.log_likelihood[1], single.elbo)


def test_estimates_are_float64_where_the_model_is_float32():
    pca = PCA(images=3)
    exact = pca.exact()
    pca.w, pca.b, pca.x, pca.code = (t.float() for t in (pca.w, pca.b, pca.x, pca.code))
    result = pca.estimate(FullNormal(pca.code, torch.linalg.inv(pca.precision).float()), (10,))
    torch.testing.assert_close(result.log_likelihood[10], exact, rtol=0, atol=1e-4)


def test_effective_share_and_largest_weight():
    """With q = N(0, 1), ln p(x, z) = ln q(z) + ln 4 for z > 0 and -inf elsewhere: half of the draws count."""
    q = DiagonalNormal(torch.zeros(1, 1, dtype=FLOAT), torch.zeros(1, 1, dtype=FLOAT))
    result = importance_sampling(
        torch.zeros(1, 1, dtype=FLOAT),
        q,
        lambda x, z: torch.where(z[..., 0] > 0, math.log(4), -math.inf),
        log_standard_normal,
        (1000,),
        seed=lambda i: i,
    )
    counted = round(result.effective.item() * 1000)
    assert abs(counted - 500) < 4 * math.sqrt(250)
    assert result.largest.item() == pytest.approx(1 / counted)
    assert result.log_likelihood[1000].item() == pytest.approx(math.log(4 * counted / 1000))


# Pareto k-hat


def pareto(k: float, repetitions: int = 50, draws: int = 4000) -> Tensor:
    """Logarithms of U^-k, whose tail has shape k."""
    return -k * torch.rand(repetitions, draws, dtype=FLOAT).log()


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9, 1.2])
def test_pareto_k_recovers_the_shape(k):
    assert pareto_k(pareto(k)).mean().item() == pytest.approx(k, abs=0.08)


@pytest.mark.parametrize("k", [0.1, 0.6, 1.0])
def test_pareto_k_of_scipys_tails(k):
    weights = scipy.stats.genpareto.rvs(k, size=(50, 4000), random_state=1)
    assert pareto_k(torch.from_numpy(weights).log()).mean().item() == pytest.approx(k, abs=0.12)


def test_pareto_k_ignores_order_and_scale():
    log_weight = pareto(0.5, repetitions=3)
    expected = pareto_k(log_weight)
    torch.testing.assert_close(pareto_k(log_weight[:, torch.randperm(4000)]), expected)
    torch.testing.assert_close(pareto_k(log_weight - 1000), expected)
    torch.testing.assert_close(pareto_k(log_weight[1:2]), expected[1:2])


def test_pareto_k_finds_a_light_tail():
    assert (pareto_k(torch.rand(20, 1000, dtype=FLOAT)) < 0.3).all()


@pytest.mark.parametrize("draws", [25, 100, 1200, 5000])
def test_pareto_k_of_equal_weights_is_reliable(draws):
    """Equal weights are the best there are, also where rounding makes them differ in the last digits."""
    noise = torch.randn(5, draws, dtype=FLOAT)
    for log_weight in (0 * noise, 1e-13 * noise - 1000, (1e-6 * noise - 100).float().double()):
        assert (pareto_k(log_weight) < RELIABLE).all()


@pytest.mark.parametrize("draws", [1, 10, 20, 24])
def test_pareto_k_needs_25_draws(draws):
    assert pareto_k(pareto(0.5, 3, draws)).isnan().all()
    assert not pareto_k(pareto(0.5, 3, 25)).isnan().any()


# Figures


def test_active_units_counts_the_means_that_vary():
    deviation = torch.tensor([0.0, 0.09, 0.11, 2.0])  # variances 0, 0.0081, 0.0121, 4
    sign = torch.tensor([1.0, -1.0]).repeat(500)[:, None]
    assert active_units(sign * deviation) == 2
    assert active_units(100 + sign * deviation) == 2
    assert active_units(sign * deviation, threshold=0.005) == 3


def stub(discrete: bool, step: float | None, shape: tuple[int, ...] = (2, 5)) -> Any:
    """What `bits_per_dim` reads of a subject: ln p(x) = -10 ln 2 +- 1 at the largest K of three."""
    values = -10 * math.log(2) + torch.tensor([-1.0, 1.0, 0.0], dtype=FLOAT)
    importance = SimpleNamespace(log_likelihood={100: values, 10: values - 5, 1: values - 9})
    return SimpleNamespace(
        importance=importance,
        data=SimpleNamespace(shape=shape, levels=step and 99, step=step),
        model=SimpleNamespace(likelihood=SimpleNamespace(discrete=discrete)),
        prior=Loose(error=0.5),
        certainty="bound",
    )


@pytest.mark.parametrize(
    ("discrete", "step", "bits"),
    [(True, 1 / 255, 1), (True, None, 1), (False, 1 / 256, 9), (False, 1 / 16, 5), (False, 1.0, 1)],
)
def test_bits_per_dim(discrete, step, bits):
    (figure,) = likelihood.bits_per_dim(stub(discrete, step))
    assert (str(figure.estimator), figure.unit, figure.direction) == ("is-100+bound", "bits", "lower")
    assert figure.value == pytest.approx(bits)
    assert figure.error == pytest.approx(math.hypot(1 / math.sqrt(3), 0.5) / (10 * math.log(2)))


@pytest.mark.parametrize(("step", "levels"), [(1 / 255, 256), (1 / 16, 17), (1 / 256, 256), (1.0, 2)])
def test_a_density_gets_the_bits_that_its_bins_have(step, levels):
    """The law of the bins [x - step/2, x + step/2] around the levels, by scipy, where it is smooth within each."""
    law, x = norm(loc=0.5 * levels * step, scale=(8 + levels / 8) * step), step * np.arange(levels)
    bins = law.cdf(x + step / 2) - law.cdf(x - step / 2)
    made = stub(False, step, shape=(1,))
    made.importance.log_likelihood = {1: torch.from_numpy(law.logpdf(x))}
    (figure,) = likelihood.bits_per_dim(made)
    assert figure.value == pytest.approx(-np.log2(bins).mean(), abs=2e-3)


def test_figures_that_the_data_do_not_define_are_unsupported():
    with pytest.raises(Unsupported, match="grey levels"):
        likelihood.bits_per_dim(stub(False, None))
    with pytest.raises(Unsupported, match="not known"):
        likelihood.excess_nll(SimpleNamespace(data=SimpleNamespace(log_prob=None)))


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """A VAE at the very parameters of the probabilistic PCA that the `gaussian` data come from."""
    w, b, s = pca_parameters()
    data = datasets.load("gaussian", tmp_path_factory.mktemp("data"))
    model = registry.make(
        data.shape,
        data.bounded,
        type="vae",
        backbone="mlp",
        widths=(),
        latent_dim=4,
        posterior="normal",
        likelihood="gaussian-scalar",
    )
    precision = w.T @ w / s**2 + torch.eye(4, dtype=FLOAT)
    to_code = torch.linalg.inv(precision) @ w.T / s**2
    encoder, decoder = model.encoder[1][0], model.decoder[0][0]
    with torch.no_grad():
        encoder.weight.copy_(torch.cat([to_code, torch.zeros(4, 16)]))
        encoder.bias.copy_(torch.cat([-to_code @ b, -precision.diagonal().log()]))
        decoder.weight.copy_(w)
        decoder.bias.copy_(b)
        model.likelihood.scalar.fill_(2 * math.log(s))
    prior = prior_registry.make("gaussian", toy_host(latent_dim=4))
    model.requires_grad_(False)
    return Evaluated(data, ProtocolSettings(samples=(1000, 10), images=100), seed=3, model=model, prior=prior)


def test_perfect_model_has_no_excess(perfect):
    figures = {(figure.metric, str(figure.estimator)): figure for figure in METRICS["excess_nll"](perfect)}
    assert abs(figures["excess_nll", "is-1000"].value) < 0.02
    assert figures["excess_nll", "is-10"].value > figures["excess_nll", "is-1000"].value
    exact = -perfect.data.log_prob(perfect.data.test.batch(slice(100))).mean().item()
    assert figures["nll", "exact"].value == pytest.approx(exact)


def test_nll_figures_are_named_by_their_estimator(perfect):
    figures = METRICS["nll"](perfect)
    by_name = {(figure.metric, str(figure.estimator)): figure for figure in figures}
    assert set(by_name) == {
        ("nll", "is-10"),
        ("nll", "is-1000"),
        ("nll", "elbo"),
        ("reconstruction", "elbo"),
        ("kl", "elbo"),
    }
    assert by_name["nll", "is-1000"].value < by_name["nll", "is-10"].value < by_name["nll", "elbo"].value
    parts = by_name["reconstruction", "elbo"].value + by_name["kl", "elbo"].value
    assert by_name["nll", "elbo"].value == pytest.approx(parts)
    values = perfect.importance.log_likelihood[1000]
    assert by_name["nll", "is-1000"].error == pytest.approx(values.std().item() / 10)
    opposite = {str(figure.estimator): figure for figure in METRICS["log_likelihood"](perfect)}
    assert opposite["is-1000"].value == -by_name["nll", "is-1000"].value
    assert (opposite["is-1000"].direction, by_name["nll", "is-1000"].direction) == ("higher", "lower")


def test_subject_takes_the_first_images_in_one_go(perfect):
    x = perfect.data.test.batch(slice(None))
    assert len(x) == len(perfect.q.mean) == 1000
    torch.testing.assert_close(perfect.q[990:].mean, perfect.model.encode(x[990:]).mean)
    assert len(perfect.importance.elbo) == 100
    (units,) = METRICS["active_units"](perfect)
    assert units.value == 4


def test_unreliable_weights_are_told(perfect):
    def with_tail(k: float) -> Any:
        importance = SimpleNamespace(
            log_likelihood={10: torch.zeros(100), 1000: torch.zeros(100)},
            elbo=torch.zeros(100),
            reconstruction=torch.zeros(100),
            kl=torch.zeros(100),
            effective=torch.full((100,), 0.5),
            largest=torch.full((100,), 0.25),
            pareto_k=torch.cat([torch.full((10,), k), torch.full((90,), 0.1)]),
        )
        return SimpleNamespace(
            importance=importance, certainty="exact", prior=prior_registry.make("gaussian", toy_host())
        )

    def notes(k: float) -> dict[str, str]:
        return {
            str(one.estimator): "; ".join(map(str, one.remarks))
            for one in likelihood.nll(with_tail(k))
            if one.metric == "nll"
        }

    assert "unreliable" in notes(0.8)["is-1000"]
    assert notes(0.8)["is-10"] == notes(0.6)["is-1000"] == ""
    shares = {figure.metric: figure.value for figure in likelihood.reliability(with_tail(0.8))}
    assert shares == pytest.approx(
        {"effective_share": 0.5, "largest_weight": 0.25, "pareto_k": 0.17, "unreliable_images": 0.1}
    )
    real = {figure.metric for figure in METRICS["reliability"](perfect)}
    assert real == set(shares)


class Loose(Density):
    """A prior whose density is an estimate."""

    certainty = "estimate"

    def __init__(self, error: float = 0.0):
        super().__init__()
        self.error = error

    @property
    def log_prob_error(self) -> float:
        return self.error

    def sample(self, n: int) -> Tensor:
        return torch.randn(n, 4)

    def log_prob(self, z: Tensor) -> Tensor:
        return log_standard_normal(z)


class OnlySamples(Prior):
    """A prior without a density."""

    def sample(self, n: int) -> Tensor:
        return torch.randn(n, 4)


def test_certainty_of_the_prior_is_part_of_the_estimator(perfect):
    def subject(prior: Prior) -> Evaluated:
        protocol = ProtocolSettings(samples=(5,), images=3)
        return Evaluated(perfect.data, protocol, seed=3, model=perfect.model, prior=prior)

    names = {(figure.metric, str(figure.estimator)) for figure in METRICS["nll"](subject(Loose()))}
    assert {("nll", "is-5+estimate"), ("nll", "elbo+estimate"), ("kl", "elbo+estimate")} < names
    assert ("reconstruction", "elbo") in names  # which no prior enters
    with pytest.raises(Unsupported, match="OnlySamples"):
        METRICS["nll"](subject(OnlySamples()))


def test_an_error_of_ln_z_is_part_of_every_figure_that_ln_p_enters(perfect):
    """Beyond that of the images, and what it explains is not impossible."""

    def figures(error: float) -> dict[tuple[str, str], Estimate]:
        made = Evaluated(perfect.data, perfect.protocol, seed=3, model=perfect.model, prior=Loose(error))
        made.importance = perfect.importance
        return {(one.metric, str(one.estimator)): one for name in ("nll", "excess_nll") for one in METRICS[name](made)}

    known, loose = figures(0.0), figures(0.5)
    for name in (("nll", "elbo+estimate"), ("kl", "elbo+estimate"), ("excess_nll", "is-1000+estimate")):
        assert loose[name].error == pytest.approx(math.hypot(known[name].error, 0.5))
    assert loose["reconstruction", "elbo"].error == known["reconstruction", "elbo"].error


@pytest.mark.parametrize(("error", "impossible"), [(0.0, True), (0.5, False)])
def test_what_the_error_of_ln_z_explains_is_not_impossible(perfect, error, impossible):
    made = Evaluated(perfect.data, perfect.protocol, seed=3, model=perfect.model, prior=Loose(error))
    exact = perfect.data.log_prob(perfect.data.test.batch(slice(100)))
    made.importance = replace(perfect.importance, log_likelihood={10: exact + 1 + 0.1 * torch.randn(100, dtype=FLOAT)})
    _, found = METRICS["excess_nll"](made)
    assert (found.alarm == "impossible") == impossible
