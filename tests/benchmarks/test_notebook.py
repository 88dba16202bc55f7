"""The notebook runs from its first cell to its last, in a kernel as a person's, and what it shows was kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from benchmarks.config import suite

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"

LESS = {
    "EPOCHS = 30": "EPOCHS = 1",
    '"protocol.samples": [100]': '"protocol.samples": [100], "protocol.images": 20',
    '"quickstart"': '"quickstart.toml"',
}
"""What the notebook computes, and what the test makes of it: its suite has one metric there."""


def cells(kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == kind]


def test_its_outputs_are_there():
    """In the order of its cells, and small."""
    assert [cell.execution_count for cell in cells("code")] == [*range(1, len(cells("code")) + 1)]
    assert sum("image/png" in output.get("data", {}) for cell in cells("code") for output in cell.outputs) == 3
    assert not [
        output for cell in cells("code") for output in cell.outputs if output.output_type in ("error", "stream")
    ]
    assert NOTEBOOK.stat().st_size < 200_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_runs(tmp_path: Path):
    """With less to compute."""
    shorter = re.sub(r"^metrics = .*", 'metrics = ["nll"]', suite.path_of("quickstart").read_text("utf-8"), flags=re.M)
    (tmp_path / "quickstart.toml").write_text(shorter, encoding="utf-8")
    notebook = nbformat.read(NOTEBOOK, 4)
    text = "".join(cell.source for cell in notebook.cells)
    assert all(usual in text for usual in LESS)
    for cell in notebook.cells:
        for usual, less in LESS.items():
            cell.source = cell.source.replace(usual, less)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
