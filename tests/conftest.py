"""What every test shares: one thread, a seeded random state, and numbers as small as floating point has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from priors.registry import unchanged

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Torch's state at the start of every test, whichever tests ran before (workers round denormal numbers to 0)."""
    torch.manual_seed(0)
    torch.set_flush_denormal(False)


@pytest.fixture
def own_parts() -> Iterator[None]:
    """What a test registers is forgotten after it, and so are the modules of plug-ins."""
    with unchanged():
        yield
    for name in [name for name in sys.modules if name.startswith("priorbench_plugin_")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def cheap_metrics() -> Iterator[None]:
    """For tests that ask whether there is a figure, and not how large it is: metrics look at few codes, distances are
    between few points, and the classifier under FID is hardly trained."""
    from benchmarks.evaluation import codes, critic, samples, subject
    from benchmarks.features import classifier

    with pytest.MonkeyPatch.context() as patch:
        for module in (codes, critic, subject):
            patch.setattr(module, "CODES", 200)
        exact = codes.wasserstein_1
        patch.setattr(codes, "wasserstein_1", lambda one, other: exact(one[:100], other[:100]))
        patch.setattr(samples, "precision_recall", partial(samples.precision_recall, runs=1))
        patch.setattr(classifier, "train", partial(classifier.train, steps=5))
        yield
