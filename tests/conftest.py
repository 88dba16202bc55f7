"""What every test shares: one thread, a seeded random state, and numbers as small as floating point has them."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Torch's state at the start of every test, whichever tests ran before (workers round denormal numbers to 0)."""
    torch.manual_seed(0)
    torch.set_flush_denormal(False)
