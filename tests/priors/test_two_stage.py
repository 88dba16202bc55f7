"""The second stage's bound against linear-Gaussian marginals, and its training on planted codes."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from priors import registry, two_stage
from priors.base import Batch, Codes
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.testing import toy_host
from priors.two_stage import TwoStage

GAMMA = 0.6
SHIFT = torch.tensor([0.5, -1.0], dtype=torch.float64)
STRAIGHT = torch.tensor([[1.5, 0.0], [0.0, 0.4]], dtype=torch.float64)
SKEWED = torch.tensor([[1.5, 0.3], [-0.6, 0.4]], dtype=torch.float64)
MEAN = torch.tensor([3.0, -20.0], dtype=torch.float64)
SCALE = torch.tensor([0.1, 4.0], dtype=torch.float64)


def make(dtype: torch.dtype = torch.float64, **settings: object) -> TwoStage:
    return registry.make("two-stage", toy_host(), **{"widths": (16, 16), **settings}).to(dtype)


def linear(loading: Tensor, samples: int = 64, off: float = 0.0) -> TwoStage:
    """y = A u + b + gamma e behind z = MEAN + SCALE y, through the heads' skip connections alone.

    The encoder has the exact posterior's mean and the variances that are best for a diagonal normal; `off` is added
    to its mean and to its log variance.
    """
    prior = make(samples=samples)
    precision = torch.eye(2) + loading.T @ loading / GAMMA**2
    gain = torch.linalg.solve(precision, loading.T) / GAMMA**2
    with torch.no_grad():
        for head, weight, bias in (
            (prior.decoder.head, loading, SHIFT),
            (
                prior.encoder.head,
                torch.cat([gain, torch.zeros(2, 2)]),
                torch.cat([-gain @ SHIFT, -precision.diagonal().log()]) + off,
            ),
        ):
            head.weight.zero_()
            head.weight[:, -2:] = weight
            head.bias.copy_(bias)
        prior.log_gamma.fill_(math.log(GAMMA))
    prior.mean.copy_(MEAN)
    prior.scale.copy_(SCALE)
    prior.settle()
    return prior


def marginal(loading: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of z."""
    covariance = loading @ loading.T + GAMMA**2 * torch.eye(2, dtype=torch.float64)
    return MEAN + SCALE * SHIFT, SCALE[:, None] * covariance * SCALE


def exact(loading: Tensor, z: Tensor) -> Tensor:
    mean, covariance = marginal(loading)
    return torch.from_numpy(multivariate_normal(mean.numpy(), covariance.numpy()).logpdf(z.numpy()))


def codes_near(loading: Tensor, n: int) -> Tensor:
    mean, covariance = marginal(loading)
    return mean + torch.randn(n, 2, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T


def close_to(draws: Tensor, expected: Tensor) -> None:
    """The mean of `draws` over its first dimension lies within 4 standard errors of `expected`."""
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 4 * error).all(), (draws.mean(0), expected, error)


def test_bound_is_exact_where_the_encoder_is():
    z = codes_near(STRAIGHT, 30).reshape(5, 6, 2)
    for samples in (1, 7):
        prior = linear(STRAIGHT, samples)
        torch.testing.assert_close(prior.log_prob(z), exact(STRAIGHT, z), rtol=0, atol=1e-10)


@pytest.mark.parametrize("samples", [1, 5])
def test_exponential_of_the_bound_is_unbiased_and_the_bound_is_below(samples):
    prior, z = linear(SKEWED, off=0.3), codes_near(SKEWED, 4)
    often = z.repeat(20_000, 1)
    with torch.no_grad():
        bounds = prior.bound(often, torch.randn(samples, *often.shape, dtype=torch.float64)).reshape(20_000, 4)
    truth = exact(SKEWED, z)
    close_to((bounds - truth).exp(), torch.ones(4, dtype=torch.float64))
    error = bounds.std(0) / math.sqrt(len(bounds))
    assert (bounds.mean(0) < truth - 4 * error).all()


def test_more_samples_tighten_the_bound():
    z = codes_near(SKEWED, 500)
    truth = exact(SKEWED, z).mean()
    with torch.no_grad():
        gaps = [
            (truth - linear(SKEWED, off=0.3).bound(z, torch.randn(s, 500, 2).double()).mean()).item()
            for s in (1, 10, 1000)
        ]
    assert gaps[0] > 2 * gaps[1] > 20 * abs(gaps[2])
    assert abs(gaps[2]) < 0.01


def test_density_is_deterministic_whatever_the_chunk(monkeypatch):
    prior, z = linear(SKEWED, samples=8, off=0.3), codes_near(SKEWED, 23)
    whole = prior.log_prob(z)
    assert torch.equal(prior.log_prob(z), whole)
    monkeypatch.setattr(two_stage, "ROWS", 40)
    sizes = []
    prior.decoder.register_forward_hook(lambda module, given, out: sizes.append(out.shape[:-1].numel()))
    torch.testing.assert_close(prior.log_prob(z), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(prior.frozen()(z[3:4]), whole[3:4], rtol=0, atol=1e-12)
    assert max(sizes) == 40


@pytest.mark.long
@pytest.mark.parametrize("samples", [1, 16])
def test_error_is_what_another_choice_of_noise_would_change(samples):
    """Against the spread over 400 priors of the mean over other draws; it moves no random state and is 0 before fit."""
    others, z = [], codes_near(SKEWED, 500)
    for _ in range(400):
        with torch.no_grad():
            others.append(linear(SKEWED, samples, off=0.3).log_prob(z).mean())
    prior, before = linear(SKEWED, samples, off=0.3), torch.get_rng_state()
    assert prior.log_prob_error == pytest.approx(torch.stack(others).std().item(), rel=0.35)  # of 64 sets: 9 % off
    assert torch.equal(before, torch.get_rng_state())
    assert make().log_prob_error == 0
    assert linear(STRAIGHT, samples).log_prob_error < 1e-9  # the exact posterior: any noise gives ln p


def test_draws_have_the_marginals_moments():
    prior = linear(SKEWED)
    z = prior.sample(20_000)
    mean, covariance = marginal(SKEWED)
    close_to(z, mean)
    close_to((z - mean)[:, :, None] * (z - mean)[:, None], covariance)


def test_heads_see_the_input_beside_the_last_hidden_layer():
    skip = two_stage.Skip(3, (5, 4), 2)
    z = torch.randn(6, 3)
    first, second = (layer for layer in skip.hidden.modules() if isinstance(layer, nn.Linear))
    h = (z @ first.weight.T + first.bias).relu()
    h = (h @ second.weight.T + second.bias).relu()
    expected = h @ skip.head.weight[:, :4].T + z @ skip.head.weight[:, 4:].T + skip.head.bias
    torch.testing.assert_close(skip(z), expected)


def test_it_is_the_standard_normal_until_it_is_fitted():
    prior, z = make(), 3 * torch.randn(20, 2, dtype=torch.float64)
    assert torch.equal(prior.log_prob(z), log_standard_normal(z))
    draws = prior.sample(20_000)
    close_to(draws, torch.zeros(2, dtype=torch.float64))
    close_to(draws.square(), torch.ones(2, dtype=torch.float64))
    assert prior.report() == ()
    assert (prior.players(), prior.shared_parameters()) == ((), ())


def two_clusters(n: int) -> tuple[DiagonalNormal, float]:
    """Posteriors of width 0.1 around (4, 1) and (8, -1), by halves, and the entropy of their mixture."""
    side = torch.arange(n) % 2
    mean = torch.tensor([[4.0, 1.0], [8.0, -1.0]])[side]
    entropy = 2 * 0.5 * math.log(2 * math.pi * math.e * 0.01) + math.log(2)
    return DiagonalNormal(mean, torch.full((n, 2), math.log(0.01))), entropy


@pytest.mark.long
def test_fit_finds_planted_codes():
    q, entropy = two_clusters(400)
    prior = make(torch.float32, widths=(48, 48), steps=1000, lr=2e-3)
    held_out = q.sample((3,)).flatten(0, 1)
    prior.mean.copy_(held_out.mean(0))
    prior.scale.copy_(held_out.std(0))
    with torch.no_grad():
        before = prior.loss(Batch(held_out))[0].item()
    prior.fit(Codes(lambda: q))
    with torch.no_grad():
        after = prior.loss(Batch(held_out))[0].item()
        bound = prior.log_prob(held_out).mean().item()
    assert after < before - 1
    assert -after < bound
    assert entropy - 0.1 < -bound < entropy + 1  # one normal with these moments: entropy + 2.4
    z = prior.sample(4000)
    torch.testing.assert_close(z.mean(0), held_out.mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(z.T.cov(), held_out.T.cov(), atol=0.1, rtol=0.2)
    near = torch.cdist(z, torch.tensor([[4.0, 1.0], [8.0, -1.0]])).amin(1) < 0.5
    assert near.float().mean() > 0.75  # of that normal's draws: 0.2
    (known,) = prior.report()
    assert known.name == "gamma"
    assert 0 < known.value < 0.3


def test_fit_draws_codes_afresh_and_standardises_them(monkeypatch):
    games = []
    monkeypatch.setattr(two_stage, "play", lambda players, draw, steps: games.append((players, draw, steps)))
    q = DiagonalNormal(torch.tensor([[5.0, 0.0]]).expand(2000, 2), torch.tensor([[1.0, 9.0]]).log().expand(2000, 2))
    prior = make(torch.float32, steps=7, batch_size=11, lr=1e-4)
    prior.fit(Codes(lambda: q[:2000]))
    torch.testing.assert_close(prior.mean, torch.tensor([5.0, 0.0]), atol=0.3, rtol=0)
    torch.testing.assert_close(prior.scale, torch.tensor([1.0, 3.0]), atol=0.3, rtol=0)
    ((players, draw, steps),) = games
    assert (steps, draw().shape) == (7, (11, 2))
    assert len(torch.cat([draw() for _ in range(1000)]).unique(dim=0)) > 10_000  # 2000 fixed codes would repeat
    assert [player.optimiser.lr for player in players] == pytest.approx([1e-4, 1e-2])
    trained = [id(parameter) for player in players for parameter in player.parameters]
    assert sorted(trained) == sorted(map(id, prior.parameters()))


def test_fit_is_done_once_and_the_state_is_the_law():
    q, _ = two_clusters(50)
    prior, loaded = (make(torch.float32, steps=5) for _ in range(2))
    prior.fit(Codes(lambda: q))
    loaded.load_state_dict(prior.state_dict())
    loaded.fit(Codes(lambda: pytest.fail("the codes are not needed")))
    z = q.sample()
    assert torch.equal(loaded.log_prob(z), prior.log_prob(z))
    assert not torch.allclose(prior.log_prob(z), log_standard_normal(z))


def test_fit_takes_deterministic_codes_with_a_constant_dimension():
    class Points(DiagonalNormal):
        def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
            return self.mean

        def __getitem__(self, index: object) -> Points:
            return Points(self.mean[index], self.log_variance[index])

    z = torch.cat([torch.randn(60, 1), torch.full((60, 1), 7.0)], 1)
    prior = make(torch.float32, steps=20, lr=1e-3)
    prior.fit(Codes(lambda: Points(z, torch.zeros_like(z))))
    assert prior.log_prob(z).isfinite().all()
    assert prior.sample(10)[:, 1].sub(7).abs().max() < 1e-3


@pytest.mark.parametrize(
    "settings", [{"samples": 0}, {"steps": -1}, {"batch_size": 0}, {"widths": ()}, {"widths": (0,)}, {"lr": 0.0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"two-stage needs {next(iter(settings))}"):
        make(**settings)
