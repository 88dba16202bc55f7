"""Frechet and kernel distances and manifolds of features against torch-fidelity, scikit-learn and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from itertools import combinations, product
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from benchmarks.datasets.vision import torchvision
from benchmarks.estimators import kernel
from benchmarks.estimators import manifold as manifolds
from benchmarks.estimators.frechet import Moments, frechet, moments
from benchmarks.estimators.kernel import interaction_across, interaction_within, kernel_distance, others, pair_sums
from benchmarks.estimators.manifold import Manifold, manifold, manifold_means

FLOAT = torch.float64


@pytest.fixture(scope="module")
def fidelity() -> Callable[[str], ModuleType]:
    """torch-fidelity's module of a metric by its name, 'fid', 'kid' or 'prc'."""
    torchvision()  # which torch-fidelity imports
    pytest.importorskip("torch_fidelity")
    return lambda name: import_module(f"torch_fidelity.metric_{name}")


def correlated(n: int, features: int, mean: float = 0.0) -> Tensor:
    """Points whose features have one random covariance a call, (n, features)."""
    return mean + torch.randn(n, features, dtype=FLOAT) @ torch.randn(features, features, dtype=FLOAT)


# Frechet distance


def distance(a: Tensor, b: Tensor) -> float:
    return frechet(moments(a), moments(b))


def test_moments_are_numpys() -> None:
    """Also where the mean is a million standard deviations, whose square would leave four digits of the variance."""
    points = 1e6 + torch.randn(50, 7, dtype=FLOAT)
    mean, covariance, count = moments(points, chunk=8)
    np.testing.assert_allclose(mean, np.mean(points.numpy(), axis=0), rtol=1e-14)
    np.testing.assert_allclose(covariance, np.cov(points.numpy(), rowvar=False), rtol=1e-9, atol=1e-9)
    assert count == 50


def test_moments_of_float32_are_in_float64() -> None:
    points = 100 + torch.randn(50, 7)
    single, double = moments(points, chunk=8), moments(points.double())
    torch.testing.assert_close(single.mean, double.mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(single.covariance, double.covariance, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "m", "error"), [(300, 200, 1e-10), (30, 25, 1e-6), (30, 200, 1e-6)])
def test_frechet_is_torch_fidelitys(fidelity: Callable[[str], ModuleType], n: int, m: int, error: float) -> None:
    """Of fewer points than the 60 features it takes roots of rounding, which cost it digits."""
    a, b, fid = correlated(n, 60), correlated(m, 60, 0.5), fidelity("fid")
    statistics = (fid.fid_features_to_statistics(points) for points in (a, b))
    expected = fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID]
    assert distance(a, b) == pytest.approx(expected, rel=error)


def test_frechet_of_commuting_covariances() -> None:
    """||dm||^2 + sum (sqrt a - sqrt b)^2 of the eigenvalues a and b, some of which are 0."""
    basis = torch.linalg.qr(torch.randn(9, 9, dtype=FLOAT)).Q
    a = torch.tensor([4, 1, 0, 0, 9, 2, 1e-8, 0, 5], dtype=FLOAT)
    b = torch.tensor([1, 1, 0, 3, 0, 7, 1e-2, 1e-9, 5], dtype=FLOAT)
    shift = torch.randn(9, dtype=FLOAT)
    laws = (Moments(mean, basis * values @ basis.T, 10) for mean, values in ((shift, a), (0 * shift, b)))
    expected = shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    assert frechet(*laws) == pytest.approx(expected.item(), rel=1e-7)


def test_frechet_of_fewer_points_than_features() -> None:
    """tr (A^1/2 B A^1/2)^1/2 is the sum of the singular values of the data's own roots, X^T X = A and Y^T Y = B."""
    a, b = correlated(20, 100), correlated(30, 100, 1.0)
    x, y = ((points - points.mean(0)).numpy() / math.sqrt(len(points) - 1) for points in (a, b))
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    shift = (a.mean(0) - b.mean(0)).square().sum().item()
    assert distance(a, b) == pytest.approx(shift + (x**2).sum() + (y**2).sum() - 2 * shared, rel=1e-12)


@pytest.mark.parametrize(("n", "digits", "error"), [(20, 0, 1e-12), (400, 0, 1e-12), (400, 16, 1e-7)])
def test_equal_points_are_at_zero(n: int, digits: int, error: float) -> None:
    """Whatever the covariance's rank; where its eigenvalues span many digits, as far as their squares have them."""
    points = torch.randn(n, 80) * torch.logspace(0, -digits / 2, 80)
    assert abs(distance(points, points)) < error * moments(points).covariance.trace()


def test_a_point_mass_is_at_the_mean_square_distance() -> None:
    mass, points = torch.full((5, 3), 2.0), torch.randn(50, 3)
    total = moments(points).covariance.trace() + (points.double().mean(0) - 2).square().sum()
    assert distance(mass, points) == pytest.approx(total.item(), rel=1e-12)
    assert distance(mass, mass + 1) == 3


def test_frechet_of_nan_is_nan() -> None:
    points = torch.randn(2, 9, 4)
    points[0, 1, 2] = math.nan
    assert math.isnan(distance(*points))


def test_a_covariance_needs_two_points() -> None:
    with pytest.raises(ValueError, match=r"at least 2 .* not 1"):
        moments(torch.zeros(1, 3))


# Kernel distance


def shifted(d: int, m: float) -> float:
    """MMD^2 of N(0, I) and N((m, ..., m), I) on R^d, whose shift has the square M = d m^2.

    E (x.y)^p for p = 1, 2, 3 is 0, d, 0 within the first, M, d + 2 M + M^2, M^3 + 6 M^2 + 3 d M + 6 M within the
    second (given y, x.y is N(x.mu, ||x||^2)), and 0, d + M, 0 across.
    """
    M = d * m**2
    return 3 * M / d + 3 * M**2 / d**2 + (M**3 + 6 * M**2 + 3 * d * M + 6 * M) / d**3


def test_kernel_distance_of_shifted_normals() -> None:
    assert shifted(64, 0.5) == pytest.approx(0.971069, abs=5e-7)
    value, error = kernel_distance(torch.randn(2000, 64), 0.5 + torch.randn(1500, 64))
    assert 0 < error < 0.02
    assert abs(value - shifted(64, 0.5)) < 4 * error


def test_kernel_distance_is_torch_fidelitys_of_one_whole_subset(fidelity: Callable[[str], ModuleType]) -> None:
    a, b, kid = correlated(50, 8), correlated(50, 8, 0.3), fidelity("kid")
    expected = kid.kid_features_to_metric(a, b, kid_subsets=1, kid_subset_size=50, verbose=False)
    assert kernel_distance(a, b).value == pytest.approx(expected[kid.KEY_METRIC_KID_MEAN], rel=1e-11)


def test_kernel_distance_is_torch_fidelitys_within_the_spread(fidelity: Callable[[str], ModuleType]) -> None:
    a, b, kid = correlated(300, 8), correlated(200, 8, 0.3), fidelity("kid")
    found = kid.kid_features_to_metric(a, b, kid_subsets=100, kid_subset_size=50, verbose=False)
    spread = found[kid.KEY_METRIC_KID_STD] / math.sqrt(100)
    assert abs(kernel_distance(a, b).value - found[kid.KEY_METRIC_KID_MEAN]) < 4 * spread


def test_kernel_distance_is_the_mean_over_all_subsets(fidelity: Callable[[str], ModuleType]) -> None:
    """Also of sets of different sizes."""
    a, b, kid = torch.randn(6, 2, dtype=FLOAT), torch.randn(5, 2, dtype=FLOAT), fidelity("kid")
    chosen = product(combinations(range(6), 3), combinations(range(5), 3))
    values = [kid.kernel_mmd(a[list(some)].numpy(), b[list(other)].numpy()) for some, other in chosen]
    assert kernel_distance(a, b).value == pytest.approx(np.mean(values), rel=1e-11)


def test_kernel_distance_in_chunks_and_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = 10 + torch.randn(60, 6), 11 + torch.randn(45, 6)
    whole = kernel_distance(a.double(), b.double())
    monkeypatch.setattr(kernel, "BUDGET", 50)  # 7 by 7 points at a time
    assert kernel_distance(a, b) == pytest.approx(whole, rel=1e-9)


@pytest.mark.long
@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.9, 1.7), (0.3, 0.75, 1.35), (1.0, 0.75, 1.35)])
def test_standard_errors_are_those_of_draws(shift: float, least: float, most: float) -> None:
    """Over 400 draws the mean variance is the estimates'. Of equal laws the jackknife's alone is twice as large."""
    found = [kernel_distance(torch.randn(40, 20), shift + torch.randn(60, 20)) for _ in range(400)]
    value, error = torch.tensor(found, dtype=FLOAT).T
    assert abs(value.mean() - shifted(20, shift)) < 4 * value.std() / math.sqrt(400)
    assert least < error.square().mean() / value.var() < most


def test_the_leading_variance_is_a_jackknife() -> None:
    """Of laws far apart: (n - 1)/n sum of squares of what leaving out a point changes, less the pairs' part."""
    a, b = torch.randn(12, 2), 3 + torch.randn(9, 2)
    n, m = len(a), len(b)
    without_a = np.array([kernel_distance(a[torch.arange(n) != i], b).value for i in range(n)])
    without_b = np.array([kernel_distance(a, b[torch.arange(m) != j]).value for j in range(m)])
    jackknife = (n - 1) * without_a.var() + (m - 1) * without_b.var()
    among_a, among_b = (2 * interaction_within(others(x)) / (len(x) * (len(x) - 1)) for x in (a, b))
    pairs = among_a + among_b + 4 * interaction_across(pair_sums(a, b)) / (n * m)
    assert kernel_distance(a, b).error ** 2 == pytest.approx(jackknife - pairs.item(), rel=1e-9)
    assert pairs > 1e-3 * jackknife


def test_interactions_are_unbiased() -> None:
    """Over all samples of two laws, each uniform on three points: the exact variances of the exact residuals."""
    a, b = torch.randn(2, 3, 2, dtype=FLOAT)

    def residual(k: Tensor) -> float:
        return (k - k.mean(0) - k.mean(1, keepdim=True) + k.mean()).square().mean().item()

    def samples(points: Tensor, n: int) -> list[Tensor]:
        return [points[list(chosen)] for chosen in product(range(3), repeat=n)]

    k_aa, k_ab = ((x @ y.T / 2 + 1) ** 3 for x, y in ((a, a), (a, b)))
    within = torch.stack([interaction_within(others(points)) for points in samples(a, 4)])
    pairs = product(samples(a, 2), samples(b, 3))
    across = torch.stack([interaction_across(pair_sums(*pair)) for pair in pairs])
    assert within.mean().item() == pytest.approx(residual(k_aa), rel=1e-10)
    assert across.mean().item() == pytest.approx(residual(k_ab), rel=1e-10)


def test_equal_points_have_no_kernel_distance() -> None:
    for size in range(4, 20):
        points = torch.full((size, 3), 0.1 * size)
        assert kernel_distance(points, points[:4]) == pytest.approx((0, 0), abs=1e-5)
    assert math.isnan(kernel_distance(torch.full((5, 3), math.nan), torch.ones(7, 3)).value)


def test_a_kernel_distance_needs_four_points() -> None:
    with pytest.raises(ValueError, match=r"at least 4 .* 4 and 3"):
        kernel_distance(torch.zeros(4, 2), torch.zeros(3, 2))


# Manifolds


def by_distances(across: Tensor, among: Tensor, own: Tensor, k: int = 3, k_density: int = 5) -> Manifold:
    """By definition from distances of generated to reference points (N, M), among reference and among generated."""
    radius, wide = (among.kthvalue(rank + 1).values for rank in (k, k_density))  # the first is the point itself
    reach, dense = own.kthvalue(k + 1).values, across <= wide
    recall = (across <= reach[:, None]).any(0)
    return Manifold((across <= radius).any(1), recall, dense.sum(1).double() / k_density, dense.any(0))


def by_scikit_learn(a: Tensor, b: Tensor, k: int, k_density: int) -> Manifold:
    """In float64, the balls by a brute-force search, in which the first neighbour is the point itself."""
    a, b = (points.double().numpy() for points in (a, b))
    most = max(k, k_density) + 1
    own, among = (NearestNeighbors(n_neighbors=most, algorithm="brute").fit(x).kneighbors(x)[0] for x in (a, b))
    return by_distances(*(torch.as_tensor(x) for x in (pairwise_distances(a, b), among, own)), k, k_density)


def same(found: Manifold, expected: Manifold) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def means(found: Manifold) -> list[float]:
    return [values.double().mean().item() for values in found]


@pytest.mark.parametrize(("k", "k_density"), [(3, 5), (6, 1)])
@pytest.mark.parametrize("features", [1, 8, 200])
@pytest.mark.parametrize("offset", [0, 1e5])
def test_manifold_is_scikit_learns(features: int, offset: int, k: int, k_density: int) -> None:
    """Wherever in space they lie."""
    a, b = 0.8 * torch.randn(150, features, dtype=FLOAT), torch.randn(120, features, dtype=FLOAT)
    found = manifold(offset + a, offset + b, k, k_density)
    assert same(found, by_scikit_learn(a, b, k, k_density))
    assert found.density.std() > 0


def test_manifold_is_torch_fidelitys(fidelity: Callable[[str], ModuleType]) -> None:
    a, b, prc = 0.8 * torch.randn(150, 8, dtype=FLOAT), torch.randn(120, 8, dtype=FLOAT), fidelity("prc")
    expected = prc.prc_features_to_metric(a, b, prc_neighborhood=3, verbose=False)
    precision, recall, *_ = means(manifold(a, b))
    assert precision == pytest.approx(expected[prc.KEY_METRIC_PRECISION], abs=1e-7)  # a mean in float32
    assert recall == pytest.approx(expected[prc.KEY_METRIC_RECALL], abs=1e-7)
    assert 0 < recall < precision < 1


def test_manifold_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = 0.8 * torch.randn(60, 6), torch.randn(90, 6)
    whole = manifold(a, b)
    monkeypatch.setattr(manifolds, "BUDGET", 700)  # 7 points at a time
    assert same(manifold(a, b), whole)


def test_points_on_a_balls_surface_are_in_it() -> None:
    """Points of a lattice, whose squared distances are whole numbers, at a centre where matrix products are not."""
    a, b = torch.randint(3, 10, (60, 3)), torch.randint(7, (50, 3))
    squares = [(x[:, None] - y).square().sum(2) for x, y in ((a, b), (b, b), (a, a))]
    expected = by_distances(*squares)
    assert same(manifold(a.float(), b.float()), expected)
    assert all(values.double().std() > 0 for values in expected)


def test_points_beside_a_balls_surface_are_told_apart() -> None:
    """Balls of radius 1 around the numbers 0 to 9."""
    line = torch.arange(10, dtype=FLOAT)[:, None]
    points = torch.tensor([-1 - 1e-10, -1, -1 + 1e-10, 10 - 1e-10, 10, 10 + 1e-10], dtype=FLOAT)[:, None]
    assert manifold(points, line, k=1, k_density=1).precision.tolist() == [False, True, True, True, True, False]


def test_a_set_covers_itself() -> None:
    """Every ball holds its own centre and its k neighbours, the last of them on its surface."""
    points = torch.randn(70, 300)
    assert means(manifold(points, points)) == pytest.approx([1, 1, 6 / 5, 1], rel=1e-12)


def test_copies_are_in_balls_of_radius_zero() -> None:
    data = torch.rand(30, 50).repeat(6, 1)  # so that five others are at every point
    copies, new = data[torch.randperm(180)[:20]], torch.rand(20, 50)
    assert manifold(copies, data).precision.all()
    assert manifold(copies, data).density.tolist() == [6 / 5] * 20
    assert means(manifold(new, data))[2:] == [0, 0]


def test_density_and_coverage_of_one_law() -> None:
    """1 and 1 - prod_{l < k} (M - 1 - l)/(M + N - 1 - l) in any dimension: by symmetry, over who is nearest to whom."""
    n, m, k = 30, 20, 5
    found = [means(manifold(torch.randn(n, 3), torch.randn(m, 3)))[2:] for _ in range(400)]
    density, coverage = torch.tensor(found, dtype=FLOAT).T
    covered = 1 - math.prod((m - 1 - i) / (m + n - 1 - i) for i in range(k))
    for values, exact in ((density, 1), (coverage, covered)):
        assert abs(values.mean() - exact) < 4 * values.std() / math.sqrt(400)
        assert values.std() / math.sqrt(400) < 0.01


def test_a_point_that_is_nan_is_in_no_ball() -> None:
    a, b = torch.randn(40, 3), torch.randn(30, 3)
    broken = torch.cat([a, torch.full((1, 3), math.nan)])
    without, found = manifold(a, b), manifold(broken, b)
    assert found.precision.tolist() == [*without.precision.tolist(), False]
    assert found.density.tolist() == [*without.density.tolist(), 0]
    assert torch.equal(found.recall, without.recall)


def test_balls_need_neighbours() -> None:
    points = torch.randn(6, 2)
    assert means(manifold(points, points)) == [1, 1, 6 / 5, 1]
    with pytest.raises(ValueError, match=r"more than 5 .* generated has 6, reference has 5"):
        manifold(points, points[:5])


# Directions, where the reference is four clusters


def clusters(n: int, modes: int = 4, deviation: float = 1.0) -> Tensor:
    """n points in 5 dimensions, as many in each of the first of four clusters whose centres are 8 apart."""
    centre = 8 / math.sqrt(2) * torch.eye(5)[torch.arange(n) % modes]
    return centre + deviation * torch.randn(n, 5)


@pytest.mark.parametrize("score", [distance, lambda a, b: kernel_distance(a, b).value])
def test_worse_samples_are_further(score: Callable[[Tensor, Tensor], float]) -> None:
    reference, good = clusters(600), clusters(600)
    three = score(clusters(600, modes=3), reference)
    for worse in (three, score(clusters(600, deviation=2), reference), score(good + 0.5, reference)):
        assert worse > 2 * abs(score(good, reference))
    assert score(clusters(600, modes=2), reference) > three
    assert score(good + 1, reference) > score(good + 0.5, reference)


def test_noisy_samples_lower_precision_and_density() -> None:
    reference = clusters(300)
    good, noisy, noisier = (means(manifold(clusters(300, deviation=sd), reference)) for sd in (1, 1.5, 2))
    for figure in (0, 2):
        assert good[figure] > noisy[figure] + 0.1 > noisier[figure] + 0.2


def test_dropped_modes_lower_recall_and_coverage() -> None:
    reference = clusters(300)
    every, three, one = (means(manifold(clusters(300, modes=modes), reference)) for modes in (4, 3, 1))
    for figure in (1, 3):
        assert every[figure] > three[figure] + 0.1 > one[figure] + 0.3
    assert three[0] > every[0] - 0.05


def test_blurred_samples_raise_precision_and_density_and_lower_recall() -> None:
    """Clusters that have shrunk, as where a decoder averages over its data."""
    reference = clusters(300)
    good, blurred = (means(manifold(clusters(300, deviation=sd), reference)) for sd in (1, 0.5))
    assert blurred[0] > good[0] + 0.02
    assert blurred[2] > good[2] + 0.2
    assert blurred[1] < good[1] - 0.3


@pytest.mark.long
def test_errors_of_precision_and_recall_go_as_the_root_of_the_points():
    """Those of drawing both sets, in the plane: four times the points, half of the error; none for very few."""

    def errors(n: int) -> dict[str, float]:
        found = [manifold_means(torch.randn(n, 2), torch.randn(n, 2)) for _ in range(8)]
        return {name: math.sqrt(np.mean([one[name].error ** 2 for one in found])) for name in found[0]}

    few, many = errors(100), errors(400)
    for name in few:
        assert few[name] / many[name] == pytest.approx(2, rel=0.4), name


def test_few_points_show_no_error_of_precision_and_recall():
    points = torch.randn(40, 2), torch.randn(40, 2)
    values = manifold(*points)
    for name, found in manifold_means(*points).items():
        assert found == pytest.approx((getattr(values, name).double().mean().item(), math.nan), nan_ok=True)
