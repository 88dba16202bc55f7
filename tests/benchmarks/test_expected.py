"""Expected binarisation, VAEPP's q(z|e): training on grey e, test x drawn once and encoded as e."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.config.settings import ModelSettings, Run, TrainingSettings, prior_settings
from benchmarks.datasets import load
from benchmarks.metrics import Evaluated
from benchmarks.metrics.protocol import ProtocolSettings
from benchmarks.runner.build import build
from models.likelihoods import Bernoulli


def test_training_sees_grey_and_the_test_a_draw():
    grey, expected = (load("digits", Path(), binarisation=rule) for rule in ("none", "expected"))
    drawn = load("digits", Path(), binarisation="static")
    assert torch.equal(expected.train[:50], grey.train[:50])
    assert torch.equal(expected.validation[:50], grey.validation[:50])
    assert torch.equal(expected.test[:50], drawn.test[:50])
    assert torch.equal(expected.test.seen[:50], grey.test[:50])
    assert expected.levels == 2
    assert all(split.seen is split for split in (grey.test, drawn.test, expected.train))


def test_likelihood_of_grey_is_the_expectation_over_the_draw():
    e, logits = torch.rand(3, 1, 2, 2, dtype=torch.float64), torch.randn(3, 1, 1, 2, 2, dtype=torch.float64)
    likelihood = Bernoulli((1, 2, 2))
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4)  # all 16 images
    expectation = torch.zeros(3, dtype=torch.float64)
    for x in corners.view(-1, 1, 1, 2, 2):
        probability = torch.where(x.bool(), e, 1 - e).flatten(1).prod(1)
        expectation += probability * likelihood.log_prob(x.expand_as(e), logits)
    torch.testing.assert_close(likelihood.log_prob(e, logits), expectation)


def test_evaluation_encodes_grey_and_scores_the_draw():
    run = Run(
        suite="made",
        dataset="digits",
        method="gaussian",
        seed=0,
        prior=prior_settings("gaussian", {}),
        model=ModelSettings(widths=(8,), latent_dim=2),
        training=TrainingSettings(),
        protocol=ProtocolSettings(binarisation="expected", samples=(10,), images=5),
        metrics=("nll",),
    )
    data = load("digits", Path(), binarisation="expected")
    model, prior = build(run, data)
    subject = Evaluated(data, run.protocol, run.seed, model=model, prior=prior)
    with torch.no_grad():
        torch.testing.assert_close(subject.q.mean, model.encode(data.test.seen[:]).mean)
        scored = subject.importance.reconstruction
        data.test.stored.fill_(1)  # another x under the same q: another likelihood
        again = Evaluated(data, run.protocol, run.seed, model=model, prior=prior)
        assert torch.equal(again.q.mean, subject.q.mean)
        assert not torch.allclose(again.importance.reconstruction, scored)
