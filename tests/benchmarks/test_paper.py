"""The wide views of a table: cells, marks, papers' columns, escaping, and the command that prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.run import main
from benchmarks.tables import paper, table


def row(method: str, mean: float | None, metric: str = "nll", **more: Any) -> dict[str, Any]:
    base = {"dataset": "mnist", "estimator": "is-10", "stderr": 0.034, "status": "ok", "note": "", "standing_label": ""}
    return base | {"method": method, "mean": mean, "metric": metric} | more


ROWS = [
    row("gaussian", 81.23456, standing_label="worse", published=81.3),
    row("vampprior", 79.7, standing_label="best"),
    row("dp", 79.71, standing_label="tied", standing_reason="equal with every shared seed"),
    row("lars", 79.9, standing_label="undecided"),
    row("gaussian", 7.5, "fd_classifier", estimator="classifier-10000", stderr=None),
    row("pgen", None, status="unsupported", estimator=None),
    row("PixelCNN", None, status="published", estimator=None, published=81.3),
    row("later", None, status="not-computed", estimator=None),
]
FRAME = pd.DataFrame(ROWS, columns=table.COLUMNS)


def test_methods_down_and_figures_across():
    found = paper.wide(FRAME)
    assert list(found.index) == ["gaussian", "vampprior", "dp", "lars", "pgen", "PixelCNN"]
    ours, theirs, distance = found.columns
    assert found[ours].tolist() == [
        *("81.235 ± 0.034", "79.700 ± 0.034 *", "79.710 ± 0.034 =", "79.900 ± 0.034 ?"),
        *("-", "-"),
    ]
    assert (theirs, found[theirs].tolist()) == (("mnist", "nll", "published"), ["81.3", "-", "-", "-", "-", "81.3"])
    assert found[distance].tolist() == ["7.5", "-", "-", "-", "-", "-"]


def test_what_is_unreliable_is_marked_and_what_is_better_too():
    marked = pd.DataFrame([row("a", 1.0, estimator="is-10+unreliable"), row("b", 2.0, standing_label="better")])
    found = paper.wide(marked.reindex(columns=table.COLUMNS))
    assert [found.loc["a"].iloc[0], found.loc["b"].iloc[1]] == ["1.000 ± 0.034 !", "2.000 ± 0.034 +"]


def test_metrics_are_chosen_and_ordered():
    found = paper.wide(FRAME, ["fd_classifier", "nll"], published=False)
    assert [key[1] for key in found.columns] == ["fd_classifier", "nll"]
    assert [key[1] for key in paper.wide(FRAME, ["fd_classifier"]).columns] == ["fd_classifier"]


def test_formats_hold_every_cell_and_escape():
    found = paper.wide(FRAME)
    csv = paper.as_csv(found).splitlines()
    assert csv[0] == "method,mnist nll is-10,mnist nll published,mnist fd_classifier classifier-10000"
    assert csv[2] == "vampprior,79.700 ± 0.034 *,-,-"
    markdown = paper.as_markdown(found.rename(index={"dp": "a|b"}))
    assert markdown.splitlines()[1].count("---") == 4
    assert "| a\\|b | 79.710 ± 0.034 = | - | - |" in markdown
    latex = paper.as_latex(found)
    assert latex.count(r"\\") >= 6 + 3
    assert r"79.900 $\pm$ 0.034 ?" in latex
    assert r"fd\_classifier" in latex
    assert r"81.235 $\pm$ 0.034" in latex
    assert r"\toprule" in latex


@pytest.mark.parametrize("form", paper.FORMATS)
def test_the_command_prints_a_committed_table(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    FRAME.to_csv(tmp_path / "made.csv", index=False)
    arguments = ["table", "--suite", "made", "--results", str(tmp_path), "--metric", "nll", "--format", form]
    assert main(arguments) == 0
    assert "79.710" in capsys.readouterr().out
    assert main(["table", "--suite", "other", "--results", str(tmp_path)]) == 2
    assert "run the suite first" in capsys.readouterr().err
    assert main([*arguments[:-4], "--metric", "nl"]) == 2
    assert "Did you mean 'nll'" in capsys.readouterr().err


def test_tables_of_earlier_versions_are_printed_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Without the columns of verdicts and rankings; one that lacks a figure's own column is told."""
    FRAME.drop(columns=[*table.YOUNGER], errors="ignore").to_csv(tmp_path / "made.csv", index=False)
    assert main(["table", "--suite", "made", "--results", str(tmp_path)]) == 0
    assert "79.710 ± 0.034 |" in capsys.readouterr().out
    FRAME.drop(columns="mean").to_csv(tmp_path / "made.csv", index=False)
    assert main(["table", "--suite", "made", "--results", str(tmp_path)]) == 2
    assert "no column 'mean'" in capsys.readouterr().err


def test_a_hash_of_digits_is_no_number(tmp_path: Path):
    """As pandas would read it without being told."""
    FRAME.assign(protocol="12e45678").to_csv(tmp_path / "made.csv", index=False)
    assert set(table.read(tmp_path / "made.csv", "")[0]["protocol"]) == {"12e45678"}
