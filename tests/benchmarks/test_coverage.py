"""Standard errors within a run: 95 % intervals must hold the known value in 88 to 99 % of repetitions.

    pytest -m slow tests/benchmarks/test_coverage.py -s

prints a line a figure: case, what is drawn afresh in every repetition, repetitions, and how many of value +- 1.96 error
held the value. The known values are closed forms, integrals and simulations by numpy and scipy; where it is said
"grand mean" only the spread is tested, as the value is that of all repetitions together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.spatial import cKDTree
from scipy.stats import norm
from torch import Tensor

from benchmarks.datasets import Split
from benchmarks.estimators.annealing import Annealing
from benchmarks.estimators.estimate import Estimate
from benchmarks.estimators.kernel import kernel_distance
from benchmarks.estimators.manifold import manifold_means
from benchmarks.metrics import METRICS, Evaluated, low_dimensional
from benchmarks.metrics import ais as annealing_figures
from benchmarks.metrics.memorisation import score
from benchmarks.metrics.protocol import ProtocolSettings
from priors import registry
from priors.base import DataCritic, Density
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.testing import toy_codes, toy_host

pytestmark = pytest.mark.slow

FLOAT = torch.float64
GRAND_MEAN = None
"""In the place of a known value: that of all repetitions."""

Found = Mapping[str, tuple[float, float]]
"""Values and errors by the figure's name."""


@pytest.fixture(autouse=True, scope="module")
def doubles() -> Iterable[None]:
    torch.set_default_dtype(FLOAT)
    yield
    torch.set_default_dtype(torch.float32)


def covers(
    case: str, afresh: str, repeat: Callable[[int], Found], known: Mapping[str, float | None], times: int = 100
) -> None:
    """Repeats the figures, prints how often each interval holds the known value, and wants 88 to 99 % of them all."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for repetition in range(times):
        torch.manual_seed(1000 + repetition)
        for name, pair in repeat(repetition).items():
            found[name].append(pair)
    shares = {name: coverage(np.array(found[name], dtype=float), value) for name, value in known.items()}
    print()
    for name, share in shares.items():
        value, error = np.array(found[name], dtype=float).T
        beside = "grand mean" if known[name] is GRAND_MEAN else f"{known[name]:.4f}"
        print(
            f"{name:<34} | {case:<44} | {afresh:<26} | {times:>3} | {share:>4.0%} | {beside} (mean {value.mean():.4f}, "
            f"sd {value.std():.4g}, errors {np.sqrt((error**2).mean()):.4g})"
        )
    assert {name: share for name, share in shares.items() if not 0.88 <= share <= 0.99} == {}


def coverage(found: np.ndarray, known: float | None) -> float:
    """Share of (value, error) pairs, (n, 2), whose interval holds the value; without an error none does."""
    value, error = found.T
    return float((np.abs(value - (value.mean() if known is GRAND_MEAN else known)) <= 1.96 * error).mean())


def named(figures: Iterable[Estimate]) -> Found:
    return {
        f"{one.metric} {one.estimator!s}": (one.value, math.nan if one.error is None else one.error) for one in figures
    }


# Likelihood: probabilistic PCA, whose every term is a Gaussian integral


class Shifted(Density):
    """N(0, I), whose ln Z was estimated with an error of `error` nats, and is wrong by `shift`."""

    certainty = "estimate"

    def __init__(self, error: float, shift: float, dim: int = 2):
        super().__init__()
        self.error, self.shift, self.dim = error, shift, dim

    @property
    def log_prob_error(self) -> float:
        return self.error

    def sample(self, n: int) -> Tensor:
        return torch.randn(n, self.dim)

    def log_prob(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) + self.shift


def shifted(error: float, dim: int = 2) -> Shifted:
    return Shifted(error, error * torch.randn(()).item(), dim)


def entropy_like(covariance: np.ndarray, of: np.ndarray) -> float:
    """-E[ln N(x | 0, covariance)] under N(0, of)."""
    return 0.5 * (np.linalg.slogdet(2 * math.pi * covariance)[1] + np.trace(np.linalg.solve(covariance, of)))


@dataclass
class PCA:
    """x = W z + s e in 8 dimensions of a model, of data with a wider law, and its posteriors, spread too far by 1.3.

    The posterior is normal with the exact mean: draws are off by a law that no image changes.
    """

    images: int = 100

    def __post_init__(self):
        rng = np.random.default_rng(5)
        self.w, self.s = rng.normal(size=(8, 2)), 0.8
        self.w[:, 1] += 0.6 * self.w[:, 0]
        self.model_law = self.w @ self.w.T + self.s**2 * np.eye(8)
        self.data_law = 1.2 * self.model_law + 0.1 * np.eye(8)
        self.precision = self.w.T @ self.w / self.s**2 + np.eye(2)
        self.gain = np.linalg.solve(self.precision, self.w.T) / self.s**2
        self.variance = 1.3 / np.diag(self.precision)
        self.nll = entropy_like(self.model_law, self.data_law)
        self.entropy = entropy_like(self.data_law, self.data_law)
        self.gap = 0.5 * (
            self.precision.diagonal() @ self.variance
            - 2
            - np.log(self.variance).sum()
            - np.linalg.slogdet(self.precision)[1]
        )
        second = np.trace(self.gain @ self.data_law @ self.gain.T)
        self.kl = 0.5 * (self.variance.sum() + second - 2 - np.log(self.variance).sum())

    def log_ratios(self, k: int, sets: int) -> np.ndarray:
        """ln p(z|x) / q(z|x) of k draws from q, (sets, k), by numpy."""
        e = np.random.default_rng(1).normal(size=(sets, k, 2))
        d = e * np.sqrt(self.variance)
        exact = np.einsum("ski,ij,skj->sk", d, self.precision, d) - np.linalg.slogdet(self.precision)[1]
        return 0.5 * ((e**2).sum(-1) + np.log(self.variance).sum() - exact)

    def draw(self, law: np.ndarray, n: int) -> Tensor:
        return torch.randn(n, 8) @ torch.from_numpy(np.linalg.cholesky(law)).T

    def encode(self, x: Tensor) -> DiagonalNormal:
        mean = x.double() @ torch.from_numpy(self.gain).T
        return DiagonalNormal(mean, torch.from_numpy(self.variance).log().expand_as(mean))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        off = (x - z @ torch.from_numpy(self.w).T) / self.s
        return log_standard_normal(off) - 8 * math.log(self.s)

    def subject(self, seed: int, samples: tuple[int, ...], prior: Density) -> Evaluated:
        """On fresh images of the data's law."""
        x = self.draw(self.data_law, self.images)
        model = SimpleNamespace(
            encode_all=lambda split: self.encode(split[:]),
            log_likelihood=self.log_likelihood,
            decode=lambda z: z @ torch.from_numpy(self.w).T,
            parameters_of_x=lambda z: z @ torch.from_numpy(self.w).T,
            likelihood=SimpleNamespace(discrete=False, sample=lambda mean: mean + self.s * torch.randn_like(mean)),
        )
        inverse = torch.from_numpy(np.linalg.inv(self.data_law))
        constant = np.linalg.slogdet(2 * math.pi * self.data_law)[1]
        data = SimpleNamespace(
            test=Split(x, 1.0),
            shape=(8,),
            levels=17,
            step=1 / 16,
            log_prob=lambda x: -0.5 * (torch.einsum("bi,ij,bj->b", x.double(), inverse, x.double()) + constant),
        )
        made = Evaluated(data, ProtocolSettings(samples=samples), seed, model=model, prior=prior)
        made.q = self.encode(x)
        return made


def test_likelihood_by_importance_sampling():
    world = PCA()

    def repeat(seed: int) -> Found:
        made = world.subject(seed, (10, 5000), Shifted(0.0, 0.0))
        return named(
            one for name in ("nll", "log_likelihood", "bits_per_dim", "excess_nll") for one in METRICS[name](made)
        )

    log_mean = np.log(np.exp(world.log_ratios(10, 400_000)).mean(1)).mean()
    nats = 8 * math.log(2)
    known = {
        "nll is-10+estimate": world.nll - log_mean,
        "nll is-5000+estimate": world.nll,
        "log_likelihood is-5000+estimate": -world.nll,
        "nll elbo+estimate": world.nll + world.gap,
        "reconstruction elbo": world.nll + world.gap - world.kl,
        "kl elbo+estimate": world.kl,
        "bits_per_dim is-5000+estimate": (world.nll + 8 * math.log(16)) / nats,
        "nll exact": world.entropy,
        "excess_nll is-5000+estimate": world.nll - world.entropy,
    }
    covers("PCA, 100 images, exact ln Z", "images and draws", repeat, known)


@pytest.mark.parametrize("error", [0.05, 1.0])
def test_likelihood_with_an_error_of_ln_z(error: float):
    world = PCA()

    def repeat(seed: int) -> Found:
        made = world.subject(seed, (200,), shifted(error))
        return named(one for name in ("nll", "bits_per_dim", "excess_nll") for one in METRICS[name](made))

    known = {
        "nll is-200+estimate": world.nll,
        "nll elbo+estimate": world.nll + world.gap,
        "kl elbo+estimate": world.kl,
        "bits_per_dim is-200+estimate": (world.nll + 8 * math.log(16)) / (8 * math.log(2)),
        "excess_nll is-200+estimate": world.nll - world.entropy,
    }
    covers(f"PCA, 100 images, ln Z +- {error}", "images, draws, ln Z", repeat, known, 200)


def test_reliability():
    world = PCA()

    def repeat(seed: int) -> Found:
        return named(METRICS["reliability"](world.subject(seed, (50,), Shifted(0.0, 0.0))))

    weight = np.exp(world.log_ratios(50, 100_000))
    known = {
        "effective_share is-50": (weight.sum(1) ** 2 / (50 * (weight**2).sum(1))).mean(),
        "largest_weight is-50": (weight.max(1) / weight.sum(1)).mean(),
        "pareto_k is-50": GRAND_MEAN,
        "unreliable_images is-50": GRAND_MEAN,
    }
    covers("PCA, 100 images", "images and draws", repeat, known)


def test_likelihood_of_binary_images_by_quadrature():
    """All 64 images of six pixels, drawn as often as the model itself says: its NLL is their entropy."""
    rng = np.random.default_rng(3)
    w, b = 0.7 * rng.normal(size=(6, 2)), rng.normal(size=6)
    axis = np.linspace(-8, 8, 161)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    every = np.array(np.meshgrid(*[[0.0, 1.0]] * 6)).reshape(6, -1).T
    logits = grid @ w.T + b
    log_x = every @ logits.T - np.logaddexp(0, logits).sum(1)
    p = (np.exp(log_x - 0.5 * (grid**2).sum(1)) / (2 * math.pi) * 0.1**2).sum(1)
    assert p.sum() == pytest.approx(1, abs=1e-9)
    weight, offset = torch.from_numpy(w), torch.from_numpy(b)

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        logits = z @ weight.T + offset
        return (x * logits - torch.nn.functional.softplus(logits)).sum(-1)

    def repeat(seed: int) -> Found:
        x = torch.from_numpy(every)[torch.multinomial(torch.from_numpy(p), 100, replacement=True)]
        model = SimpleNamespace(score=log_likelihood)
        made = Evaluated(
            SimpleNamespace(test=x), ProtocolSettings(samples=(2000,)), seed, model=model, prior=shifted(0.1)
        )
        made.q = DiagonalNormal(0.3 * (x - 0.5) @ weight, torch.zeros(100, 2))
        return named(METRICS["nll"](made))

    known = {"nll is-2000+estimate": float(-(p * np.log(p)).sum())}
    covers("binary images, quadrature, ln Z +- 0.1", "images, draws, ln Z", repeat, known)


def test_annealing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(annealing_figures, "HOW", Annealing(steps=60, chains=4))
    world = PCA(images=50)

    def repeat(seed: int) -> Found:
        return named(METRICS["ais"](world.subject(seed, (1,), registry.make("gaussian", toy_host(latent_dim=2)))))

    own = entropy_like(world.model_law, world.model_law)
    known = {
        "nll ais-60x4": world.nll,
        "nll ais-60x4-simulated": own,
        "nll ais-60x4-simulated-reverse": own,
        "ais_gap ais-60x4": GRAND_MEAN,
    }
    covers("PCA, 50 images", "images and chains", repeat, known)


# Codes and prior: mixtures on the line, by integrals


@dataclass
class Line:
    """40 posteriors N(m_j, s^2) on the line and the prior N(0, 1), with the values of all figures on a grid."""

    spread: float = 0.5

    def __post_init__(self):
        self.mean = np.random.default_rng(2).normal(scale=1.3, size=40)
        self.z = np.linspace(-12, 12, 48_001)
        self.each = norm.pdf(self.z[:, None], self.mean, self.spread)  # (Z, 40)
        self.log_each = norm.logpdf(self.z[:, None], self.mean, self.spread)
        self.q, self.p = self.each.mean(1), norm.pdf(self.z)
        top = self.log_each.max(1)
        self.log_q = top + np.log(np.exp(self.log_each - top[:, None]).mean(1))
        self.log_p = norm.logpdf(self.z)

    def integral(self, values: np.ndarray) -> float:
        return float(np.trapezoid(values, self.z))

    def divergences(self) -> dict[str, float]:
        """sKL with q(z), and with each code's own posterior left out."""
        prior = self.integral(self.p * (self.log_p - self.log_q))
        without = [np.logaddexp.reduce(np.delete(self.log_each, j, 1), 1) - math.log(39) for j in range(40)]
        left_out = np.mean([self.integral(self.each[:, j] * (without[j] - self.log_p)) for j in range(40)])
        return {
            "direct": prior + self.integral(self.q * (self.log_q - self.log_p)),
            "leave-one-out": prior + float(left_out),
        }

    def leakage(self, threshold: float) -> tuple[float, float, float]:
        """Score, share, and the score among the leaking, exactly at |z| = r where ln p is the threshold."""
        r = math.sqrt(max(0.0, -2 * threshold - math.log(2 * math.pi)))
        share = float((norm.cdf(-r, self.mean, self.spread) + norm.sf(r, self.mean, self.spread)).mean())
        leaks = np.abs(self.z) > r
        score = self.integral(np.where(leaks, self.q * (self.log_q - self.log_p), 0.0))
        return score, share, score / share

    def surgery(self) -> dict[str, float]:
        kl = float(0.5 * (self.spread**2 + self.mean**2 - 1 - math.log(self.spread**2)).mean())
        marginal = self.integral(self.q * (self.log_q - self.log_p))
        return {"kl": kl, "marginal": marginal, "mutual_information": kl - marginal}

    def subject(self, seed: int, prior: Density) -> Evaluated:
        made = Evaluated(SimpleNamespace(), ProtocolSettings(), seed, model=SimpleNamespace(), prior=prior)
        mean = torch.from_numpy(self.mean)[:, None]
        made.q = made.encoded = DiagonalNormal(mean, torch.full_like(mean, 2 * math.log(self.spread)))
        return made


@pytest.mark.parametrize("spread", [0.5, 0.05])
def test_divergence_of_codes_and_prior(spread: float, monkeypatch: pytest.MonkeyPatch):
    world = Line(spread)
    monkeypatch.setattr("benchmarks.estimators.latent.skl_knn", lambda a, b: SimpleNamespace(value=0.0))

    def repeat(seed: int) -> Found:
        return named(METRICS["skl"](world.subject(seed, shifted(0.3, 1))))

    known = {f"skl {name}-5000+estimate": value for name, value in world.divergences().items()}
    covers(f"40 posteriors of sd {spread}, ln Z +- 0.3", "draws, codes, ln Z", repeat, known)


def test_divergence_in_ten_dimensions(monkeypatch: pytest.MonkeyPatch):
    """Posteriors that are all one law: q(z) = N(0.3, 0.8 I)."""
    monkeypatch.setattr("benchmarks.estimators.latent.skl_knn", lambda a, b: SimpleNamespace(value=0.0))

    def repeat(seed: int) -> Found:
        made = Evaluated(
            SimpleNamespace(), ProtocolSettings(), seed, model=SimpleNamespace(), prior=Shifted(0.0, 0.0, 10)
        )
        made.q = made.encoded = DiagonalNormal(torch.full((50, 10), 0.3), torch.full((50, 10), math.log(0.8)))
        return named(METRICS["skl"](made))

    exact = 0.5 * (10 * (0.8 - 1 - math.log(0.8)) + 0.9) + 0.5 * (10 * (1 / 0.8 - 1 + math.log(0.8)) + 0.9 / 0.8)
    known = {f"skl {name}-5000+estimate": exact for name in ("direct", "leave-one-out")}
    covers("q = N(0.3, 0.8 I), D = 10", "draws and codes", repeat, known)


LEAKS = {f"tau={tau:g}": tau for tau in (-1.0, -2.0, -7.0)} | {
    f"quantile={level:g}": float(norm.logpdf(norm.ppf(level / 2))) for level in (0.001, 0.01, 0.1)
}
"""Thresholds of N(0, 1) by name; its ln p is at most -0.92, and about 15 of 5000 codes are below -7."""


@pytest.mark.parametrize(
    ("spread", "error", "without"),
    [
        (0.5, 0.0, ()),
        (0.5, 0.1, ("tau=-1",)),  # ln p itself ends there
        (0.05, 0.0, ("tau=-7", "quantile=0.001")),  # hardly a code is there
    ],
)
def test_leakage(spread: float, error: float, without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.estimators.latent.THRESHOLDS", (-1.0, -2.0, -7.0))
    world = Line(spread)

    def repeat(seed: int) -> Found:
        return named(METRICS["leakage"](world.subject(seed, shifted(error, 1))))

    known = {}
    kinds = ("leakage {}+estimate", "leaking_codes {}+estimate", "leakage {}+estimate+leaking-only")
    for name, threshold in LEAKS.items():
        if name not in without:
            known |= {kind.format(name): value for kind, value in zip(kinds, world.leakage(threshold), strict=True)}
    covers(f"40 posteriors of sd {spread}, ln Z +- {error}", "draws, codes, ln Z", repeat, known, 200)


def test_leakage_of_codes_with_the_priors_law():
    """At quantiles: as many codes as draws lie below, and the score is 0 without an error."""

    def repeat(seed: int) -> Found:
        made = Evaluated(
            SimpleNamespace(), ProtocolSettings(), seed, model=SimpleNamespace(), prior=Shifted(0.0, 0.0, 3)
        )
        made.q = made.encoded = DiagonalNormal(torch.zeros(2, 3), torch.zeros(2, 3))
        return named(METRICS["leakage"](made))

    known = {f"leaking_codes quantile={level:g}+estimate": level for level in (0.001, 0.01, 0.1)}
    covers("q = p, D = 3", "draws and codes", repeat, known, 200)


@pytest.mark.parametrize("error", [0.0, 0.02])
def test_surgery(error: float):
    world = Line()

    def repeat(seed: int) -> Found:
        return named(METRICS["elbo_surgery"](world.subject(seed, shifted(error, 1))))

    known = {f"{name} in-sample-5000+estimate": value for name, value in world.surgery().items()}
    covers(f"40 posteriors of sd 0.5, ln Z +- {error}", "codes, ln Z", repeat, known)


# Points and images


def grid_of(side: float, steps: int) -> np.ndarray:
    """Centres of the cells of a square of this side around 0, (steps^2, 2): the uniform law's mean is theirs."""
    axis = (np.arange(steps) + 0.5) / steps * side - side / 2
    return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)


def test_distances_to_the_nearest_point():
    """Uniform points on a square beside one set of as many, which stays: the error is over the first set."""
    b = np.random.default_rng(4).uniform(-0.5, 0.5, (300, 2))
    exact = cKDTree(b).query(grid_of(1.0, 2000))[0].mean()

    def repeat(seed: int) -> Found:
        return named([score("pms", torch.rand(300, 2) - 0.5, torch.from_numpy(b))])

    covers("300 points on a square, training set fixed", "generated points", repeat, {"pms nn-300": float(exact)}, 200)


def test_squared_error():
    """x = z + noise with z ~ q(z|x) = N(x / 2, I / 4) and the identity as decoder: E = D (1/4 E x^2 + 1/4)."""

    def repeat(seed: int) -> Found:
        x = torch.randn(300, 3)
        made = Evaluated(
            SimpleNamespace(test=x), ProtocolSettings(), seed, model=SimpleNamespace(decode=lambda z: z), prior=None
        )
        made.model, made.q = (
            SimpleNamespace(decode=lambda z: z),
            DiagonalNormal(x / 2, torch.full((300, 3), -math.log(4))),
        )
        return named(METRICS["squared_error"](made))

    covers("3 dimensions, 300 images", "images and draws", repeat, {"squared_error one-draw": 1.5})


def test_off_manifold(monkeypatch: pytest.MonkeyPatch):
    """Data on two lines, a uniform prior around them, wide posteriors: most of the lowest draws are far enough off."""
    monkeypatch.setattr(low_dimensional, "DRAWN", 20_000)
    monkeypatch.setattr(low_dimensional, "LOW", 2_000)
    side = np.linspace(-1, 1, 51)
    data = np.concatenate([np.stack([np.full(51, x), side], 1) for x in (-1.0, 1.0)])
    away = np.array([[2.05, 0.0]])  # the test point that says how far is off
    spread, grid = np.array([0.3, 1.5]), grid_of(4.0, 1000)

    def log_q(z: np.ndarray) -> np.ndarray:
        parts = norm.logpdf(z[:, None], data, spread).sum(2)
        return np.logaddexp.reduce(parts, 1) - math.log(len(data))

    at_grid = np.concatenate([log_q(part) for part in np.array_split(grid, 100)])
    distance = cKDTree(data.astype(np.float32)).query(grid)[0]
    limit = torch.tensor(2.05, dtype=torch.float32).item() - 1
    off, lowest = distance > limit, at_grid <= np.quantile(at_grid, 0.1)
    wide = grid_of(16.0, 2000)
    weight = np.exp(np.concatenate([log_q(part) for part in np.array_split(wide, 200)]))
    ascending = np.argsort(weight)
    level = math.log(weight[ascending][np.searchsorted(np.cumsum(weight[ascending]) / weight.sum(), 0.01)])

    mean = torch.from_numpy(data)
    q = DiagonalNormal(mean, torch.from_numpy(2 * np.log(spread)).expand_as(mean))

    def repeat(seed: int) -> Found:
        prior = SimpleNamespace(sampler="", sample=lambda n: 4 * torch.rand(n, 2) - 2)
        shown = SimpleNamespace(shape=(2,), train=Split(mean, 1.0), test=Split(torch.from_numpy(away), 1.0))
        made = Evaluated(shown, ProtocolSettings(), seed, model=SimpleNamespace(decode=lambda z: z), prior=prior)
        made.encoded = q
        made.q = q[torch.randint(len(q.mean), (1000,))]
        return named(METRICS["off_manifold"](made))

    known = {
        "off_manifold prior": off.mean(),
        "off_manifold low-posterior": off[lowest].mean(),
        "off_manifold pockets": (off & (at_grid < level)).mean(),
        "manifold_distance prior": distance.mean(),
        "manifold_distance low-posterior": distance[lowest].mean(),
    }
    covers("two lines in a square, data fixed", "draws and codes", repeat, known)


# Feature sets


def cubic_mean(a: np.ndarray, b: np.ndarray) -> float:
    """E (x.y/F + 1)^3 of x ~ N(a, I), y ~ N(b, I): given x, x.y is normal; the rest are Gaussian moments of x."""
    f = len(a)
    m, v = a @ b / f + 1, b @ b / f**2  # of x.b/F + 1
    square = f + a @ a
    return m**3 + 3 * m * v + 3 * (m * square + 2 * a @ b / f) / f**2


@pytest.mark.parametrize("shift", [0.5, 0.1, 0.0])
def test_kernel_distance(shift: float):
    a, b = np.full(16, 0.2), np.full(16, 0.2 + shift)
    exact = cubic_mean(a, a) + cubic_mean(b, b) - 2 * cubic_mean(a, b)

    def repeat(seed: int) -> Found:
        return {"kd": kernel_distance(torch.randn(500, 16) + 0.2, torch.randn(500, 16) + 0.2 + shift)}

    covers(f"N(0.2, I) and N({0.2 + shift:g}, I), F = 16, 500 each", "both sets", repeat, {"kd": exact}, 200)


@pytest.mark.parametrize(("features", "spread"), [(2, 1.0), (8, 0.8), (32, 1.0)])
def test_precision_and_recall(features: int, spread: float):
    """Of equal laws the expected density is 1 and coverage is 1 - P(the first 5 of 2n - 1 others are real)."""

    def repeat(seed: int) -> Found:
        return manifold_means(spread * torch.randn(600, features), torch.randn(600, features))

    known: dict[str, float | None] = dict.fromkeys(("precision", "recall", "density", "coverage"), GRAND_MEAN)
    if spread == 1:
        known |= {"density": 1.0, "coverage": 1 - math.prod((599 - i) / (1199 - i) for i in range(5))}
    covers(f"N(0, {spread}^2 I) and N(0, I), F = {features}, 600 each", "both sets", repeat, known)


# A critic and a normaliser


class Squares(Shifted, DataCritic):
    """N(0, I) with D(x) = ||x||^2."""

    def criticise_data(self, x: Tensor) -> Tensor:
        return x.square().sum(1)


def test_critic_and_normaliser():
    """The decoder is the identity, x = z + 0.3 e; the prior N(0, I / 2), its ln Z wrong by 0.02 e."""
    rng, noise = np.random.default_rng(6), 0.3

    class Half(Squares):
        def sample(self, n: int) -> Tensor:
            return math.sqrt(0.5) * torch.randn(n, 2)

        def log_prob(self, z: Tensor) -> Tensor:
            return log_standard_normal(z * math.sqrt(2)) + math.log(2) + self.shift

    def repeat(seed: int) -> Found:
        q = DiagonalNormal(torch.randn(1000, 2), torch.full((1000, 2), 2 * math.log(0.6)))
        likelihood = SimpleNamespace(sampler="", sample=lambda mean: mean + noise * torch.randn_like(mean))
        model = SimpleNamespace(decode=lambda z: z, parameters_of_x=lambda z: z, likelihood=likelihood)
        data = SimpleNamespace(test=range(1000), train=range(1000))
        prior = Half(0.02, 0.02 * torch.randn(()).item())
        made = Evaluated(data, ProtocolSettings(), seed, model=model, prior=prior)
        made.q = made.encoded = q
        return named(one for name in ("critic", "normaliser") for one in METRICS[name](made))

    z = math.sqrt(1.36) * rng.normal(size=(200_000, 2))
    along = 2 * noise * np.linalg.norm(z, axis=1) * rng.normal(size=200_000) / 8  # 2 z . mean of 64 e
    squares = noise**2 * rng.chisquare(128, size=200_000) / 64
    known = {
        "critic_generated draws-1000": 1.0,
        "critic_reconstructed draws-1000": 2 * 1.36,
        "critic_mean_gap draws-64": float(np.abs(along + squares).mean()),
        "kl_base_to_prior draws-5000+estimate": 1 - math.log(2),
    }
    covers("D(x) = |x|^2, 1000 images, ln Z +- 0.02", "images, draws, ln Z", repeat, known)


# Priors whose constant is estimated


def shown(prior: Density, z: Tensor) -> Found:
    """What the prior tells of itself, and the mean of ln p at z."""
    with torch.no_grad():
        found = {"mean ln p": (prior.log_prob(z).mean().item(), prior.log_prob_error)}
    return found | {one.name: (one.value, one.error) for one in prior.report() if one.error is not None}


def lars_along(weight: Tensor, bias: float, truncation: int) -> Density:
    """a(z) = sigmoid(w . z + b): its Z is an integral over the line, in any D."""
    prior = registry.make(
        "lars", toy_host(latent_dim=len(weight), dtype=FLOAT), truncation=truncation, final_draws=20_000
    ).double()
    prior.network = torch.nn.Module()
    prior.network.forward = lambda z: z @ weight + bias
    return prior


@pytest.mark.parametrize(
    ("dim", "scale", "bias", "truncation"), [(2, 1.5, -1.0, 100), (10, 2.0, -4.0, 100), (10, 4.0, -12.0, 1000)]
)
def test_acceptance_of_a_linear_critic(dim: int, scale: float, bias: float, truncation: int):
    weight = torch.randn(dim)
    prior = lars_along(scale * weight / weight.norm(), bias, truncation)
    exact = quad(lambda t: norm.pdf(t) / (1 + math.exp(-scale * t - bias)), -12, 12)[0]
    codes, host = toy_codes(toy_host()), prior
    host.acceptance.fill_(exact)
    z = prior.sample(20_000)
    with torch.no_grad():
        ln_p = prior.log_prob(z).mean().item()

    def repeat(seed: int) -> Found:
        prior.fit(codes)
        return shown(prior, z)

    known = {"acceptance": exact, "mean ln p": ln_p}
    covers(f"lars, D = {dim}, Z = {exact:.2g}, T = {truncation}", "draws for Z", repeat, known)


def test_acceptance_of_a_network_in_the_plane():
    """The trapezoid rule over [-8, 8]^2."""
    prior = registry.make("lars", toy_host(dtype=FLOAT), widths=(20, 20), final_draws=20_000).double()
    with torch.no_grad():
        for parameter in prior.network.parameters():
            parameter.mul_(4)
        grid = torch.from_numpy(grid_of(16.0, 800))
        exact = (prior.accept(grid) * torch.from_numpy(norm.pdf(grid.numpy()).prod(1))).sum().item() * 0.02**2
        prior.acceptance.fill_(exact)
        z = prior.sample(20_000)
        ln_p = prior.log_prob(z).mean().item()

    def repeat(seed: int) -> Found:
        prior.fit(toy_codes(toy_host()))
        return shown(prior, z)

    known = {"acceptance": exact, "mean ln p": ln_p}
    covers(f"lars, D = 2, a network, Z = {exact:.2g}", "draws for Z", repeat, known)


@pytest.mark.parametrize(("dim", "samples"), [(1, 16), (10, 16), (10, 64)])
def test_two_stage_bound(dim: int, samples: int):
    """z = u + 0.6 e with an encoder that is off: the bound's mean over noise is by numpy, from the weights' own law.

    With the exact posterior N(g z, v), g = 1 / 1.36, v = 0.36 g, and q(u|z) = N(g z, 1.6 v), ln p(u|z) / q(u|z) at
    u = g z + sqrt(1.6 v) e is D/2 ln 1.6 - 0.3 |e|^2, whatever z: ln p_S = ln p + ln mean_s of its exponential.
    """
    g, wide = 1 / 1.36, 1.6
    z = math.sqrt(1.36) * torch.randn(500, dim)

    def made() -> Density:
        prior = registry.make("two-stage", toy_host(latent_dim=dim, dtype=FLOAT), widths=(4,), samples=samples).double()
        with torch.no_grad():
            for head in (prior.encoder.head, prior.decoder.head):
                head.weight.zero_()
                head.bias.zero_()
            prior.decoder.head.weight[:, -dim:] = torch.eye(dim)
            prior.encoder.head.weight[:dim, -dim:] = g * torch.eye(dim)
            prior.encoder.head.bias[dim:] = math.log(0.36 * g * wide)
            prior.log_gamma.fill_(math.log(0.6))
        prior.settle()
        return prior

    def repeat(seed: int) -> Found:
        return shown(made(), z)

    e = np.random.default_rng(7).chisquare(dim, size=(100_000, samples))
    ratio = 0.5 * dim * math.log(wide) - 0.5 * (wide - 1) * e
    known = norm.logpdf(z.numpy(), scale=math.sqrt(1.36)).sum(1).mean() + np.log(np.exp(ratio).mean(1)).mean()
    covers(f"two-stage, D = {dim}, S = {samples}", "the noise set", repeat, {"mean ln p": float(known)})
