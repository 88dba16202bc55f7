"""What evaluation costs, and that it leaves nothing of a run to chance."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import suite
from benchmarks.datasets import load
from benchmarks.evaluate import METRICS, Subject
from benchmarks.execute import build
from benchmarks.metrics.likelihood import importance_sampling
from benchmarks.suite import Request

ALL = ("nll", "log_likelihood", "bits_per_dim", "reliability", "active_units")


def make_subject(method: str, *overrides: str) -> Subject:
    request = Request(datasets=("digits",), methods=(method,), seeds=(0,), overrides=overrides)
    (run,) = suite.expand(suite.read("smoke"), request)
    data = load("digits", Path())
    model, prior = build(run, data)
    return Subject(model.eval(), prior.eval(), data, run.protocol, run.seed)


@pytest.mark.parametrize(("method", "extra"), [("gaussian", 0), ("mixture", 0), ("vampprior", 10)])
def test_every_image_is_encoded_once(method: str, extra: int):
    """All metrics together encode the test set once, and a VampPrior its pseudo-inputs once."""
    subject, rows = make_subject(method), []
    subject.model.encoder.register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    with torch.no_grad():
        for name in ALL:
            assert METRICS[name](subject)
    assert sum(rows) == len(subject.data.test) + extra


def test_no_more_rows_at_once_than_asked_for():
    """The largest tensor that is decoded has `rows` codes, whatever K."""
    subject, sizes = make_subject("gaussian"), []

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        sizes.append(z.shape[:-1].numel())
        return subject.model.log_likelihood(x, z)

    with torch.no_grad():
        result = importance_sampling(
            subject.data.test, subject.q[:5], log_likelihood, subject.prior.log_prob, [10, 300], seed=int, rows=64
        )
    assert max(sizes) <= 64
    assert sum(sizes) == 5 * 300
    assert len(result.elbo) == 5


def test_metrics_do_not_move_each_other():
    """A metric alone gives what it gives among others, in any order."""
    with torch.no_grad():
        together = {name: METRICS[name](subject) for subject in [make_subject("mixture")] for name in ALL}
        for name in reversed(ALL):
            torch.randn(7)
            assert METRICS[name](make_subject("mixture")) == together[name]


def test_fewer_draws_are_the_first_of_more():
    """K = 10 gives the same figure whatever the largest K is."""
    with torch.no_grad():
        few, many = (
            make_subject("gaussian", f"protocol.samples={samples}").importance for samples in ("[10]", "[10, 250]")
        )
    assert torch.allclose(few.log_likelihood[10], many.log_likelihood[10], rtol=1e-6)


def test_variance_is_the_likelihoods():
    """`model.variance` reaches the likelihood gaussian-fixed."""
    subject = make_subject("gaussian", "model.likelihood=gaussian-fixed", "model.variance=0.25")
    assert subject.model.likelihood.fixed.exp().item() == pytest.approx(0.25)
