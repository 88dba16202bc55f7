"""ln Z against closed forms, the trapezoid rule and annealed importance sampling; draws against the density."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, Normal

from priors.base import Codes, Unsupported
from priors.parts import importance, log_z, normal
from priors.parts.defensive import Defensive, as_normal
from priors.parts.energy import Energy
from priors.parts.importance import log_normaliser
from priors.parts.log_z import Estimates, LogZ, log_z_of
from priors.parts.mcmc import ais
from priors.parts.networks import code_critic
from priors.parts.normal import DiagonalNormal, NormalMixture, log_standard_normal
from priors.testing import toy_codes, toy_host


class Tilted(Energy):
    """f = N(z | 0, I) exp(-b ||z||^2 / 2): Z = (1 + b)^(-D/2), and p = N(0, I / (1 + b))."""

    def __init__(self, latent_dim: int = 2, b: float = 3.0, **settings: object):
        super().__init__(latent_dim, **settings)
        self.b = b

    def log_f(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) - 0.5 * self.b * z.square().sum(-1)


class Learned(Energy):
    """f = N(z | 0, I) exp(5 + scale T(z)), T a random network."""

    def __init__(self, scale: float = 2.0, **settings: object):
        super().__init__(2, **settings)
        self.scale = scale
        self.network = code_critic(2, (16,), nn.Tanh)
        nn.init.normal_(self.network.layers[0][0].weight, std=1.5)

    def log_f(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) + 5 + self.scale * self.network(z)


def codes(q: DiagonalNormal) -> Codes:
    return Codes(lambda: q)


def posteriors(count: int = 30, dim: int = 2, sd: float = 0.3, spread: float = 0.8) -> DiagonalNormal:
    mean = spread * torch.randn(count, dim, dtype=torch.float64)
    return DiagonalNormal(mean, 2 * math.log(sd) + 0.2 * torch.randn_like(mean))


def on_grid(log_p: Callable[[Tensor], Tensor], step: float = 0.05, end: float = 8.0) -> SimpleNamespace:
    """The integral of exp(log_p) over [-end, end]^2 by the trapezoid rule, and the moments under it."""
    axis = torch.arange(-end, end + step / 2, step, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = log_p(points).exp() * step**2
    mean = mass @ points / mass.sum()
    covariance = (mass[:, None] * (points - mean)).T @ (points - mean) / mass.sum()
    return SimpleNamespace(integral=mass.sum().item(), mean=mean, covariance=covariance)


def misfit(z: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """Largest distance of a moment of the rows from the expected one, in standard errors of independent rows."""
    centred = z - mean
    products = centred[:, :, None] * centred[:, None]
    pairs = [(z, mean), (products, covariance)]
    return max(((f.mean(0) - e).abs() / f.std(0) * math.sqrt(len(z))).max().item() for f, e in pairs)


# The proposal


def defensive_reference(q: DiagonalNormal) -> MixtureSameFamily:
    """Torch's own mixture: N(0, I) with weight 1/2, every posterior with 1/(2N)."""
    count, dim = q.mean.shape
    mean = torch.cat([torch.zeros(1, dim, dtype=torch.float64), q.mean.double()])
    sd = torch.cat([torch.ones(1, dim, dtype=torch.float64), (0.5 * q.log_variance.double()).exp()])
    weight = torch.tensor([0.5] + count * [0.5 / count], dtype=torch.float64)
    return MixtureSameFamily(Categorical(weight), Independent(Normal(mean, sd), 1))


@pytest.mark.parametrize("side", [7, 100, 512])
def test_proposal_density_is_torchs_in_any_chunks(side, monkeypatch):
    monkeypatch.setattr(normal, "SIDE", side)
    q, z = posteriors(), 2 * torch.randn(3, 40, 2, dtype=torch.float64)
    torch.testing.assert_close(Defensive(q).log_prob(z), defensive_reference(q).log_prob(z), rtol=1e-10, atol=1e-10)


def test_proposal_is_exact_for_narrow_posteriors_in_float32():
    q = DiagonalNormal(3 * torch.randn(50, 20), torch.full((50, 20), 2 * math.log(0.01)))
    r = Defensive(q)
    z = r.sample(200)
    assert z.dtype == torch.float32
    expected = defensive_reference(q).log_prob(z.double())
    torch.testing.assert_close(r.log_prob(z), expected, rtol=0, atol=1e-6)


def test_proposals_draw_from_their_density():
    q = posteriors(5)
    r = Defensive(q)
    grid = on_grid(r.log_prob)
    assert grid.integral == pytest.approx(1, abs=1e-6)
    assert misfit(r.sample(20_000), grid.mean, grid.covariance) < 4
    normal, posterior = r.sides(20_000)
    assert misfit(normal, torch.zeros(2), torch.eye(2)) < 4
    aggregated = on_grid(NormalMixture(q.mean, q.log_variance, torch.full((5,), -math.log(5)).double()).log_prob)
    assert misfit(posterior, aggregated.mean, aggregated.covariance) < 4


def test_proposal_moves_with_its_prior_and_is_no_part_of_its_state():
    prior = Tilted().double()
    prior.fit(codes(posteriors()))
    assert sorted(prior.state_dict()) == ["estimates", "log_z", "log_z_error", "particles"]
    assert list(prior.parameters()) == []
    prior.fit(codes(DiagonalNormal(torch.zeros(5, 2), torch.zeros(5, 2))))  # codes of a model in float32
    assert prior.sample(5).dtype == torch.float64
    single = prior.float()
    assert single.sample(5).dtype == single.log_prob(torch.zeros(2)).dtype == torch.float32


def test_codes_of_any_law_become_normals():
    q = posteriors()
    assert as_normal(q) is q
    scale = 0.1 + torch.rand(4, 3)
    normal = as_normal(Independent(Laplace(torch.randn(4, 3), scale), 1))
    torch.testing.assert_close(normal.variance, 2 * scale.square())

    class Truncated(DiagonalNormal):
        def untruncated(self) -> DiagonalNormal:
            return q

    assert as_normal(Truncated(q.mean, q.log_variance - 1)) is q


def test_deterministic_codes_are_refused():
    point = Independent(Normal(torch.zeros(4, 3), 1e-30 * torch.ones(4, 3)), 1)  # its variance is 0 in float32
    with pytest.raises(Unsupported, match="deterministic"):
        as_normal(point)


# ln Z


def test_log_z_of_strata_by_hand():
    a, b = (torch.tensor(w, dtype=torch.float64) for w in ([1.0, 3.0], [2.0, 2.0, 5.0, 7.0]))
    found = log_z_of(a.log() + 1000, b.log() + 1000)
    assert found.value == pytest.approx(1000 + math.log((2 + 4) / 2))
    assert found.error == pytest.approx(math.sqrt((2 / 2 + 6 / 4) / 4) / 3)
    assert found.effective == pytest.approx(20**2 / (6 * 92))


@pytest.mark.long
def test_log_z_agrees_with_the_trapezoid_rule():
    host = toy_host(dtype=torch.float64, count=8)
    prior = Learned(1.0, draws=1_000_000).double()
    exact = on_grid(prior.log_f)
    assert abs(math.log(exact.integral)) > 3
    prior.fit(toy_codes(host))
    assert prior.log_prob_error < 1e-3
    assert prior.log_z.item() == pytest.approx(math.log(exact.integral), abs=1e-3)
    assert on_grid(prior.log_prob).integral == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("b", "dim"), [(0.0, 3), (0.5, 20), (3.0, 2), (-0.4, 2)])
def test_log_z_of_tilted_normals(b, dim):
    prior = Tilted(dim, b).double()
    prior.fit(codes(posteriors(dim=dim)))
    assert abs(prior.log_z.item() + dim / 2 * math.log(1 + b)) < 4 * prior.log_prob_error + 1e-6  # b = 0: no error
    assert prior.log_prob_error < 0.05


@pytest.mark.long
def test_the_error_of_log_z_is_honest():
    """30 estimates: none is off by more than 4 errors, and their spread is the error that they report."""
    exact, estimates = -2 * math.log(2), []
    for _ in range(30):
        prior = Tilted(4, 1.0, draws=1000, particles=64).double()
        prior.fit(codes(posteriors(dim=4)))
        estimates.append((prior.log_z.item(), prior.log_prob_error))
    value, error = torch.tensor(estimates, dtype=torch.float64).T
    assert ((value - exact).abs() < 4 * error).all()
    assert 1 / 2 < value.std() / error.mean() < 2
    assert abs(value.mean() - exact) < 4 * value.std() / math.sqrt(30)


def test_strata_lower_the_error():
    """Where draws from N(0, I) have next to no weight, how many of them there are is noise that strata leave out."""
    q = posteriors(5, 20)
    aggregated = NormalMixture(q.mean, q.log_variance, torch.full((5,), -math.log(5), dtype=torch.float64))
    r = Defensive(q)
    mixed = log_z_of(importance.log_weights(aggregated.log_prob, r, r.sample(20_000)))
    halves = log_normaliser(aggregated.log_prob, r, 20_000)
    assert mixed.error == pytest.approx(1 / math.sqrt(20_000), rel=0.05)
    assert halves.error < 0.1 * mixed.error
    assert abs(halves.value - mixed.value) < 4 * math.hypot(halves.error, mixed.error)


@pytest.mark.long
def test_narrow_posteriors_in_40_dimensions():
    """f is the aggregated posterior, tilted: Z = mean_j exp(c m_j + c V_j c / 2) exp(3).

    The defensive mixture and annealed importance sampling find it; draws from N(0, I) alone are off by many nats,
    with an error that says nothing of it.
    """
    q, c = posteriors(20, 40, spread=0.6), 0.1 * torch.randn(40, dtype=torch.float64)
    aggregated = NormalMixture(q.mean, q.log_variance, torch.full((20,), -math.log(20), dtype=torch.float64))

    def log_f(z: Tensor) -> Tensor:
        return aggregated.log_prob(z) + z @ c + 3

    exact = (q.mean @ c + 0.5 * q.variance @ c.square()).logsumexp(0).item() - math.log(20) + 3
    start = torch.randn(20_000, 40, dtype=torch.float64)
    mixture = log_normaliser(log_f, Defensive(q), 20_000)
    annealed = log_z_of(ais(log_f, start[:500], torch.linspace(0, 1, 200).tolist(), 0.15, 5))
    plain = log_z_of(log_f(start) - log_standard_normal(start))
    assert abs(mixture.value - exact) < 4 * mixture.error
    assert mixture.error < 0.02
    assert abs(annealed.value - exact) < 4 * annealed.error
    assert annealed.error < 0.4
    assert abs(annealed.value - mixture.value) < 4 * math.hypot(annealed.error, mixture.error)
    assert plain.value < exact - 8
    assert plain.value + 4 * plain.error < exact - 8


def test_log_f_is_computed_in_chunks_and_without_a_gradient(monkeypatch):
    monkeypatch.setattr(importance, "ROWS", 100)
    seen: list[int] = []

    def log_f(z: Tensor) -> Tensor:
        seen.append(len(z))
        return log_standard_normal(z) * torch.ones((), requires_grad=True)

    log_normaliser(log_f, Defensive(posteriors()), 502)
    assert seen == [100, 100, 51, 100, 100, 51]


# The prior


def test_log_z_is_zero_until_the_fit_and_saved_with_its_error():
    prior, z = Tilted(), torch.randn(7, 2)
    assert torch.equal(prior.log_prob(z), prior.log_f(z))
    assert (prior.log_prob_error, list(prior.report())) == (0.0, [])
    prior.fit(codes(posteriors()))
    torch.testing.assert_close(prior.log_prob(z), prior.log_f(z) - prior.log_z)
    loaded = Tilted()
    loaded.load_state_dict(prior.state_dict())
    assert torch.equal(loaded.log_prob(z), prior.log_prob(z))
    assert loaded.log_prob_error == prior.log_prob_error > 0
    torch.testing.assert_close(prior.frozen()(z), prior.log_prob(z))


def test_a_second_fit_keeps_what_the_first_estimated():
    prior = Tilted()
    prior.fit(codes(posteriors()))
    first, loaded = prior.log_z.item(), Tilted(b=0.5)
    loaded.load_state_dict(prior.state_dict())
    loaded.fit(codes(posteriors()))
    assert first == pytest.approx(-math.log(4), abs=4 * 0.02)
    assert loaded.log_z.item() == first
    assert loaded.report() == prior.report()


def test_report():
    prior = Tilted(sampling="mcmc", moves=5).double()
    prior.fit(codes(posteriors()))
    known = {one.name: one for one in prior.report()}
    both = ["log_z_mixture", "log_z_mixture_effective", "log_z_mixture_pareto_k"]
    both += ["log_z_annealed", "log_z_annealed_effective", "log_z_disagreement"]
    assert list(known) == ["log_z", *both]
    assert known["log_z"].unit == "nats"
    assert (known["log_z"].value, known["log_z"].error) == (prior.log_z.item(), prior.log_prob_error)
    assert 0.1 < known["log_z_mixture_effective"].value < 1
    assert known["log_z_mixture_pareto_k"].value < 0.7
    assert known["log_z_annealed_effective"].value > 0.9
    step_size = prior.step_size
    prior.sample(2000)
    assert prior.report()[-1].name == "mcmc_acceptance"
    assert prior.report()[-1].value == pytest.approx(0.57, abs=0.05)
    assert prior.step_size == step_size  # frozen


# Two estimates of ln Z


class Far(Energy):
    """f = e^5 N(z | m, s^2 I), |m| = 6 and s = 0.3 in 40 dimensions: ln Z = 5, far from N(0, I) and from the codes."""

    def __init__(self, **settings: object):
        super().__init__(40, **settings)
        self.law = DiagonalNormal(torch.full((40,), 6 / math.sqrt(40)), torch.full((40,), 2 * math.log(0.3)))

    def log_f(self, z: Tensor) -> Tensor:
        return 5 + self.law.log_prob(z)


@pytest.mark.long
def test_annealing_finds_in_40_dimensions_what_the_mixture_misses():
    prior = Far(sampling="mcmc", moves=5)
    prior.fit(codes(DiagonalNormal(0.5 * torch.randn(100, 40), torch.full((100, 40), 2 * math.log(0.2)))))
    mixture, annealed = prior.fitted
    assert mixture.value < -80
    assert mixture.error < 1.5  # and says nothing of it
    assert not mixture.reliable
    assert prior.fitted.kept == annealed
    assert abs(annealed.value - 5) < 4 * annealed.error < 1
    assert prior.reliable
    assert prior.from_particles
    assert prior.sampler == "5 MALA steps from 1024 annealed particles"
    z = prior.sample(500)
    assert ((z - prior.law.mean).square().sum(1) / 0.3**2).mean().item() == pytest.approx(40, abs=4)


class Spikes(Energy):
    """Narrow spikes on every code: no path from N(0, I) finds them, and the mixture does."""

    def __init__(self, q: DiagonalNormal, **settings: object):
        super().__init__(q.mean.shape[1], **settings)
        self.law = NormalMixture(q.mean, q.log_variance, torch.full((len(q.mean),), -math.log(len(q.mean))))

    def log_f(self, z: Tensor) -> Tensor:
        return self.law.log_prob(z).to(z.dtype)


@pytest.mark.long
def test_the_mixture_is_kept_where_annealing_misses_the_codes():
    q = posteriors(30, 20, sd=0.01, spread=3.0)
    prior = Spikes(q).double()
    prior.fit(codes(q))
    mixture, annealed = prior.fitted
    assert annealed.value < -1
    assert prior.fitted.kept == mixture
    assert abs(mixture.value) < 4 * mixture.error + 1e-6 < 0.1
    assert prior.reliable
    assert not prior.from_particles


def test_an_estimate_that_says_little_is_called_unreliable():
    prior = Tilted()
    prior.fit(codes(posteriors()))
    low, poor = LogZ(-30.0, 0.1, 0.5), LogZ(0.0, 0.7, 1e-4)
    heavy, apart = LogZ(0.0, 0.1, 0.5, pareto_k=0.9), LogZ(0.0, 0.7, 0.3, least=0.5)
    for fitted in ((poor, low), (low, poor), (heavy, low), (low, apart)):
        prior.fitted = Estimates(*fitted)
        assert prior.fitted.kept == max(fitted, key=lambda one: one.value)
        assert not prior.reliable
    prior.fitted = Estimates(heavy, LogZ(0.1, 0.3, 0.9, least=0.5))  # in agreement, and less precise
    assert prior.fitted.kept == prior.fitted[1]
    assert prior.reliable


def test_the_groups_error_has_student_s_quantile():
    groups = torch.randn(log_z.GROUPS, dtype=torch.float64) * 0.1
    wider = stats.t.ppf(0.975, log_z.GROUPS - 1) / stats.norm.ppf(0.975)
    assert log_z.by_groups(groups).error == pytest.approx(wider * log_z_of(groups).error, rel=1e-3)


def test_validation_estimates_log_z_unless_it_goes_the_paper_s_way():
    q, z = posteriors(), torch.randn(4, 2)
    prior, paper = Tilted(), Tilted(selection="paper")
    known = prior.before_validation(codes(q))
    assert known["log_z"] == pytest.approx(-math.log(4), abs=4 * known["log_z_error"] + 1e-6)
    torch.testing.assert_close(prior.log_prob(z), prior.log_f(z) - known["log_z"])
    assert paper.before_validation(codes(q)) == {}
    torch.testing.assert_close(paper.log_prob(z), paper.log_f(z))
    assert prior.log_prob_error == 0  # only a fit states one


@pytest.mark.parametrize("settings", [{}, {"sampling": "mcmc", "moves": 10}])
@pytest.mark.parametrize("fitted", [False, True])
def test_draws_have_the_moments_of_the_density(settings, fitted):
    prior = Learned(3.0, oversample=40, **settings).double()
    grid = on_grid(prior.log_f)
    if fitted:
        prior.fit(codes(posteriors()))
    z = prior.sample(2000)
    assert (z.shape, z.requires_grad) == ((2000, 2), False)
    assert misfit(z, grid.mean, grid.covariance) < 4
    assert misfit(prior.proposal.sample(2000), grid.mean, grid.covariance) > 5  # so that resampling did it


def test_moves_separate_equal_draws():
    resampled, moved = (Tilted(sampling=sampling, oversample=1).sample(1000) for sampling in ("resampling", "mcmc"))
    assert len(resampled.unique(dim=0)) < 700
    assert len(moved.unique(dim=0)) > 990


def test_moves_repair_poor_resampling():
    """With D = 20 and proposals from N(0, I) alone few proposals carry all the weight; the chains forget it."""
    truth = torch.zeros(20, dtype=torch.float64), torch.eye(20, dtype=torch.float64) / 4
    poor, moved = (Tilted(20, sampling=sampling).double().sample(1000) for sampling in ("resampling", "mcmc"))
    assert misfit(poor, *truth) > 8
    assert misfit(moved, *truth) < 5


@pytest.mark.long
def test_one_draw_is_resampled_from_many():
    draws = torch.cat([Tilted(oversample=1).sample(1) for _ in range(1000)])
    assert misfit(draws, torch.zeros(2), torch.eye(2) / 4) < 4


@pytest.mark.parametrize(("name", "value"), [("draws", 3), ("particles", 63), ("oversample", 0), ("moves", 0)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"tilted needs {name} >= \d+, not {value}"):
        Tilted(**{name: value})
