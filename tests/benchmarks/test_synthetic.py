"""Data on a manifold: its dimension, found without the network that made it; the laws below; and the splits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors

from benchmarks.datasets import Dataset, load, synthetic

DIMENSIONS = {"synthetic": 5, "synthetic-mog": 2}
NAMES = list(DIMENSIONS)


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest) -> Dataset:
    return load(request.param, Path())


@pytest.fixture(scope="module")
def mixture() -> Dataset:
    return load("synthetic-mog", Path())


def latents(name: str, n: int = 20_000) -> torch.Tensor:
    draw = {"synthetic": synthetic.normal, "synthetic-mog": synthetic.mixture}[name]
    return draw(n, torch.Generator().manual_seed(1))


def test_splits_have_their_sizes_and_no_row_in_common(data):
    parts = [data.train, data.validation, data.test]
    assert [tuple(part.stored.shape) for part in parts] == [(10000, 128), (1000, 128), (2000, 128)]
    assert {part.stored.dtype for part in parts} == {torch.float32}
    assert (data.bounded, data.binarisation, data.levels, data.log_prob) == (False, "none", None, None)
    rows = [row.numpy().tobytes() for part in parts for row in part.stored]
    assert len(set(rows)) == len(rows)


def test_elements_have_unit_variance_on_the_training_set(data):
    assert data.train.stored.double().var(0).mean().item() == pytest.approx(1, abs=1e-4)
    assert data.test.stored.double().var(0).mean().item() == pytest.approx(1, rel=0.1)


def test_data_are_the_same_on_every_call_whatever_torchs_random_state(data):
    torch.manual_seed(5)
    assert load(data.name, Path()).digest == data.digest
    assert load(data.name, Path()).digest != load(*({*NAMES} - {data.name}), Path()).digest


def test_held_out_data_follow_the_training_law(data):
    for element in range(0, 128, 16):
        train, test = (part.stored[:, element].numpy() for part in (data.train, data.test))
        assert scipy.stats.ks_2samp(train, test).pvalue > 1e-3


def test_manifold_has_the_dimension_of_z(data):
    """Levina and Bickel's (2004) maximum-likelihood estimate from distances to neighbours, its inverses averaged."""
    k = 10
    distances, _ = NearestNeighbors(n_neighbors=k).fit(data.train.stored.numpy()).kneighbors(data.test.stored.numpy())
    inverse = np.log(distances[:, -1:] / distances[:, :-1]).mean(1)
    assert 1 / inverse.mean() == pytest.approx(DIMENSIONS[data.name], rel=0.06)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_network_has_full_rank_wherever_z_lies(name):
    d = DIMENSIONS[name]
    layers = synthetic.random_layers(d, torch.Generator().manual_seed(3))
    z = latents(name, 50)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: synthetic.network(layers, one)))(z)
    singular = torch.linalg.svdvals(jacobian)
    assert jacobian.shape == (50, 128, d)
    assert (singular[:, -1] > 0.1 * singular[:, 0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_network_bends_the_space(name):
    z = latents(name, 2000)
    x = synthetic.network(synthetic.random_layers(z.shape[1], torch.Generator().manual_seed(3)), z)
    variances = torch.linalg.eigvalsh(x.T.cov()).flip(0)
    assert variances[DIMENSIONS[name] :].sum() > 0.02 * variances.sum()  # a plane would leave none


def test_z_is_standard_normal():
    z = latents("synthetic").numpy()
    for part in z.T:
        assert scipy.stats.kstest(part, "norm").pvalue > 1e-3
    error = 4 / math.sqrt(len(z))
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(5), atol=error)


def test_mixture_has_equal_components_round_a_circle():
    z = latents("synthetic-mog")
    angle = torch.arange(8).double() * math.pi / 4
    means = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    distances = torch.cdist(z, means)
    nearest = distances.argmin(1)
    share = torch.bincount(nearest, minlength=8) / len(z)
    assert (share - 1 / 8).abs().max() < 4 * math.sqrt(7 / 64 / len(z))
    spread = 0.4 * math.sin(math.pi / 8)  # a tenth of the distance between neighbouring means
    law = scipy.stats.rayleigh(scale=spread)
    assert scipy.stats.kstest(distances.min(1).values.numpy(), law.cdf).pvalue > 1e-3


def test_mixture_stays_in_eight_parts_in_128_dimensions(mixture):
    x = mixture.train.stored[:3000].numpy()
    labels = DBSCAN(eps=1.5, min_samples=5).fit_predict(x)
    sizes = np.bincount(labels[labels >= 0])
    assert len(sizes) == 8
    assert sizes.sum() > 0.98 * len(x)
    np.testing.assert_allclose(sizes / len(x), 1 / 8, atol=0.03)
