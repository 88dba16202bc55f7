"""Flow priors: densities on grids, Jacobians by autograd, inverses, and dpVAE's KL with its errata."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from zuko.flows.coupling import GeneralCouplingTransform

from priors import registry
from priors.dpflow import DecoupledFlow
from priors.parts.flows import Flow, bounded, univariate
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.testing import toy_host

KINDS = [("dpflow", "affine"), ("dpflow", "spline"), ("autoregressive", "affine"), ("autoregressive", "spline")]


def flow(name: str, transform: str = "affine", latent_dim: int = 2, seed: int = 1, **settings: object) -> Flow:
    """A flow in float64 at random weights that are large enough to bend it."""
    torch.manual_seed(seed)
    prior = registry.make(name, toy_host(latent_dim=latent_dim), transform=transform, widths=(16,), **settings).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.3 / math.sqrt(parameter.shape[-1]) * torch.randn_like(parameter)
    return prior


def codes(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.long
@pytest.mark.parametrize(("name", "transform"), KINDS)
def test_mass_is_one(name, transform):
    step = 0.05
    axis = torch.arange(-10, 10 + step / 2, step, dtype=torch.float64)
    few = {"couplings": 3} if name == "dpflow" else {"layers": 2}  # more bend it too sharply for the grid
    prior = flow(name, transform, **few)
    with torch.no_grad():
        log_p = prior.log_prob(torch.cartesian_prod(axis, axis))
    assert (log_p.exp().sum() * step**2).item() == pytest.approx(1, abs=5e-4)
    assert (log_p - log_standard_normal(torch.cartesian_prod(axis, axis))).abs().max() > 0.5  # it is bent


@pytest.mark.parametrize("transform", ["affine", "spline"])
@pytest.mark.parametrize("layers", [1, 3])
def test_autoregressive_does_one_dimension(transform, layers):
    prior = flow("autoregressive", transform, latent_dim=1, layers=layers)
    z = torch.linspace(-40, 40, 40_001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        p = prior.log_prob(z).exp()
    assert torch.trapezoid(p, z[:, 0]).item() == pytest.approx(1, abs=1e-5)
    draws = prior.sample(20_000)
    assert draws.shape == (20_000, 1)
    mean = torch.trapezoid(p * z[:, 0], z[:, 0])
    assert (draws.mean() - mean).abs() < 4 * draws.std() / math.sqrt(20_000)


@pytest.mark.parametrize(("name", "transform"), KINDS)
def test_density_is_the_change_of_variables_by_autograd(name, transform):
    prior = flow(name, transform, latent_dim=4)
    for z in 2 * codes(5, 4):
        jacobian = torch.autograd.functional.jacobian(prior.to_base, z)
        expected = log_standard_normal(prior.to_base(z)) + jacobian.det().abs().log()
        torch.testing.assert_close(prior.log_prob(z), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "transform"), KINDS)
def test_inverse_is_exact(name, transform):
    prior = flow(name, transform, latent_dim=5)
    z = 3 * codes(200, 5)  # some lie outside of the spline's domain
    torch.testing.assert_close(prior.from_base(prior.to_base(z)), z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(prior.to_base(prior.from_base(z)), z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "transform"), KINDS)
def test_draws_are_the_inverse_of_normal_ones(name, transform):
    prior = flow(name, transform, latent_dim=3)
    torch.manual_seed(5)
    z = prior.sample(30)
    assert not z.requires_grad
    torch.manual_seed(5)
    torch.testing.assert_close(prior.to_base(z), codes(30, 3))


@pytest.mark.parametrize(("name", "transform"), KINDS)
def test_gradient_of_draws_is_the_finite_difference(name, transform):
    prior = flow(name, transform)
    weights = list(prior.parameters())
    direction = [torch.randn_like(w) for w in weights]

    def loss(step: float) -> Tensor:
        torch.manual_seed(3)
        moved = [w.detach() + step * d for w, d in zip(weights, direction, strict=True)]
        vector_to_parameters(parameters_to_vector(moved), weights)
        return prior.rsample(20).sin().sum()

    gradients = torch.autograd.grad(loss(0.0), weights)
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    up = loss(1e-5)
    down = loss(-2e-5)  # from where `up` left the weights
    assert slope.item() == pytest.approx((up - down).item() / 2e-5, rel=1e-4)
    assert abs(slope.item()) > 0.1


def test_traversal_is_straight_in_the_generation_space():
    prior = flow("dpflow", latent_dim=3)
    a, b = codes(2, 3)
    path = prior.traverse(a, b, 9)
    assert path.shape == (9, 3)
    torch.testing.assert_close((path[0], path[-1]), (a, b))
    base = prior.to_base(path)
    torch.testing.assert_close(base.diff(dim=0), ((base[-1] - base[0]) / 8).expand(8, 3))
    assert path.diff(dim=0).std(0).max() > 1e-2  # and bent among the codes


def test_couplings_move_one_half_given_the_other():
    prior = registry.make("dpflow", toy_host(latent_dim=5))
    couplings = list(prior.transform.transforms)
    assert len(couplings) == 6
    assert [c.mask.tolist() for c in couplings[:2]] == [[True] * 2 + [False] * 3, [False] * 2 + [True] * 3]
    assert all(torch.equal(a.mask, ~b.mask) for a, b in pairwise(couplings))
    assert [type(layer) for layer in couplings[0].hyper if not list(layer.parameters())] == [nn.LeakyReLU] * 2
    assert [layer.out_features for layer in couplings[0].hyper if hasattr(layer, "out_features")] == [64, 64, 6]


def by_hand(prior: Flow, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """g(z) by eq. 3 of the paper, with sum_k sum_l (1 - b)_k^l s_k^l(b_k z_k), and the same with b for 1 - b.

    A network has no output for the half that it keeps: eq. 3 multiplies it by 0, and here it is 0 itself.
    """
    moved = kept = torch.zeros_like(z[:, 0])
    for coupling in prior.transform.transforms:
        b = coupling.mask.to(z)
        s, t = torch.zeros_like(z), torch.zeros_like(z)
        t[:, ~coupling.mask], s[:, ~coupling.mask] = (
            coupling.hyper(z[:, coupling.mask]).unflatten(-1, (-1, 2)).tanh().unbind(-1)
        )
        z = b * z + (1 - b) * (z * s.exp() + t)
        moved, kept = moved + ((1 - b) * s).sum(1), kept + (b * s).sum(1)
    return z, moved, kept


def test_kl_is_the_corrected_equation_5_and_not_the_printed_one():
    """With z = mu + sd e, ln q(z) = -1/2 ln|S| - 1/2 |e|^2 - L/2 ln 2 pi. The mean of ln q - ln p over draws is hence

        -mean(sum (1-b) s) - 1/2 ln|S| + 1/2 mean|g(z)|^2 - 1/2 mean|e|^2,

    draw by draw to rounding. Eq. 5 as corrected has L/2 for mean|e|^2 / 2, its expectation: within 4 standard errors of
    that term, its only noise. Each of the three slips in the printed form alone is off by 50 of them or more.
    """
    dim, draws = 4, 20_000
    prior = flow("dpflow", latent_dim=dim)
    q = DiagonalNormal(codes(1, dim), codes(1, dim) - 1)
    with torch.no_grad():
        for coupling in prior.transform.transforms:
            coupling.hyper[-1].bias[1::2] += 0.5  # scales that do not average out
        z = q.sample((draws,))[:, 0]
        ratio = q.log_prob(z) - prior.log_prob(z)
        z0, moved, kept = by_hand(prior, z)
    square, noise = z0.square().sum(1), ((z - q.mean) / q.stddev).square().sum(1)
    half_log_det = 0.5 * q.log_variance.sum()
    torch.testing.assert_close(ratio, -moved - half_log_det + 0.5 * square - 0.5 * noise, rtol=1e-10, atol=1e-10)
    error = noise.std() / 2 / math.sqrt(draws)

    def off(scales: Tensor, factor: float, constant: float) -> float:
        equation = -scales.mean() - half_log_det + factor * square.mean() - constant
        return ((equation - ratio.mean()).abs() / error).item()

    assert off(moved, 0.5, dim / 2) < 4
    assert min(off(kept, 0.5, dim / 2), off(moved, 1.0, dim / 2), off(moved, 0.5, 0.0), off(kept, 1.0, 0.0)) > 50


def test_every_dimension_sees_all_before_it_however_narrow_the_layers():
    prior = registry.make("autoregressive", toy_host(latent_dim=12), widths=(4, 4), layers=1).double()
    for parameter in prior.parameters():
        nn.init.uniform_(parameter, 0.1, 0.5)  # positive weights: no unit is switched off, no path cancels
    jacobian = torch.autograd.functional.jacobian(prior.to_base, codes(12).abs())
    assert torch.equal(jacobian != 0, torch.ones(12, 12, dtype=torch.bool).tril())


@pytest.mark.parametrize("name", ["dpflow", "autoregressive"])
def test_autocast_changes_nothing(name):
    prior, z = flow(name).float(), torch.randn(30, 2)
    expected, draws = prior.log_prob(z), prior.from_base(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(prior.log_prob(z), expected)
        assert torch.equal(prior.from_base(z), draws)


@pytest.mark.parametrize(("name", "transform"), KINDS)
def test_inverse_in_float32(name, transform):
    prior = flow(name, transform, latent_dim=5).float()
    z = torch.randn(1000, 5)
    torch.testing.assert_close(prior.to_base(prior.from_base(z)), z, rtol=1e-3, atol=1e-3)


def test_wrong_settings_are_refused():
    host = toy_host(latent_dim=2)
    with pytest.raises(ValueError, match=r"latent_dim >= 2.*not 1: use the prior autoregressive"):
        registry.make("dpflow", toy_host(latent_dim=1))
    with pytest.raises(ValueError, match=r"dpflow needs couplings >= 2.*not 1"):
        registry.make("dpflow", host, couplings=1)
    with pytest.raises(ValueError, match=r"dpflow needs widths >= 1, not \(8, 0\)"):
        registry.make("dpflow", host, widths=(8, 0))
    with pytest.raises(ValueError, match="autoregressive needs layers >= 1, not 0"):
        registry.make("autoregressive", host, layers=0)
    for name in ("dpflow", "autoregressive"):
        with pytest.raises(ValueError, match="affine or spline, not 'cubic'"):
            registry.make(name, host, transform="cubic")
        with pytest.raises(ValueError, match="bins >= 2, not 1"):
            registry.make(name, host, transform="spline", bins=1)


def test_univariate_of_a_spline_has_a_knot_less_than_bins():
    assert univariate(None, "spline", 5)["shapes"] == ((5,), (5,), (4,))


@pytest.mark.parametrize("transform", ["affine", "spline"])
@pytest.mark.parametrize("latent_dim", [2, 5, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_couplings_are_zukos_to_the_last_bit(transform, latent_dim, dtype):
    """The start, the state, the density, draws and gradients: figures made with zuko's own class stay what they are."""
    kind, half = univariate(bounded, transform, 8), torch.arange(latent_dim) < latent_dim // 2
    torch.manual_seed(0)
    ours = DecoupledFlow(toy_host(latent_dim=latent_dim), transform=transform).to(dtype)
    torch.manual_seed(0)
    toy_host(latent_dim=latent_dim)  # draws its weights, as above
    how = {"hidden_features": (64, 64), "activation": nn.LeakyReLU, **kind}
    masks = (half if k % 2 == 0 else ~half for k in range(6))
    theirs = Flow(latent_dim, [GeneralCouplingTransform(latent_dim, mask=mask, **how) for mask in masks]).to(dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
    results = []
    for prior in (ours, theirs):
        torch.manual_seed(1)
        z = (2 * torch.randn(100, latent_dim, dtype=dtype)).requires_grad_()
        log_p, draws = prior.log_prob(z), prior.rsample(100)
        loss = log_p.mean() + draws.square().mean()
        gradients = torch.autograd.grad(loss, [z, *prior.parameters()])
        results.append([log_p, draws, prior.to_base(z), prior.log_prob(z.view(4, 25, -1)), *gradients])
    assert all(map(torch.equal, *results))
    assert results[0][4].abs().max() > 0
