"""What every test shares: one thread and a seeded random state."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Torch's random state at the start of every test, whichever tests ran before."""
    torch.manual_seed(0)
