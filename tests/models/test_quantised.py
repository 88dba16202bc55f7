"""Quantised codes and the prior on their indices; masked codes and the prior that reads the mask."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from models import registry
from models.masked import MaskedPosterior
from models.quantised import QuantisedPosterior
from models.regularisers import REGULARISERS
from models.regularisers.base import Coded, Networks
from priors import registry as priors
from priors.base import Batch, Codes, Unsupported, density
from priors.indices import Indices
from priors.masked import Masked
from priors.parts.normal import DiagonalNormal
from priors.testing import toy_host


def quantiser() -> QuantisedPosterior:
    torch.manual_seed(0)
    return QuantisedPosterior(16, entries=8)  # four vectors of four numbers


def test_every_vector_becomes_the_nearest_entry():
    kind, h = quantiser(), torch.randn(5, 16)
    chosen = kind(h).mean.view(5, 4, 4)
    distances = (h.view(5, 4, 1, 4) - kind.codebook.detach()).square().sum(-1)
    torch.testing.assert_close((h.view(5, 4, 4) - chosen).square().sum(-1), distances.amin(-1))


def test_the_gradient_passes_the_quantiser_by_and_commitment_moves_both_sides():
    kind, h = quantiser(), torch.randn(5, 16, requires_grad=True)
    q = kind(h)
    slope = torch.randn(5, 16)
    (passed,) = torch.autograd.grad((q.rsample() * slope).sum(), h, retain_graph=True)
    torch.testing.assert_close(passed, slope)
    term = REGULARISERS["commitment"](toy_host(16), weight=0.25)
    coded = Coded(Batch(h), q, q.rsample(), None, priors.make("masked", toy_host(16)), Networks((), ()))
    of_h, of_codebook = torch.autograd.grad(term.term(coded), (h, kind.codebook))
    gap = (h - q.chosen).detach() / 5
    torch.testing.assert_close(of_h, 0.5 * gap)
    torch.testing.assert_close(of_codebook.sum(0), -2 * gap.view(-1, 4).sum(0))
    with pytest.raises(Unsupported, match="of quantised codes"):
        term.term(Coded(Batch(h), DiagonalNormal(h, h), h, None, coded.prior, coded.networks))


def test_codes_are_entries_to_the_last_digit_and_of_several_trainings_mapped_together_pass_the_gradient_on():
    kind, h = quantiser(), torch.randn(3, 5, 16, requires_grad=True)
    entries = {tuple(one) for one in kind.codebook.tolist()}
    assert {tuple(one) for one in kind(h[0]).mean.view(-1, 4).tolist()} <= entries
    slope = torch.randn(3, 5, 16)
    (passed,) = torch.autograd.grad((torch.vmap(lambda one: kind(one).rsample())(h) * slope).sum(), h)
    torch.testing.assert_close(passed, slope)


def fitted(index: Tensor, **settings: object) -> Indices:
    """The prior of codes of two numbers, each one vector, of the given indices (N, 1)."""
    vectors = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
    torch.manual_seed(0)
    prior = priors.make("indices", toy_host(2), entries=5, width=16, **settings)
    assert isinstance(prior, Indices)
    z = vectors[index].flatten(1)
    prior.fit(Codes(lambda: DiagonalNormal(z, torch.zeros_like(z))))
    return prior


@pytest.mark.long
def test_indices_are_drawn_as_often_as_codes_have_them():
    counts = (600, 300, 100)
    prior = fitted(torch.arange(3).repeat_interleave(torch.tensor(counts))[:, None], steps=600, lr=1e-2)
    z = prior.sample(20_000)
    for count, vector in zip(counts, ([0.0, 1.0], [2.0, -1.0], [0.5, 0.5]), strict=True):
        found = (z == torch.tensor(vector)).all(1).float().mean().item()
        assert found == pytest.approx(count / 1000, abs=0.03)
    entropy = -sum(c / 1000 * math.log(c / 1000) for c in counts)
    (told,) = prior.report()
    assert told.value == pytest.approx(entropy, abs=0.02)


@pytest.mark.long
def test_an_index_depends_on_those_before_it():
    """Four positions, all alike: two laws of a half each, which independent positions would make 16 of a sixteenth."""
    torch.manual_seed(0)
    prior = priors.make("indices", toy_host(16), entries=4, width=16, steps=400, lr=1e-2)
    z = torch.tensor([[1.0], [-1.0]]).repeat_interleave(200, 0).repeat(1, 16)
    prior.fit(Codes(lambda: DiagonalNormal(z, torch.zeros_like(z))))
    signs = prior.sample(2000).sign()
    assert (signs == signs[:, :1]).all(1).float().mean() > 0.98
    assert signs[:, 0].mean().abs() < 0.1


def test_the_network_is_in_training_mode_while_it_is_trained_and_not_after(monkeypatch: pytest.MonkeyPatch):
    """On a GPU a recurrent network has no gradient in evaluation mode, in which a prior is fitted."""
    prior, modes = priors.make("indices", toy_host(2), entries=5, width=4, steps=2).eval(), []
    assert isinstance(prior, Indices)
    rate = prior.rate
    monkeypatch.setattr(prior, "rate", lambda index: (modes.append(prior.network.recurrent.training), rate(index))[1])
    z = torch.zeros(20, 2)
    prior.fit(Codes(lambda: DiagonalNormal(z, z)))
    assert modes == [True, True, False]


def test_the_rates_of_all_indices_are_a_law():
    torch.manual_seed(1)
    prior = priors.make("indices", toy_host(16), entries=3, width=8)
    assert isinstance(prior, Indices)
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    assert (-prior.rate(every)).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_codes_that_are_not_quantised_are_refused_and_there_is_no_likelihood():
    z = torch.randn(50, 2)
    prior = priors.make("indices", toy_host(2), entries=20)
    with pytest.raises(Unsupported, match=r"20 vectors, and these codes are of 50: use model.posterior = 'quantised'"):
        prior.fit(Codes(lambda: DiagonalNormal(z, z)))
    with pytest.raises(Unsupported, match="known through its samples only"):
        density(prior)


def test_a_mask_multiplies_codes_and_draws():
    kind = MaskedPosterior(3)
    kind.logit.data = torch.tensor([-100.0, 0.0, 100.0])
    h = torch.randn(4000, 3)
    q = kind(h)
    torch.testing.assert_close(q.mean, h * torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(q[:2].mean, q.mean[:2])
    prior = priors.make("masked", toy_host(3))
    assert isinstance(prior, Masked)
    prior.before_validation(Codes(lambda: q))
    torch.testing.assert_close(prior.sample(4000).std(0), torch.tensor([0.0, 0.5, 1.0]), rtol=0.1, atol=0)
    assert prior.report()[0].value == 1.0


@pytest.mark.parametrize(("start", "end"), [(0.4, 0.0), (2.0, 1.0)])
def test_the_regulariser_drives_a_mask_to_zero_or_one(start: float, end: float):
    kind, h = MaskedPosterior(2), torch.zeros(3, 2)
    kind.logit.data.fill_(start)
    term = REGULARISERS["mask"](toy_host(2), weight=1.0, sparsity=0.3)
    adam = torch.optim.Adam(kind.parameters(), lr=0.1)
    for _ in range(200):
        q = kind(h)
        adam.zero_grad()
        term.term(Coded(Batch(h), q, q.mean, None, priors.make("masked", toy_host(2)), Networks((), ()))).backward()
        adam.step()
    torch.testing.assert_close(kind.logit.sigmoid().detach(), torch.full((2,), end), atol=0.02, rtol=0)


def test_vq_trains_by_the_plain_autoencoders_loss():
    parts = {"backbone": "mlp", "widths": (16,), "posterior": "quantised", "likelihood": "bernoulli"}
    model = registry.make((6,), True, type="ae", latent_dim=16, **parts)
    host = model.host((6,), 50, True, lambda n: torch.rand(n, 6), lambda index: torch.rand(len(index), 6))
    model.regularise([REGULARISERS["commitment"](host)])
    (player,) = model.players(priors.make("indices", host))
    loss, told = player.loss(Batch(torch.rand(8, 6)))
    assert {"reconstruction", "commitment"} == {*told}
    for gradient in torch.autograd.grad(loss, player.parameters):
        assert gradient.isfinite().all()
