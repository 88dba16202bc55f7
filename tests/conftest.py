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


@pytest.fixture
def few_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of codes look at 200 of them: for tests that ask whether there is a figure, and not how large it is."""
    for module in ("codes", "critic", "subject"):
        monkeypatch.setattr(f"benchmarks.evaluation.{module}.CODES", 200)
