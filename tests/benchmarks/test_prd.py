"""Precision and recall of distributions against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.estimators.prd import f_beta, histograms, prd, precision_recall


def uniform(bins: int, total: int) -> Tensor:
    """The law uniform on the first `bins` of `total` bins."""
    return (torch.arange(total) < bins).double() / bins


def best(p_eval: Tensor, p_ref: Tensor, beta: float) -> float:
    return f_beta(*prd(p_eval, p_ref), beta).max().item()


@pytest.mark.parametrize(("k", "total"), [(1, 10), (1, 2), (3, 4), (20, 20)])
def test_uniform_on_some_bins(k: int, total: int) -> None:
    """Precision 1 and recall r = k/K at the curve's corner: F_8 = 65 r/(64 + r), F_1/8 = (1 + 1/64) r/(1/64 + r).

    The corner, at lambda = 1/r, lies between two angles: one step is a factor 1 + (r + 1/r) pi/2/1002 in one of the
    two, which F follows with the power of its weight, r/(64 + r) and 1/(1 + 64 r).
    """
    r, evaluated, reference = k / total, uniform(k, total), uniform(total, total)
    step = (r + 1 / r) * math.pi / 2 / 1002
    for beta, form, weight in (
        (8, 65 * r / (64 + r), r / (64 + r)),
        (1 / 8, (1 + 1 / 64) * r / (1 / 64 + r), 1 / (1 + 64 * r)),
    ):
        assert form * (1 - step * weight) < best(evaluated, reference, beta) < form * (1 + 1e-12)


def test_the_curve_is_the_corner_of_few_bins() -> None:
    """Evaluated on k of K bins: alpha = min(r lambda, 1), beta = min(r, 1/lambda), whatever the angle."""
    precision, recall = prd(uniform(1, 4), uniform(4, 4), angles=3)
    slope = torch.tensor([2**0.5 - 1, 1, 2**0.5 + 1]).double()  # tan of pi/8, pi/4, 3 pi/8
    torch.testing.assert_close(precision, (slope / 4).clamp(max=1))
    torch.testing.assert_close(recall, (1 / slope).clamp(max=0.25))


def test_exchanged_arguments_exchange_the_two() -> None:
    p, q = torch.rand(2, 7).double().softmax(1)
    precision, recall = prd(p, q)
    other_precision, other_recall = prd(q, p)
    torch.testing.assert_close(precision, other_recall.flip(0))
    torch.testing.assert_close(recall, other_precision.flip(0))
    assert best(p, q, 8) == pytest.approx(best(q, p, 1 / 8), rel=1e-12)


def test_equal_and_disjoint_laws() -> None:
    p = torch.rand(7).double().softmax(0)
    left, right = uniform(3, 6), uniform(3, 6).flip(0)
    for beta in (1 / 8, 8):
        assert best(p, p, beta) == pytest.approx(1, rel=1e-12)
        assert best(left, right, beta) == 0


def test_f_beta_weighs_recall() -> None:
    precision, recall = torch.tensor([0.5, 0.3]), torch.tensor([0.5, 0.6])
    torch.testing.assert_close(f_beta(precision, recall, 1), torch.tensor([0.5, 0.4]))
    torch.testing.assert_close(f_beta(precision, recall, 2), torch.tensor([0.5, 0.5]))


def heaps(which: list[int], count: int) -> Tensor:
    """Points in `count` equal heaps around far corners, the heaps taken in turn from `which`."""
    corners = 100 * torch.eye(20)[torch.tensor(which)]
    return corners.repeat(count // len(which), 1) + 0.1 * torch.randn(count, 20)


def test_dropped_modes_cost_recall_and_invented_ones_precision() -> None:
    """With one cluster a heap the histograms are exact: uniform on 5 of 20 bins, r = 1/4."""
    few, every = heaps(list(range(5)), 200), heaps(list(range(20)), 200)
    dropped, invented = (precision_recall(*sets, seed=1, runs=2) for sets in ((few, every), (every, few)))
    low, high = 65 / 4 / (64 + 1 / 4), (1 + 1 / 64) / 4 / (1 / 64 + 1 / 4)
    assert dropped == pytest.approx((high, low), rel=1e-3)
    assert invented == pytest.approx((low, high), rel=1e-3)


def test_histograms_are_shares_in_joint_clusters() -> None:
    evaluated, reference = torch.cat([heaps([0], 30), heaps([1], 10)]), torch.cat([heaps([1], 10), heaps([2], 30)])
    shares = histograms(evaluated, reference, 3, np.random.RandomState(0))
    pairs = sorted(zip(*(share.tolist() for share in shares), strict=True))
    assert pairs == [(0, 0.75), (0.25, 0.25), (0.75, 0)]


def test_seed_decides() -> None:
    evaluated, reference = torch.randn(2, 150, 2)
    first = precision_recall(evaluated, reference, seed=2**62, runs=2)
    assert precision_recall(evaluated, reference, seed=2**62, runs=2) == first
    assert precision_recall(evaluated, reference, seed=1, runs=2) != first


def test_duplicates() -> None:
    """A set against itself is perfect, also where fewer points differ than there are clusters."""
    points = torch.randn(100, 3)
    assert precision_recall(points, points[torch.randperm(100)], seed=0, runs=2) == pytest.approx((1, 1), rel=1e-9)
    assert precision_recall(points[:1].repeat(30, 1), points[:1].repeat(30, 1), 0, runs=1) == pytest.approx((1, 1))
    collapsed = precision_recall(points[:1].repeat(100, 1), points, seed=0, runs=2)
    assert collapsed.recall < 0.1 < 0.3 < collapsed.precision


def test_sizes_must_be_equal() -> None:
    with pytest.raises(ValueError, match="evaluated has 30, reference has 31"):
        precision_recall(torch.randn(30, 2), torch.randn(31, 2), seed=0)
