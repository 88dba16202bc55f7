"""What every test shares: one thread, a seeded random state, and numbers as small as floating point has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

from priors.registry import unchanged

torch.set_num_threads(1)

collect_ignore = ["conftest.py", "cluster/conftest.py"]  # two modules of one name, as far as doctests are concerned


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Several processes (`-n 2`) keep neighbours together, who share what their module trains, until one has nothing
    left to do and takes half of another's tests. `--dist` still says otherwise."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several processes begin with the long tests, so that none is left with one of them at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("long") is None)


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
    from benchmarks.features import classifier
    from benchmarks.metrics import energy_priors, evaluated, image_quality, latent_fit

    with pytest.MonkeyPatch.context() as patch:
        for module in (latent_fit, energy_priors, evaluated):
            patch.setattr(module, "CODES", 200)
        exact = latent_fit.wasserstein_1
        patch.setattr(latent_fit, "wasserstein_1", lambda one, other: exact(one[:100], other[:100]))
        patch.setattr(image_quality, "precision_recall", partial(image_quality.precision_recall, runs=1))
        patch.setattr(classifier, "train", partial(classifier.train, steps=5))
        yield
