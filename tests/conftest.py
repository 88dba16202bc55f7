"""What every test shares: one thread, a seeded random state, and numbers as small as floating point has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

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
