"""Divergences, leakage and ELBO surgery against closed forms, integrals on a grid, loops and scipy's trees."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.stats import chi2
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from benchmarks.estimators.latent import (
    Measured,
    Quantile,
    SymmetricKL,
    densities_at_codes,
    divergence,
    draw_codes,
    elbo_surgery,
    knn_kl,
    leakage,
    mean,
    quantile,
    quantile_thresholds,
    share,
    skl_knn,
)
from priors.parts.normal import NormalMixture

FLOAT = torch.float64
LogDensity = Callable[[Tensor], Tensor]
DRAWS = 100_000


def normal(d: int, mean: float = 0.0, variance: float = 1.0) -> Independent:
    """N(mean, variance I) on R^d."""
    return Independent(Normal(torch.full((d,), mean, dtype=FLOAT), math.sqrt(variance)), 1)


def two_normals() -> MixtureSameFamily:
    """.3 N(-2, .5^2) + .7 N(1.5, .8^2) as a law on R^1."""
    weight, mean, sd = torch.tensor([[0.3, 0.7], [-2.0, 1.5], [0.5, 0.8]], dtype=FLOAT)
    return MixtureSameFamily(Categorical(weight), Independent(Normal(mean[:, None], sd[:, None]), 1))


def mixture(mean: Tensor, sd: float) -> NormalMixture:
    """Equal weights, (K, D), one standard deviation."""
    count = len(mean)
    log_weight = torch.full((count,), -math.log(count), dtype=mean.dtype)
    return NormalMixture(mean, torch.full_like(mean, 2 * math.log(sd)), log_weight)


def close(estimate: Measured, exact: float, largest_error: float) -> None:
    """Within four standard errors, which themselves are small enough for the test to fail."""
    assert 0 < estimate.error < largest_error
    assert abs(estimate.value - exact) < 4 * estimate.error


def test_mean_has_the_standard_error_of_the_draws():
    assert mean(torch.tensor([1.0, 2.0, 6.0])) == pytest.approx((3.0, math.sqrt(7 / 3)))
    assert mean(torch.tensor([5.0])) == pytest.approx((5.0, math.nan), nan_ok=True)
    assert mean(torch.tensor([])) == pytest.approx((math.nan, math.nan), nan_ok=True)


# Symmetric KL


def symmetric_kl(draws: Tensor, codes: Tensor, log_p: LogDensity, log_q: LogDensity) -> SymmetricKL:
    """Of laws with a density each, from draws of both."""
    return SymmetricKL(divergence(log_p(draws), log_q(draws)), divergence(log_q(codes), log_p(codes)))


@pytest.mark.long
@pytest.mark.parametrize(("d", "exact", "error"), [(2, 0.2525, 0.004), (40, 5.0500, 0.02)])
def test_symmetric_kl_of_normals(d, exact, error):
    """1/2 [d (s^2 - 1 - ln s^2) + ||m||^2] + 1/2 [d (1/s^2 - 1 + ln s^2) + ||m||^2/s^2] at m = .3, s^2 = .8."""
    p, q = normal(d), normal(d, 0.3, 0.8)
    result = symmetric_kl(p.sample((DRAWS,)), q.sample((DRAWS,)), p.log_prob, q.log_prob)
    close(result.total, exact, error)
    close(result.codes, d / 2 * (0.8 - 1 - math.log(0.8) + 0.09), error)
    close(result.prior, d / 2 * (1 / 0.8 - 1 + math.log(0.8) + 0.09 / 0.8), error)
    assert result.total.value == result.prior.value + result.codes.value


def test_symmetric_kl_of_a_mixture():
    p, q = normal(1), two_normals()
    result = symmetric_kl(p.sample((DRAWS,)), q.sample((DRAWS,)), p.log_prob, q.log_prob)
    close(result.total, 1.959246, 0.012)
    assert result.prior.value != pytest.approx(result.codes.value, abs=0.01)


def test_standard_errors_are_calibrated():
    """The mean square of 300 z-scores is 1 give or take sqrt(2/300)."""
    p, q = normal(2), normal(2, 0.3, 0.8)
    runs = [symmetric_kl(p.sample((200,)), q.sample((200,)), p.log_prob, q.log_prob).total for _ in range(300)]
    scores = torch.tensor([(run.value - 0.2525) / run.error for run in runs], dtype=FLOAT)
    assert abs(scores.square().mean().item() - 1) < 4 * math.sqrt(2 / 300)


def test_a_code_outside_of_the_prior_is_infinitely_far():
    log_p = torch.tensor([0.0, -math.inf])
    assert divergence(torch.zeros(2), log_p).value == math.inf


# The aggregate posterior without a draw's own component


def by_loop(q: NormalMixture, z: Tensor, j: Tensor) -> list[tuple[float, float, float]]:
    """ln q(z|x_j), ln q(z) and ln q_{-j}(z), draw by draw and component by component."""
    rows = []
    for point, own in zip(z, j.tolist(), strict=True):
        logs = [Normal(m, (v / 2).exp()).log_prob(point).sum() for m, v in zip(q.mean, q.log_variance, strict=True)]
        terms = torch.stack(logs) + q.log_weight
        others = torch.stack([term for k, term in enumerate(terms) if k != own])
        without = others.logsumexp(0) - math.log(1 - q.log_weight[own].exp().item())
        rows.append((logs[own].item(), terms.logsumexp(0).item(), without.item()))
    return rows


@pytest.mark.parametrize("sd", [0.7, 0.01])
@pytest.mark.parametrize("pairs", [1, 20, 2**22])
def test_leave_one_out_is_that_of_a_loop(sd, pairs):
    q = mixture(torch.randn(7, 3, dtype=FLOAT) + 5, sd)
    q = NormalMixture(q.mean, q.log_variance, torch.randn(7, dtype=FLOAT).log_softmax(0))
    z, j = draw_codes(q, 12)
    result = torch.stack(densities_at_codes(q, z, j, pairs), 1)
    torch.testing.assert_close(result, torch.tensor(by_loop(q, z, j), dtype=FLOAT), rtol=1e-10, atol=1e-8)


def test_own_component_is_masked_and_not_subtracted():
    """The others carry e^-5000 of the density, which a difference of densities does not see."""
    q = mixture(torch.tensor([[0.0], [100.0]], dtype=FLOAT), 1.0)
    at = densities_at_codes(q, torch.zeros(1, 1, dtype=FLOAT), torch.tensor([0]))
    own = -0.5 * math.log(2 * math.pi)
    assert [part.item() for part in at] == pytest.approx([own, own - math.log(2), own - 5000])


def test_densities_are_in_float64_for_a_mixture_in_float32():
    q = mixture(torch.randn(50, 2), 0.03)
    z, j = draw_codes(q, 20)
    at, exact = densities_at_codes(q, z, j), densities_at_codes(q.double(), z.double(), j)
    assert at.aggregate.dtype == FLOAT
    torch.testing.assert_close(torch.stack(at), torch.stack(exact), rtol=0, atol=0)


def test_codes_come_from_the_component_that_is_named():
    log_weight = torch.tensor([0.2, 0.8], dtype=FLOAT).log()
    q = NormalMixture(torch.tensor([[-50.0], [50.0]], dtype=FLOAT), torch.zeros(2, 1, dtype=FLOAT), log_weight)
    z, j = draw_codes(q, 2000)
    assert torch.equal(z[:, 0] > 0, j == 1)
    assert abs(j.double().mean().item() - 0.8) < 4 * math.sqrt(0.16 / 2000)


def test_in_sample_and_leave_one_out_bracket_the_exact_divergence():
    """x ~ N(0, .96), q(z|x) = N(x, .04): the exact aggregate is N(0, 1), KL = 0; only 100 images are at hand."""
    p = normal(2)
    q = mixture(math.sqrt(0.96) * torch.randn(100, 2, dtype=FLOAT), 0.2)
    z, j = draw_codes(q, 5000)
    at = densities_at_codes(q, z, j)
    result = symmetric_kl(p.sample((5000,)), z, p.log_prob, q.log_prob)
    inside, outside = result.codes, divergence(at.without, p.log_prob(z))
    assert outside.value + 4 * outside.error < 0 < inside.value - 4 * inside.error
    assert divergence(at.aggregate, p.log_prob(z)).value == pytest.approx(inside.value, abs=1e-10)
    assert SymmetricKL(result.prior, outside).total.value < result.total.value


# Nearest neighbours


def by_tree(a: np.ndarray, b: np.ndarray) -> float:
    """Perez-Cruz's estimate with the neighbours of scipy's trees."""
    rho, nu = cKDTree(a).query(a, k=2)[0][:, 1], cKDTree(b).query(a, k=1)[0]
    return a.shape[1] * np.mean(np.log(nu / rho)) + math.log(len(b) / (len(a) - 1))


@pytest.mark.parametrize("d", [1, 5])
def test_nearest_neighbours_are_those_of_a_tree(d):
    a, b = normal(d).sample((300,)), normal(d, 0.5).sample((450,))
    forward, backward = by_tree(a.numpy(), b.numpy()), by_tree(b.numpy(), a.numpy())
    assert knn_kl(a, b) == pytest.approx((forward, 0.0), abs=1e-10)
    assert skl_knn(a, b) == pytest.approx((forward + backward, 0.0), abs=1e-10)


@pytest.mark.long
def test_nearest_neighbours_are_consistent():
    """N(0, I) against N(1, I) on R^2: KL is 1 on either side; the error falls with the sample's size."""

    def errors(n: int, runs: int) -> Tensor:
        samples = [(normal(2).sample((n,)), normal(2, 1.0).sample((n,))) for _ in range(runs)]
        return torch.tensor([skl_knn(a, b).value - 2 for a, b in samples])

    small, large = errors(50, 60), errors(2000, 8)
    assert large.abs().max() < 0.5  # a single one spreads by .11
    assert large.square().mean() < 0.25 * small.square().mean()


def test_forward_and_backward_are_not_confused():
    """KL(N(0, 1) || N(0, 9)) = ln 3 - 4/9 = .654; the other way round it is 4 - ln 3 = 2.90, less lost tails."""
    a, b = normal(1).sample((2000,)), normal(1, 0.0, 9.0).sample((2000,))
    assert abs(knn_kl(a, b).value - (math.log(3) - 4 / 9)) < 0.2
    assert 1.2 < knn_kl(b, a).value < 4 - math.log(3)


def test_coincident_points_are_passed_over_and_counted():
    a = normal(3).sample((200,))
    assert knn_kl(a, a) == pytest.approx((math.log(200 / 199), 1.0))  # a copy is at no distance from its source
    b = normal(3, 0.5).sample((100,))
    twice = torch.cat([a, a[:40]])  # 40 points twice: 80 of 240 coincide
    rho = cKDTree(a.numpy()).query(twice.numpy(), k=2)[0][:, 1]
    nu = cKDTree(b.numpy()).query(twice.numpy(), k=1)[0]
    expected = 3 * np.mean(np.log(nu / rho)) + math.log(100 / 239)
    assert knn_kl(twice, b) == pytest.approx((expected, 80 / 240))
    assert skl_knn(twice, b).coincident == pytest.approx(80 / 340)


def test_collapsed_samples_are_missing():
    spread, point = normal(2).sample((50,)), torch.zeros(50, 2, dtype=FLOAT)
    assert math.isnan(knn_kl(point, spread).value)
    assert math.isnan(skl_knn(spread, point).value)
    assert math.isnan(knn_kl(spread[:1], spread[1:]).value)


# Leakage


@pytest.mark.parametrize(("threshold", "exact"), [(-2.0, 1.010541), (-4.0, 0.294861)])
def test_leakage_of_a_mixture(threshold, exact):
    q = two_normals()
    z = q.sample((DRAWS,))
    (result,) = leakage(normal(1).log_prob(z), q.log_prob(z), [threshold])
    close(result.score, exact, 0.006)


def test_leakage_of_a_wide_normal():
    """q = N(0, s^2 I): -d ln s sf_d(c) + (s^2 - 1) d sf_{d+2}(c) / 2 with c = max(0, -2 tau - d ln 2 pi) / s^2."""
    q = normal(2, 0.0, 4.0)
    z = q.sample((DRAWS,))
    log_p, log_q = normal(2).log_prob(z), q.log_prob(z)
    for result, exact in zip(leakage(log_p, log_q, [-4, -8]), (1.88436, 1.33602), strict=True):
        close(result.score, exact, 0.012)
        share = chi2.sf(max(0, -2 * result.threshold - 2 * math.log(2 * math.pi)) / 4, 2)
        close(result.share, share, 0.002)
        close(result.among, exact / share, 0.03)
        assert result.among.value == pytest.approx(result.score.value / result.share.value)


def test_leakage_at_infinity_is_the_divergence():
    p, q = normal(2), normal(2, 0.3, 0.8)
    z = q.sample((DRAWS,))
    (result,) = leakage(p.log_prob(z), q.log_prob(z), [math.inf])
    assert result.among == divergence(q.log_prob(z), p.log_prob(z))
    assert result.score == pytest.approx(result.among, rel=1e-4)
    close(result.score, kl_divergence(q, p).item(), 0.003)
    assert result.share == pytest.approx((1.0, 0.0), abs=2 / DRAWS)


def test_where_nothing_leaks_the_mean_is_missing():
    few = torch.tensor([-1.0, -2.0, -3.0])
    nothing, one = leakage(few, torch.zeros(3), [-3.0, -2.5])  # the threshold itself does not leak
    assert nothing.score == pytest.approx((0.0, math.nan), nan_ok=True)
    assert nothing.share == pytest.approx((0.0, math.sqrt(2 * 5) / 7**1.5))
    assert nothing.among == pytest.approx((math.nan, math.nan), nan_ok=True)
    assert one.score == pytest.approx((1.0, math.nan), nan_ok=True)
    assert one.among == pytest.approx((3.0, math.nan), nan_ok=True)


def test_leakage_without_density():
    """Where ln p is minus infinity a code leaks infinitely; where it is nan it is not passed over in silence."""
    zeros = torch.zeros(2)
    assert leakage(torch.tensor([0.0, -math.inf]), zeros, [-1])[0].score.value == math.inf
    assert math.isnan(leakage(torch.tensor([0.0, math.nan]), zeros, [-1])[0].score.value)


def test_codes_with_the_priors_law_leak_at_the_level():
    """In any D, within the share's error, of which the quantile's is as large a part as that of the codes."""
    levels = (0.01, 0.1, 0.5)
    for d in (1, 30):
        p = normal(d)
        draws, codes = p.log_prob(p.sample((DRAWS // 5,))), p.log_prob(p.sample((DRAWS // 5,)))
        taus = quantile_thresholds(draws, levels)
        for level, result in zip(levels, leakage(codes, codes, taus), strict=True):
            assert abs(result.share.value - level) < 4 * result.share.error
            assert result.share.error == pytest.approx(math.sqrt(2 * level * (1 - level) * 5 / DRAWS), rel=0.2)
            assert result.score.value == 0


def test_an_error_of_ln_p_moves_codes_across_a_threshold():
    """ln p = -1, -2, ..., -100, ln q = 0; common 0.5 takes the 50 codes below -50.2 to 51 or 50."""
    log_p, log_q = -torch.arange(1.0, 101.0), torch.zeros(100)
    alone, fixed = (leakage(log_p, log_q, [-50.2], common)[0] for common in (0.0, 0.5))
    assert alone.share.value == fixed.share.value == 0.5
    assert fixed.share.error == pytest.approx(math.hypot(alone.share.error, 0.01))
    with_one_more = (sum(range(50, 101)) + 51 * 0.5) / 100
    assert fixed.score.error == pytest.approx(math.hypot(alone.score.error, with_one_more - alone.score.value))
    still = Quantile(-50.2, -50.2, -50.2)  # a quantile moves with the codes
    (found,) = leakage(log_p, log_q, [still], 0.5)
    assert found.share == pytest.approx(alone.share)
    assert found.score.error == pytest.approx(math.hypot(alone.score.error, 0.5 * 0.5))


@pytest.mark.long
def test_a_quantile_stands_between_those_a_standard_error_of_its_level_away():
    values = torch.arange(10_001.0)
    error = 10_000 * math.sqrt(0.09 * 0.91 / 10_001)
    assert quantile(values, 0.09) == pytest.approx((900, 900 - error, 900 + error), abs=1)
    few = torch.rand(20_000, 9).double()
    mean = np.mean([quantile(one, 0.2).value for one in few])  # the uniform law's share below it
    assert mean == pytest.approx(0.2, abs=4 * 0.13 / math.sqrt(20_000))


def test_a_share_has_an_error_where_none_or_all_hit():
    """Close to the usual one in the middle; at the ends two of its errors are about the rule of three's 3/n."""
    middle, none, every = (share(torch.arange(1000) < hits) for hits in (300, 0, 1000))
    assert middle == pytest.approx((0.3, math.sqrt(0.21 / 1000)), rel=0.01)
    assert (none.value, every.value) == (0, 1)
    assert 2 / 1000 < 2 * none.error < 3 / 1000
    assert every.error == pytest.approx(none.error)
    assert share(torch.zeros(0, dtype=torch.bool)) == pytest.approx((math.nan, math.nan), nan_ok=True)


# ELBO surgery


def test_surgery_is_an_identity_at_every_draw():
    for conditional, q, p in 10 * torch.randn(50, 3, 1, dtype=FLOAT):
        parts = elbo_surgery(conditional, q, p)
        exact = parts.mutual_information.value + parts.marginal.value
        assert parts.kl.value == pytest.approx(exact, abs=1e-13)


def test_surgery_against_integrals():
    """Three posteriors on R: KL in closed form, and h(q) - mean h(q_j) and KL(q||p) on a grid."""
    mean, sd = torch.tensor([-1.5, 0.2, 1.0], dtype=FLOAT), 0.4
    q = mixture(mean[:, None], sd)
    z, j = draw_codes(q, DRAWS)
    at = densities_at_codes(q, z, j)
    result = elbo_surgery(at.conditional, at.aggregate, normal(1).log_prob(z))
    grid = torch.linspace(-8, 8, 2001, dtype=FLOAT)
    density = Normal(mean, sd).log_prob(grid[:, None]).exp().mean(1)
    entropy = -torch.trapezoid(torch.xlogy(density, density), grid).item()
    cross = -torch.trapezoid(density * Normal(0.0, 1.0).log_prob(grid), grid).item()
    close(result.kl, kl_divergence(Normal(mean, sd), Normal(0.0, 1.0)).mean().item(), 0.004)
    close(result.mutual_information, entropy - Normal(mean, sd).entropy()[0].item(), 0.003)
    close(result.marginal, cross - entropy, 0.003)


def test_mutual_information_of_separate_posteriors_is_that_of_the_index():
    q = mixture(100 * torch.arange(8, dtype=FLOAT)[:, None], 1.0)
    at = densities_at_codes(q, *draw_codes(q, 500))
    information = elbo_surgery(at.conditional, at.aggregate, torch.zeros(500)).mutual_information
    assert information.value == pytest.approx(math.log(8))
