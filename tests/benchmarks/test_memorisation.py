"""Nearest neighbours and what is told from them: copies of training points."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from scipy.stats import fisher_exact, mannwhitneyu, norm
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from benchmarks.datasets import load
from benchmarks.estimators import copying, neighbours
from benchmarks.estimators.copying import KIN, NEAR, excess_p, least_share, mann_whitney_z
from benchmarks.estimators.neighbours import lower_bound, nearest, nearest_few
from benchmarks.metrics.memorisation import of_model, score
from priors.base import Unsupported


def pms(a: Tensor, b: Tensor) -> float:
    return score("pms", a, b).value


def pms_ratio(generated: Tensor, test: Tensor, train: Tensor) -> float:
    sets = {"generated": generated, "test": test, "training": train}
    (ratio,) = [figure.value for figure in of_model("pms", sets.__getitem__) if figure.metric == "pms_ratio"]
    return ratio


def authentic(generated: Tensor, train: Tensor) -> Tensor:
    return copying.authentic(nearest(generated, train), train)


def data_copying(generated: Tensor, test: Tensor, train: Tensor) -> float:
    return copying.data_copying(nearest(generated, train), nearest(test, train))


def kneighbors(points: Tensor, reference: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """Distance and index of the k-th neighbour by scikit-learn, from differences in float64."""
    a, b = (x.flatten(1).double().numpy() for x in (points, reference))
    distance, index = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(b).kneighbors(a)
    return torch.as_tensor(distance[:, -1]), torch.as_tensor(index[:, -1])


def agrees(found: neighbours.Neighbours, expected: tuple[Tensor, Tensor]) -> bool:
    """The same indices, and distances up to float64's rounding."""
    return torch.equal(found.indices, expected[1]) and torch.allclose(found.distance, expected[0], rtol=1e-12, atol=0)


def copies(points: Tensor, train: Tensor) -> Tensor:
    return copying.copies(nearest_few(points, train, KIN))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many points were measured against the whole reference, call by call."""
    counts, whole = [], neighbours.all_distances

    def counted(points: Tensor, reference: Tensor) -> Tensor:
        counts.append(len(points))
        return whole(points, reference)

    monkeypatch.setattr(neighbours, "all_distances", counted)
    return counts


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 4, 5)])
def test_nearest_is_scikit_learns(shape: tuple[int, ...]) -> None:
    points, reference = torch.randn(60, *shape), torch.randn(90, *shape)
    assert agrees(nearest(points, reference), kneighbors(points, reference))


@pytest.mark.parametrize("candidates", [1, 8])
def test_the_nearest_few_are_scikit_learns(candidates: int) -> None:
    points, reference = torch.randn(60, 4), torch.randn(90, 4)
    found = nearest_few(points, reference, 7, candidates=candidates)
    for k in range(7):
        assert agrees(
            neighbours.Neighbours(found.distance[:, k], found.indices[:, k]), kneighbors(points, reference, k + 1)
        )
    assert agrees(found.first, nearest(points, reference))


def test_the_nearest_few_of_equally_near_points_are_the_first() -> None:
    reference = torch.tensor([[5.0], [1.0], [-1.0], [1.0]] * 5)
    assert nearest_few(torch.tensor([[0.0], [1.0]]), reference, 4).indices.tolist() == [[1, 2, 3, 5], [1, 3, 5, 7]]
    with pytest.raises(ValueError, match="leave 21 points to take, but has 20"):
        nearest_few(reference, reference, 21)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points, reference = torch.randn(60, 6), torch.randn(90, 6)
    whole, others = nearest(points, reference), nearest(reference, reference, exclude=torch.arange(90))
    monkeypatch.setattr(neighbours, "BUDGET", 1000)  # 7 points at a time
    assert agrees(nearest(points, reference), whole)
    assert agrees(nearest(reference, reference, exclude=torch.arange(90)), others)


@pytest.mark.parametrize("candidates", [1, 8])
def test_a_point_is_not_its_own_neighbour(candidates: int) -> None:
    points = torch.randn(80, 3)
    assert agrees(nearest(points, points, torch.arange(80), candidates), kneighbors(points, points, 2))
    some = torch.tensor([7, 3, 70])
    assert agrees(nearest(points[some], points, some), [values[some] for values in kneighbors(points, points, 2)])


def test_copies_are_at_exactly_zero() -> None:
    """Where float32 alone is not: its matrix form leaves a distance at copies."""
    reference = torch.rand(200, 784)
    points = reference[torch.randperm(200)[:50]]
    assert torch.cdist(points, reference, compute_mode="use_mm_for_euclid_dist").amin(1).max() > 0
    found = nearest(points, reference)
    assert found.distance.tolist() == [0.0] * 50
    assert torch.equal(reference[found.indices], points)


def test_what_float32_cannot_tell_apart_is_measured_whole(measured: list[int]) -> None:
    """300 points within 1e-6 of each other, 1 from the centre: float32 squares of their distances are noise."""
    crowd = torch.tensor([1.0, 0]).double() + 1e-6 * torch.randn(300, 2).double()
    reference = torch.cat([crowd, torch.tensor([[-300.0, 0]]).double()])
    points = torch.tensor([1.0, 0]).double() + 1e-6 * torch.randn(40, 2).double()
    expected = kneighbors(points, reference)
    single = torch.cdist(points.float(), reference.float(), compute_mode="use_mm_for_euclid_dist")
    assert not torch.equal(single.argmin(1), expected[1])
    assert agrees(nearest(points, reference), expected)
    assert sum(measured) == 40


def test_what_float32_tells_apart_is_not_measured_whole(measured: list[int]) -> None:
    points, reference = 5 + torch.randn(200, 20), 5 + torch.randn(400, 20)
    assert agrees(nearest(points, reference), kneighbors(points, reference))
    assert measured == []


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e10, 1e30])
@pytest.mark.parametrize("dimensions", [1, 3, 300])
def test_bounds_hold_and_are_close(scale: float, dimensions: int) -> None:
    """Also of points that all but coincide, and where products underflow; where norms overflow they are infinite."""
    a, b = scale * torch.randn(30, dimensions), scale * torch.randn(40, dimensions)
    b[:30] = a * (1 + 1e-7 * torch.randn(30, 1))
    exact = (a.double()[:, None] - b.double()).square().sum(2)
    bound = lower_bound(a, b)
    assert (bound.double() <= exact)[bound.isfinite()].all()
    if scale == 1.0:
        size = a.double().square().sum(1)[:, None] + b.double().square().sum(1)
        assert (exact - bound < 2 * (dimensions + 16) * 2**-24 * size).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e30])
def test_nearest_at_any_scale(scale: float) -> None:
    points, reference = scale * torch.randn(30, 3).double(), scale * torch.randn(40, 3).double()
    assert agrees(nearest(points, reference), kneighbors(points, reference))


def test_of_equally_near_points_the_first_counts() -> None:
    reference = torch.tensor([[5.0], [1.0], [-1.0], [1.0]] * 5)
    assert nearest(torch.tensor([[0.0], [1.0], [4.0]]), reference).indices.tolist() == [1, 1, 0]
    assert nearest(reference[:2], reference, exclude=torch.tensor([0, 1])).indices.tolist() == [4, 3]


def test_nan_is_not_hidden() -> None:
    points = torch.randn(5, 2)
    points[2, 1] = math.nan
    assert nearest(points, torch.randn(20, 2)).distance.isnan().tolist() == [False, False, True, False, False]
    assert nearest(torch.randn(4, 2), points).distance.isnan().all()
    assert nearest_few(torch.randn(4, 2), points, 3).distance.isnan().all()


def test_a_reference_must_leave_a_point() -> None:
    point = torch.zeros(1, 2)
    assert nearest(point, point).distance.item() == 0
    with pytest.raises(ValueError, match="has 0 of which 0"):
        nearest(point, point[:0])
    with pytest.raises(ValueError, match="has 1 of which 0"):
        nearest(point, point, exclude=torch.tensor([0]))


def test_pms_is_the_mean_distance_of_its_first_set() -> None:
    a, b, c = torch.rand(50, 1, 4, 4), torch.rand(50, 1, 4, 4) ** 2, torch.rand(50, 1, 4, 4)
    assert pms(a, b) == pytest.approx(kneighbors(a, b)[0].mean().item(), rel=1e-12)
    assert pms(a, b) != pms(b, a)
    assert pms_ratio(b, c, a) == pytest.approx(pms(b, a) / pms(c, a), rel=1e-12)


def test_copies_have_no_distance_and_no_authenticity() -> None:
    train, test = torch.rand(60, 30), torch.rand(60, 30)
    copies = train[torch.randint(60, (60,))]
    assert pms(copies, train) == 0
    assert pms_ratio(copies, test, train) == 0
    assert pms_ratio(test, test, train) == 1
    assert not authentic(copies, train).any()
    assert not authentic(copies + 1e-3 * torch.randn(60, 30), train).any()


def test_sizes_must_be_equal() -> None:
    a, b = torch.randn(5, 2), torch.randn(6, 2)
    for scores in (pms, lambda a, b: pms_ratio(a, b, b)):
        with pytest.raises(Unsupported, match="have 5 and 6"):
            scores(a, b)
    with pytest.raises(ValueError, match="5 generated, 6 test"):
        data_copying(a, b, b)


def test_authentic_is_by_hand() -> None:
    """Against every pair: further from the nearest training point than that one is from its nearest other."""
    generated, train = torch.randn(70, 2), torch.randn(40, 2)
    across, among = (torch.cdist(x.double(), train.double()) for x in (generated, train))
    among.fill_diagonal_(math.inf)
    expected = [row.min() > among[row.argmin()].min() for row in across]
    assert authentic(generated, train).tolist() == expected
    assert 0 < sum(expected) < 70


def test_copies_of_what_the_data_hold_twice_are_caught() -> None:
    train = torch.randn(20, 3).repeat(2, 1)
    assert not authentic(train, train).any()
    assert authentic(train + 0.01, train).all()


def scipy_z(a: Tensor, b: Tensor) -> float:
    """The z-score of SciPy's asymptotic one-sided p-value."""
    test = mannwhitneyu(a.numpy(), b.numpy(), alternative="less", method="asymptotic", use_continuity=False)
    return float(norm.ppf(test.pvalue))


@pytest.mark.parametrize("ties", [False, True])
def test_mann_whitney_is_scipys(ties: bool) -> None:
    a, b = torch.randn(40).double(), 0.3 + torch.randn(25).double()
    a, b = (a.round(), b.round()) if ties else (a, b)
    assert mann_whitney_z(a, b) == pytest.approx(scipy_z(a, b), rel=1e-9)
    assert mann_whitney_z(b, a) == pytest.approx(-mann_whitney_z(a, b), rel=1e-12)


def test_mann_whitney_without_evidence() -> None:
    assert mann_whitney_z(torch.ones(5), torch.ones(7)) == 0
    assert math.isnan(mann_whitney_z(torch.tensor([1.0, math.nan]), torch.ones(2)))


def test_data_copying_is_scipys_test_of_distances() -> None:
    generated, test, train = 1.2 * torch.randn(60, 3), torch.randn(60, 3), torch.randn(90, 3)
    expected = scipy_z(kneighbors(generated, train)[0], kneighbors(test, train)[0])
    assert data_copying(generated, test, train) == pytest.approx(expected, rel=1e-9)


def test_planted_copies_are_flagged_and_held_out_data_are_not() -> None:
    """Where every generated point is closer than every held-out one, z = -n/2 sqrt(12/(2n + 1)), n = 300."""
    train, test, new = torch.randn(3, 300, 5)
    noisy = train + 0.01 * torch.randn(300, 5)
    some = torch.cat([noisy[:100], new[100:]])
    assert abs(data_copying(new, test, train)) < 4
    assert data_copying(train, test, train) < -20
    assert data_copying(noisy, test, train) == pytest.approx(-150 * math.sqrt(12 / 601))
    assert data_copying(some, test, train) < -4
    assert data_copying(2 * new, test, train) > 4


@pytest.mark.long
def test_data_copying_is_standard_normal_for_new_data() -> None:
    """Over 400 draws of generated, held-out and training sets of one law: mean 0, variance 1 (its own error 0.07)."""
    draws = torch.randn(400, 3, 30, 2)
    z = torch.tensor([data_copying(*sets) for sets in draws]).double()
    assert abs(z.mean()) < 4 / 20
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / 400)


def test_copies_are_by_hand() -> None:
    """Points at half the distance to the tenth are no copies; nearness to other points alone decides."""
    points, train = torch.randn(200, 2), torch.randn(300, 2)
    across = torch.cdist(points.double(), train.double()).sort(dim=1).values
    expected = across[:, 0] <= NEAR * across[:, 9]
    assert torch.equal(copies(points, train), expected)
    assert 0 < expected.sum() < 200
    assert torch.equal(copies(7 * points, 7 * train), expected)


@pytest.mark.parametrize("dimensions", [2, 4])
def test_new_points_are_copies_as_often_as_the_dimensions_say(dimensions: int) -> None:
    """1 - (1 - NEAR^d)^(KIN - 1) for points that are evenly spread, far from an edge."""
    train, points = torch.rand(8_000, dimensions), 0.25 + 0.5 * torch.rand(1_500, dimensions)
    expected = 1 - (1 - NEAR**dimensions) ** (KIN - 1)
    assert copies(points, train).double().mean().item() == pytest.approx(expected, abs=0.05)


def test_what_the_training_set_holds_several_times_hides_no_copies() -> None:
    """Near copies of points held nine times are found, and exact ones of points held more often than that."""
    train = torch.randn(40, 20)
    near = train + 0.01 * torch.randn(40, 20)
    assert copies(near, train.repeat(9, 1)).all()
    assert not copies(near, train.repeat(10, 1)).any()
    assert copies(train, train.repeat(30, 1)).all()


def test_few_training_points_are_enough() -> None:
    train = torch.randn(3, 5)
    assert copying.copies(nearest_few(train, train, 3)).all()
    assert not copying.copies(nearest_few(10 + train, train, 3)).any()


@pytest.mark.parametrize(("n", "k", "m", "of_m"), [(30, 5, 20, 1), (30, 0, 20, 4), (10, 10, 500, 0), (300, 3, 600, 0)])
def test_excess_is_scipys_exact_test(n: int, k: int, m: int, of_m: int) -> None:
    expected = fisher_exact([[k, n - k], [of_m, m - of_m]], alternative="greater").pvalue
    assert excess_p(torch.arange(n) < k, torch.arange(m) < of_m) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(300, 300), (3000, 600), (10_000, 20_000), (7, 3)])
def test_the_least_share_is_the_first_that_is_found(n: int, m: int) -> None:
    none = torch.zeros(m, dtype=torch.bool)
    least = round(least_share(n, m) * n) if least_share(n, m) <= 1 else n + 1
    assert excess_p(torch.arange(n) < least - 1, none) > 0.01
    assert least == n + 1 or excess_p(torch.arange(n) < least, none) <= 0.01


@pytest.mark.long
def test_copies_are_flagged_as_rarely_as_the_level_says() -> None:
    """1000 draws of generated, unseen and training sets of one law, in which one point in three counts as a copy:
    P(p <= level) <= level, and not far below, within 3.5 standard errors. The same for |z| of the distances."""
    p, z = [], []
    for ours, theirs, train in torch.randn(1000, 3, 80, 3):
        found, held_out = (nearest_few(points, train, KIN) for points in (ours, theirs))
        p.append(excess_p(copying.copies(found), copying.copies(held_out)))
        z.append(copying.data_copying(found.first, held_out.first))
    for level in (0.01, 0.05, 0.2):
        slack = 3.5 * math.sqrt(level * (1 - level) / 1000)
        rate = (torch.tensor(p) <= level).double().mean().item()
        assert level / 3 - slack < rate <= level + slack
        assert (torch.tensor(z).abs() >= norm.isf(level / 2)).double().mean().item() == pytest.approx(level, abs=slack)


@lru_cache
def digits() -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test images, 0 to 255, (N, 64)."""
    data = load("digits", Path())
    return tuple((255 * one.original[:]).round().flatten(1) for one in (data.train, data.validation, data.test))


def decoded(codes: Tensor, components: int) -> Tensor:
    """Pictures of (N, components) principal components of the training images: what a linear decoder makes of codes."""
    train, directions = digits()[0], axes()[:components]
    return (codes @ directions + train.mean(0)).clamp(0, 255).round()


def encoded(images: Tensor, components: int) -> Tensor:
    return (images - digits()[0].mean(0)) @ axes()[:components].T


@lru_cache
def axes() -> Tensor:
    train = digits()[0]
    return torch.linalg.svd(train - train.mean(0), full_matrices=False).Vh


def drawn(n: int) -> Tensor:
    """Smooth digits that copy nothing: codes halfway between those of two unseen images that are near each other."""
    codes = encoded(torch.cat(digits()[1:]), 15)
    first, other = torch.randint(len(codes), (n,)), nearest_few(codes, codes, 8).indices
    second = other[first, torch.randint(1, 8, (n,))]
    return decoded((codes[first] + codes[second]) / 2, 15)


def noisy(images: Tensor, sd: float) -> Tensor:
    return (images + 255 * sd * torch.randn_like(images)).clamp(0, 255).round()


def p_of(images: Tensor) -> float:
    """Of digits against the unseen ones, 600."""
    train, *unseen = digits()
    return excess_p(copies(images, train), copies(torch.cat(unseen), train))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("way", ["exact", "near", "decoded"])
def test_planted_copies_of_digits_are_found(share: float, way: str) -> None:
    """Among 3000 smooth draws: training images, such with noise, and what a sharp decoder makes of their codes."""
    train = digits()[0]
    some = train[torch.randint(len(train), (round(3000 * share),))]
    planted = {
        "exact": lambda: some,
        "near": lambda: noisy(some, 0.03),
        "decoded": lambda: decoded(encoded(some, 45), 45),
    }[way]()
    images = torch.cat([drawn(3000 - len(planted)), planted])
    assert p_of(images) < 0.01


def test_what_share_of_copies_is_too_small_to_find() -> None:
    """Of 3000 images half of one in a hundred, since 600 unseen ones that are no copies say no more of their law. Of
    300 one in a hundred, three, p = 0.04; but not five."""
    train = digits()[0]
    assert p_of(torch.cat([drawn(2985), train[:15]])) > 0.05
    assert 0.03 < p_of(torch.cat([drawn(297), train[:3]])) < 0.05
    assert p_of(torch.cat([drawn(295), train[:5]])) < 0.01


def test_what_copies_nothing_is_not_flagged() -> None:
    """Smooth draws; unseen digits, blurred, decoded, noisy and as they are; grey pictures."""
    _, validation, test = digits()
    unseen = torch.cat([validation, test])
    blurred = torch.nn.functional.avg_pool2d(unseen.view(-1, 1, 8, 8), 3, stride=1, padding=1).flatten(1)
    smooth = [decoded(encoded(unseen, components), components) for components in (5, 15, 45)]
    for images in (drawn(3000), validation, blurred, *smooth, noisy(unseen, 0.1), torch.full((600, 64), 128.0)):
        assert p_of(images) > 0.1
