"""The wide views of a table: cells, marks, papers' columns, escaping, and the command that prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics import METRICS
from benchmarks.run import main
from benchmarks.tables import formats, table
from benchmarks.tables.paper import Paper, paper

RESULTS = Path(__file__).parents[2] / "results" / "reference"


def row(method: str, mean: float | None, metric: str = "nll", **more: Any) -> dict[str, Any]:
    base = {"dataset": "mnist", "estimator": "is-10", "stderr": 0.034, "status": "ok"}
    base |= {"note": "", "standing_label": "", "direction": "lower", "n": 3}
    return base | {"method": method, "mean": mean, "metric": metric} | more


ROWS = [
    row("gaussian", 81.23456, standing_label="worse", published=81.3, published_std=0.4),
    row("vampprior", 79.7, standing_label="best"),
    row("dp", 79.71, standing_label="tied", standing_reason="equal with every shared seed"),
    row("lars", 79.9, standing_label="undecided"),
    row("gaussian", 7.5, "fd_classifier", estimator="classifier-10000", stderr=None),
    row("pgen", None, status="unsupported", estimator=None),
    row("PixelCNN", None, status="published", estimator=None, published=81.3),
    row("later", None, status="not-computed", estimator=None),
]
FRAME = pd.DataFrame(ROWS, columns=table.COLUMNS)


def cells(made: Paper, method: str) -> list[str]:
    return [formats.plain(one) for one in made.blocks["mnist"][method]]


def test_methods_down_and_estimates_across():
    made = paper(FRAME)
    assert [formats.title(one) for one in made.heads] == [
        "nll is-10",
        "nll published",
        "fd_classifier classifier-10000",
    ]
    assert [*made.blocks["mnist"]] == ["gaussian", "vampprior", "dp", "lars", "pgen", "PixelCNN"]
    assert cells(made, "gaussian") == ["81.235 ± 0.034", "81.3 ± 0.4 (std)", "7.5"]
    assert [cells(made, name)[0] for name in ("vampprior", "dp", "lars", "pgen", "PixelCNN")] == [
        *("79.700 ± 0.034 *", "79.710 ± 0.034 =", "79.900 ± 0.034 ?"),
        *("-", "-"),
    ]
    assert cells(made, "PixelCNN")[1] == "81.3"
    assert made.heads[0].name == "nll ↓"


def test_no_doubtful_number_stands_bare():
    """Each caveat is a mark at its number and a note; what a whole column shares stands at its head once."""
    rows = [
        row("a", 1.0, estimator="is-10+unreliable", remark="shared; of a"),
        row("b", 2.0, alarm="impossible", standing_label="best", remark="shared"),
        row("c", 3.0, estimator="is-10+estimate", remark="shared", trial="--set x=1", left_out="2 of 3 seeds"),
    ]
    made = paper(pd.DataFrame(rows, columns=table.COLUMNS))
    (head,) = made.heads
    assert [made.footnotes[letter] for letter in head.letters] == ["shared"] or "all numbers: shared" in made.told
    (a,), (b,), (c,) = (made.blocks["mnist"][name] for name in "abc")
    told = {
        name: [made.footnotes[letter] for letter in one.letters] for name, one in zip("abc", (a, b, c), strict=True)
    }
    assert (a.mark, b.mark, c.mark) == ("!", "!", "")
    assert "of a" in told["a"]
    assert any("fails its own diagnostics" in one for one in told["a"])
    assert told["b"] == ["impossible"]
    assert any("estimated ln Z" in one for one in told["c"])
    assert {"--set x=1", "2 of 3 seeds"} <= {*told["c"]}
    for form in formats.FORMATS.values():
        assert "fails its own diagnostics" in form(made)
        assert "2 of 3 seeds" in form(made)


def test_a_column_has_one_best():
    """Estimates that differ in the prior's density stand together, and only one kind's standings are shown."""
    rows = [
        row("a", 1.0, standing_label="best"),
        row("b", 2.0, standing_label="tied"),
        row("c", 0.5, estimator="is-10+estimate", standing_label="best"),
    ]
    made = paper(pd.DataFrame(rows, columns=table.COLUMNS))
    assert [made.blocks["mnist"][name][0].mark for name in "abc"] == ["*", "=", ""]
    alone = paper(pd.DataFrame(rows, columns=table.COLUMNS), estimators=["is-10+estimate"])
    assert alone.blocks["mnist"]["c"][0].mark == "*"


def test_metrics_are_chosen_and_ordered():
    assert [one.column.metric for one in paper(FRAME, ["fd_classifier", "nll"]).heads][:2] == ["fd_classifier", "nll"]
    assert [one.column.metric for one in paper(FRAME, ["fd_classifier"]).heads] == ["fd_classifier"]


def test_data_sets_stand_beneath_one_another_and_what_is_missing_is_told():
    rows = [row("a", 1.0), row("a", 2.0, dataset="digits"), row("a", None, dataset="svhn", status="not-computed")]
    made = paper(pd.DataFrame(rows, columns=table.COLUMNS))
    assert [*made.blocks] == ["mnist", "digits"]
    assert "not computed: svhn" in made.told


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            (),
            [
                "nll is-5000",
                "skl leave-one-out-5000",
                "fd_classifier classifier-300",
                "data_copying c_t-300-against-reconstructions",
            ],
        ),
        (
            ("--metric", "copying"),
            [
                *("authentic_share pixels-300", "data_copying c_t-300"),
                *("copies third-3000", "copies_p fisher-3000x600"),
            ],
        ),
        (("--metric", "nll", "--estimator", "is-10", "elbo"), ["nll is-10", "nll elbo"]),
        (("--estimator", "is", "--metric", "nll"), ["nll is-10", "nll is-100", "nll is-1000", "nll is-5000"]),
    ],
)
def test_columns_of_a_committed_table(given: tuple[str, ...], expected: list[str], capsys: pytest.CaptureFixture[str]):
    arguments = ["table", "--suite", "quickstart", "--results", str(RESULTS), "--format", "csv", *given]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0].split(",") == ["dataset", "method", *expected, "notes"]


def test_every_committed_row_is_a_metrics_own():
    """`--metric copying` takes all that the metric makes, by what the metrics declare."""
    for path in sorted(RESULTS.glob("*.csv")):
        if path.stem.endswith(".runs"):
            continue
        frame = table.read(path, "")[0]
        for name, estimator in {*frame[frame["status"] == "ok"][["metric", "estimator"]].itertuples(index=False)}:
            assert any(one.makes(name, Estimator.parse(estimator)) for one in METRICS.values()), (path, name, estimator)


def test_formats_hold_every_cell_and_escape():
    made = paper(FRAME)
    csv = formats.as_csv(made).splitlines()
    assert csv[0] == "dataset,method,nll is-10,nll published,fd_classifier classifier-10000,notes"
    assert csv[2].startswith("mnist,vampprior,79.700 ± 0.034 *,-,-,nll is-10: best mean")
    markdown = formats.as_markdown(made)
    assert "**79.700** ± 0.034" in markdown
    latex = formats.as_latex(made)
    assert r"79.900 $\pm$ 0.034 & \textsuperscript{?}" in latex
    assert r"\textbf{79.700} $\pm$ 0.034" in latex
    assert r"nll $\downarrow$" in latex
    assert r"fd\_classifier" in latex
    assert latex.isascii()


@pytest.mark.parametrize("flag", ["--dataset", "--method", "--metric", "--estimator"])
def test_what_a_table_does_not_have(flag: str, capsys: pytest.CaptureFixture[str]):
    wrong = {"--dataset": "digit", "--method": "gausian", "--metric": "copyin", "--estimator": "is-500"}[flag]
    assert main(["table", "--suite", "quickstart", "--results", str(RESULTS), flag, wrong]) == 2
    assert "Did you mean" in capsys.readouterr().err


@pytest.mark.parametrize("form", formats.FORMATS)
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
