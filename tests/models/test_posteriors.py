"""Laws q(z|x): densities against SciPy, autograd's Jacobians and grids; draws, gradients, indexing, number types."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from zuko.transforms import AutoregressiveTransform

from models.flow_posteriors import FlowedNormal, PlanarTransform, mirrored_noise
from models.posteriors import CUT, POSTERIORS, FlowPosterior, Posterior
from priors.base import Unsupported
from priors.parts.normal import DiagonalNormal

STOCHASTIC = [name for name, kind in POSTERIORS.items() if kind.stochastic]
FLOWS = ["planar", "iaf"]
DRAWS = 20_000
BATCH = 5


def posterior(name: str, latent_dim: int = 2, dtype: torch.dtype = torch.float64, seed: int = 0) -> Posterior:
    """At random weights, those of flows large enough to bend the normal."""
    torch.manual_seed(seed)
    made = POSTERIORS[name](latent_dim).to(dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            size = 0.4 if name == "planar" else 0.8 / math.sqrt(parameter.shape[-1])
            parameter += size * torch.randn_like(parameter)
    return made


def encoded(made: Posterior, batch: int = BATCH, dtype: torch.dtype = torch.float64) -> Tensor:
    """What an encoder gives, mean and log variance of the order of one."""
    torch.manual_seed(3)
    return 0.7 * torch.randn(batch, made.outputs, dtype=dtype)


def law(name: str, latent_dim: int = 2, batch: int = BATCH, seed: int = 0) -> Distribution:
    made = posterior(name, latent_dim, seed=seed)
    with torch.no_grad():
        return made(encoded(made, batch))


def of_dimensions(*dimensions: int) -> list[tuple[int, str]]:
    """All laws of these dimensions; two levels need two."""
    return [(n, name) for n in dimensions for name in STOCHASTIC if n > 1 or name != "two-level"]


def copy(z: Tensor) -> Tensor:
    """The same codes as another object, of which a flow does not know the density."""
    return z.detach().clone()


def close_to(draws: Tensor, expected: Tensor) -> None:
    """The mean of `draws` over its first dimension lies within 4 standard errors of `expected`."""
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 4 * error).all(), (draws.mean(0), expected, error)


def spread(values: Tensor, draws: int) -> Tensor:
    return values.std(0) / math.sqrt(draws)


# Laws over all posteriors


@pytest.mark.parametrize("name", POSTERIORS)
def test_shapes(name):
    q = law(name, latent_dim=3)
    assert (q.batch_shape, q.event_shape) == ((BATCH,), (3,))
    assert q.mean.shape == q.variance.shape == q.sample().shape == (BATCH, 3)
    assert q.rsample((7,)).shape == (7, BATCH, 3)
    if POSTERIORS[name].stochastic:
        assert q.log_prob(q.sample()).shape == (BATCH,)
        assert q.log_prob(q.sample((7,))).shape == (7, BATCH)
        assert q.log_prob(q.sample((7,))[:4]).shape == (4, BATCH)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_draws_have_the_moments(name):
    q = law(name, latent_dim=3)
    z = q.sample((DRAWS,))
    # a flow's own moments come from 256 draws
    own = (2 * spread(z, 256), 2 * spread((z - z.mean(0)).square(), 256)) if name in FLOWS else (0, 0)
    assert ((z.mean(0) - q.mean).abs() < 4 * spread(z, DRAWS) + own[0]).all()
    squares = (z - z.mean(0)).square()
    assert ((squares.mean(0) - q.variance).abs() < 4 * spread(squares, DRAWS) + own[1]).all()


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("index", [slice(1, 2), slice(2, 5), 3, torch.tensor([4, 0, 4])])
def test_indexed_over_the_batch(name, index):
    q = law(name)
    z = q.sample()  # a draw before does not matter
    torch.testing.assert_close(q[index].log_prob(copy(z[index])), q.log_prob(z)[index], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(q[index].mean, q.mean[index], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(q[index].variance, q.variance[index], rtol=1e-9, atol=1e-9)
    draw = q[index].sample((6,))
    assert draw.shape == (6, *z[index].shape)
    assert q[index].log_prob(draw).shape == draw.shape[:-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", POSTERIORS)
def test_type_is_kept(name, dtype):
    made = posterior(name, dtype=dtype)
    q = made(encoded(made, dtype=dtype))
    z = q.rsample((3,))
    assert z.dtype == q.mean.dtype == q.variance.dtype == dtype
    if made.stochastic:
        assert q.log_prob(z).dtype == q.log_prob(copy(z)).dtype == dtype


@pytest.mark.long
@pytest.mark.parametrize(("latent_dim", "name"), of_dimensions(1, 2, 40))
def test_float32_agrees_with_float64(name, latent_dim):
    made = posterior(name, latent_dim, torch.float32)
    h = encoded(made, 200, torch.float32)
    q = made(h)
    z = q.sample()
    single = q.log_prob(copy(z)).double()
    expected = made.double()(h.double()).log_prob(z.double())
    torch.testing.assert_close(single, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("latent_dim", "name"), of_dimensions(1, 3))
def test_gradient_reaches_encoder_and_flow(name, latent_dim):
    made = posterior(name, latent_dim)
    h = encoded(made).requires_grad_()
    q = made(h)
    z = q.rsample((4,))
    for value in (z.square().sum(), q.log_prob(z).sum()):
        for gradient in torch.autograd.grad(value, [h, *made.parameters()], retain_graph=True):
            assert gradient.isfinite().all()
            assert gradient.abs().max() > 0


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in STOCHASTIC if name != "two-level"])  # 300 units take longer
def test_kl_to_the_standard_normal_descends(name):
    """E[ln q - ln N] has its minimum, 0 but for the truncated law, at q = N(0, I)."""
    made = posterior(name)
    h = encoded(made).requires_grad_()
    weights = [h, *made.parameters()]
    adam = torch.optim.Adam(weights, lr=0.02)
    kl = []
    for _ in range(250):
        q = made(h)
        z = q.rsample((32,))
        loss = (q.log_prob(z) + 0.5 * z.square().sum(-1) + math.log(2 * math.pi)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        kl.append(loss.item())
    assert kl[0] > 0.3
    assert np.mean(kl[-50:]) < (0.15 if name == "truncated-normal" else 0.05)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_autocast_changes_nothing(name):
    made = posterior(name, dtype=torch.float32)
    h, z = encoded(made, dtype=torch.float32), torch.randn(BATCH, 2)

    def figures(enabled: bool) -> tuple[Tensor, ...]:
        torch.manual_seed(4)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            q = made(h)
            drawn = q.rsample()
            return q.mean, q.variance, drawn, q.log_prob(drawn), q.log_prob(z)

    for exact, half in zip(figures(False), figures(True), strict=True):
        assert torch.equal(exact, half)


def test_log_variance_is_clipped():
    normals = {"normal": lambda q: q, "truncated-normal": lambda q: q.untruncated(), "two-level": lambda q: q.top}
    for name in STOCHASTIC:
        made = POSTERIORS[name](4 if name == "two-level" else 2, (-3.0, 1.0))
        q = made(torch.tensor([[0.5, -0.5, -9.0, 9.0, *[0.0] * 300]])[:, : made.outputs])
        normal = normals.get(name, lambda q: q.base)(q)
        assert (normal.mean.tolist(), normal.log_variance.tolist()) == ([[0.5, -0.5]], [[-3.0, 1.0]])


# The truncated normal


def reference(q: Distribution) -> scipy.stats.rv_continuous:
    normal = q.untruncated()
    return scipy.stats.truncnorm(-2, 2, normal.mean.numpy(), normal.stddev.numpy())


def test_truncated_normal_is_scipys():
    q = law("truncated-normal", 3)
    theirs = reference(q)
    z = q.untruncated().sample((2000,))
    expected = torch.from_numpy(theirs.logpdf(z.numpy())).sum(-1)
    outside = expected == -torch.inf
    assert 0.05 < outside.double().mean() < 0.3  # 1 - 0.9545^3
    torch.testing.assert_close(q.log_prob(z), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(q.mean, torch.from_numpy(theirs.mean()))
    torch.testing.assert_close(q.variance, torch.from_numpy(theirs.var()))


def test_truncated_normal_is_the_normal_over_its_mass():
    q = law("truncated-normal", 3)
    z = q.sample((100,))
    shift = q.log_prob(z) - q.untruncated().log_prob(z)
    assert isinstance(q.untruncated(), DiagonalNormal)
    torch.testing.assert_close(shift, torch.full_like(shift, -3 * math.log(0.9545)), rtol=0, atol=1e-4)
    near, far = ((1 + sign * 1e-4) * CUT * q.untruncated().stddev for sign in (-1, 1))
    assert q.log_prob(q.mean + near).isfinite().all()
    assert (q.log_prob(q.mean - far) == -torch.inf).all()


def test_mass_of_the_truncated_normal_is_one():
    q = law("truncated-normal", 1, batch=1)
    edge = CUT * q.untruncated().stddev.item()
    z = torch.linspace(-edge, edge, 10_001, dtype=torch.float64) + q.mean.item()
    assert torch.trapezoid(q.log_prob(z[:, None]).exp(), z).item() == pytest.approx(1, abs=1e-6)


def test_truncated_draws_have_scipys_law():
    q = law("truncated-normal", 1, batch=1)
    standard = ((q.sample((DRAWS,)) - q.mean) / q.untruncated().stddev).flatten()
    assert scipy.stats.kstest(standard.numpy(), scipy.stats.truncnorm(-2, 2).cdf).pvalue > 0.001
    q = law("truncated-normal", 3)
    z, theirs = q.sample((DRAWS,)), reference(q)
    close_to(z, torch.from_numpy(theirs.mean()))
    close_to((z - q.mean).square(), torch.from_numpy(theirs.var()))


@pytest.mark.parametrize("mean", [0.0, 5.0, -300.0])
@pytest.mark.parametrize("log_variance", [-12.0, 0.0, 4.0])
def test_truncated_draws_stay_inside_in_float32(mean, log_variance, monkeypatch):
    made = POSTERIORS["truncated-normal"](1)
    q = made(torch.tensor([[mean, log_variance]]))
    edges = torch.tensor([0.0, 2.0**-24, 2.0**-12, 0.5, 1 - 2.0**-12, 1 - 2.0**-24])  # of torch.rand
    monkeypatch.setattr(torch, "rand", lambda shape, **_: edges.reshape(shape))
    h = torch.tensor([[mean, log_variance]], requires_grad=True)
    q = made(h)
    z = q.rsample((6,))
    assert q.log_prob(z).isfinite().all()
    assert q[0:1].log_prob(copy(z)).isfinite().all()
    assert POSTERIORS["truncated-normal"](1)(h.double()).log_prob(z.double()).isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(z.sum() + q.log_prob(z).sum(), h))
    far = q.mean + torch.tensor([[-1.5], [1.5]]) * CUT * q.untruncated().stddev
    assert (q.log_prob(far) == -torch.inf).all()


def test_truncated_draws_carry_the_gradient_of_mean_and_log_variance():
    made = POSTERIORS["truncated-normal"](2)
    h = torch.randn(1, 4, dtype=torch.float64, requires_grad=True)
    q = made(h)
    z = q.rsample()
    (gradient,) = torch.autograd.grad(z.sum(), h)
    torch.testing.assert_close(gradient[:, :2], torch.ones(1, 2).double())
    torch.testing.assert_close(gradient[:, 2:], 0.5 * (z - q.mean).detach())


# The point


def test_point_has_draws_but_no_density():
    made = POSTERIORS["deterministic"](3)
    h = torch.randn(4, 3, requires_grad=True)
    q = made(h)
    assert not made.stochastic
    assert made.outputs == 3
    assert torch.equal(q.mean, h)
    assert torch.equal(q.rsample((2,)), torch.stack([h, h]))
    assert not q.sample().requires_grad
    assert (q.variance == 0).all()
    assert torch.equal(q[1:3].mean, h[1:3])
    assert torch.equal(q[torch.tensor([2, 0])].rsample(), h[[2, 0]])
    assert torch.autograd.grad(q.rsample().sum(), h)[0].eq(1).all()
    with pytest.raises(Unsupported, match=r"deterministic.*no density.*no NLL or KL"):
        q.log_prob(h)


# Flows


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
@pytest.mark.parametrize("name", FLOWS)
def test_density_is_the_change_of_variables_by_autograd(name, latent_dim):
    q = law(name, latent_dim)
    e = q.base.sample()
    for i in range(BATCH):
        f = q.flow(q.context[i])
        jacobian = torch.autograd.functional.jacobian(f, e[i])
        expected = Independent(Normal(q.base.mean[i], q.base.stddev[i]), 1).log_prob(e[i]) - jacobian.det().abs().log()
        torch.testing.assert_close(q[i].log_prob(f(e[i]).detach()), expected.detach(), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", FLOWS)
def test_flow_is_not_the_identity(name):
    q = law(name, 3)
    e = q.base.sample((100,))
    with torch.no_grad():
        moved, log_det = q.flow(q.context).call_and_ladj(e)
    assert (moved - e).abs().mean() > 0.3
    assert log_det.std() > 0.1


@pytest.mark.parametrize("sample_shape", [(), (16,), (3, 2)])
@pytest.mark.parametrize("name", FLOWS)
def test_density_of_the_last_draw_is_that_by_inversion(name, sample_shape):
    q = law(name, 3)[1:2]
    for draw in (q.rsample, q.sample):
        z = draw(sample_shape)
        known = q.log_prob(z)
        assert known.shape == (*sample_shape, 1)
        assert q.log_prob(z) is known
        torch.testing.assert_close(q.log_prob(copy(z)), known, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", FLOWS)
def test_the_last_draw_is_not_inverted_and_any_other_is(name, monkeypatch):
    made, inverted = posterior(name), []
    for kind in (PlanarTransform, AutoregressiveTransform):
        inverse = kind._inverse
        monkeypatch.setattr(kind, "_inverse", lambda self, y, inverse=inverse: inverted.append(1) or inverse(self, y))
    q = made(encoded(made))
    first, second = q.rsample((4,)), q.rsample((4,))
    q.log_prob(second)
    assert not inverted
    for z in (first, second[:2]):
        inverted.clear()
        q.log_prob(z)
        assert inverted


@pytest.mark.parametrize("name", FLOWS)
def test_gradient_by_inversion_is_that_of_the_draw(name):
    """d/dphi of ln q(z(phi)), z drawn: known with the draw, or through the inverse of the same z with its gradient."""
    made = posterior(name, 3)
    h = encoded(made).requires_grad_()
    q = made(h)
    z = q.rsample()
    weights = [h, *made.parameters()]
    known = torch.autograd.grad(q.log_prob(z).sum(), weights, retain_graph=True, allow_unused=True)
    inverted = torch.autograd.grad(q.log_prob(z * 1).sum(), weights, allow_unused=True)
    for a, b in zip(known, inverted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", FLOWS)
def test_gradient_of_a_foreign_density_is_the_finite_difference(name):
    made = posterior(name)
    h, z = encoded(made).requires_grad_(), torch.randn(BATCH, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda h: made(h).log_prob(z), h, atol=1e-5)
    assert torch.autograd.gradcheck(lambda z: made(h.detach()).log_prob(z), z.requires_grad_(), atol=1e-5)


@pytest.fixture(scope="module", params=FLOWS)
def grid(request: pytest.FixtureRequest) -> SimpleNamespace:
    """A flow's density on a grid over [-8, 8]^2, where the trapezoid rule is a plain sum."""
    q, step = law(request.param, batch=1), 0.05
    axis = torch.arange(-8, 8, step, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_q = torch.cat([q.log_prob(part) for part in points.split(20_000)])
    return SimpleNamespace(q=q, points=points, log_q=log_q, mass=log_q.exp() * step**2, step=step)


@pytest.mark.long
def test_mass_of_a_flow_is_one(grid):
    assert grid.mass.sum().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.long
def test_draws_of_a_flow_have_its_density(grid):
    z = grid.q.sample((DRAWS,))[:, 0]
    close_to(-grid.q.log_prob(copy(z)), -(grid.mass * grid.log_q).sum())
    close_to(z, grid.mass @ grid.points)
    for corner in ((z[:10] / grid.step).round() + 0.5) * grid.step:  # between two rows of points
        below = (grid.points < corner).all(1).double()
        close_to((z < corner).all(1).double(), (below * grid.mass).sum())


@pytest.mark.parametrize("name", FLOWS)
def test_moments_are_the_same_at_every_call_and_of_unit_noise(name):
    q, again = law(name, 3), law(name, 3)
    torch.manual_seed(99)
    assert torch.equal(q.mean, again.mean)
    before = torch.get_rng_state()
    assert torch.equal(q.variance, again.variance)
    assert torch.equal(torch.get_rng_state(), before)
    noise = mirrored_noise(3)
    torch.testing.assert_close(noise.mean(0), torch.zeros(3).double())
    torch.testing.assert_close(noise.square().mean(0), torch.ones(3).double())


def test_moments_are_exact_where_the_flow_is_affine():
    made = posterior("iaf", 3)
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            if "weight" in key:
                parameter.zero_()
        q = made(encoded(made))
        scale = torch.autograd.functional.jacobian(q.flow(q.context[0]), q.base.mean[0]).diagonal()
        torch.testing.assert_close(q.mean, q.flow(q.context)(q.base.mean))
    torch.testing.assert_close(q.variance, scale.square() * q.base.variance)


def test_moments_of_narrow_laws_far_from_zero_keep_their_digits():
    made = posterior("iaf", 2, torch.float32)
    h = encoded(made, dtype=torch.float32)
    h[:, :2], h[:, 2:4] = 30, -12
    single, double = made(h).variance.double(), made.double()(h.double()).variance
    torch.testing.assert_close(single, double, rtol=0.02, atol=0)


def test_planar_flow_is_the_formula_and_stays_invertible():
    made = posterior("planar", 3)
    (planar, *_), e = made.flow.transforms, torch.randn(50, 3, dtype=torch.float64)
    with torch.no_grad():
        for size in (0.1, 3.0, 300.0):
            planar.u.copy_(size * torch.randn(3))
            w, u, b = planar.w, planar.u, planar.b
            v = u + (torch.nn.functional.softplus(w @ u) - 1 - w @ u) * w / (w @ w)
            assert w @ v >= -1
            expected = e + v * (e @ w + b).tanh()[:, None]
            torch.testing.assert_close(planar()(e), expected)
            torch.testing.assert_close(planar().inv(expected), e, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_planar_inverse_has_the_precision_of_its_type(dtype):
    made = posterior("planar", 4, dtype)
    e = torch.randn(500, 4, dtype=dtype)
    with torch.no_grad():
        for planar in made.flow.transforms:
            transform = planar()
            z, log_det = transform.call_and_ladj(e)
            error = (transform(transform.inv(z)) - z).abs().max()
            assert error < 100 * torch.finfo(dtype).eps * (1 + z.abs().max())
            assert log_det.isfinite().all()


@pytest.mark.parametrize("name", FLOWS)
def test_flows_start_near_the_normal(name):
    made = POSTERIORS[name](3).double()
    h = encoded(made)
    q = made(h)
    z = q.base.sample((500,))
    with torch.no_grad():
        moved = q.flow(q.context)(z)
    correlation = np.corrcoef(moved[:, 0, 0], z[:, 0, 0])[0, 1]
    assert correlation > 0.9
    assert (moved.std(0) / z.std(0)).min() > 0.3


def test_iaf_is_an_affine_map_of_each_dimension_given_those_before():
    q = law("iaf", 4)
    first, second, *_ = (step(q.context[0]) for step in posterior("iaf", 4).flow.transforms)
    e = torch.randn(4, dtype=torch.float64)
    lower = torch.autograd.functional.jacobian(first, e)
    upper = torch.autograd.functional.jacobian(second, e)
    assert torch.equal(lower.triu(1), torch.zeros(4, 4).double())
    assert torch.equal(upper.tril(-1), torch.zeros(4, 4).double())
    assert (lower.tril(-1) != 0).sum() == (upper.triu(1) != 0).sum() == 6
    gates = torch.cat([lower.diagonal(), upper.diagonal()])
    assert ((gates > 0) & (gates < 1)).all()


def test_iaf_reads_numbers_of_its_own_off_the_encoder():
    made = posterior("iaf")
    assert (made.outputs, posterior("planar").outputs) == (6, 4)
    h = encoded(made)
    other = h.clone()
    other[:, 4:] += 1.0
    z = torch.randn(BATCH, 2, dtype=torch.float64)
    assert ((made(h).log_prob(z) - made(other).log_prob(z)).abs() > 1e-3).all()


@pytest.mark.parametrize("name", FLOWS)
def test_number_of_flows(name):
    assert len(POSTERIORS[name](2).flow.transforms) == {"planar": 20, "iaf": 4}[name]
    assert len(POSTERIORS[name](2, flows=3).flow.transforms) == 3
    with pytest.raises(ValueError, match="flows >= 1"):
        POSTERIORS[name](2, flows=0)


def test_flow_posteriors_are_what_the_registry_says():
    assert sorted(POSTERIORS) == [
        "deterministic",
        "iaf",
        "masked",
        "normal",
        "planar",
        "quantised",
        "truncated-normal",
        "two-level",
    ]
    for name in FLOWS:
        assert isinstance(POSTERIORS[name](2), FlowPosterior)
        assert isinstance(law(name), FlowedNormal)
