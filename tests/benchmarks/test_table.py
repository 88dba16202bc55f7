"""Tables from the figures that runs left: means over seeds, notes, and the papers' own figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from benchmarks.config import published, suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.estimators.estimate import Estimate, Remark, remarks
from benchmarks.estimators.estimator import Estimator
from benchmarks.runner.weights import keep
from benchmarks.runner.workspace import Workspace
from benchmarks.statistics.paired import detectable
from benchmarks.tables import aggregate, standings, table

BASE = {
    "name": "made",
    "title": "Made",
    "datasets": ("onehot",),
    "methods": ("gaussian",),
    "seeds": 3,
    "metrics": ("nll",),
}

ALL = Request()


def made(**changes: Any) -> Suite:
    return Suite.model_validate(BASE | changes)


def figure(value: float, metric: str = "nll", estimator: str = "is-10", **more: Any) -> dict[str, Any]:
    plain = {"direction": "lower", "unit": "nats", "error": 0.25, "note": ""}
    return plain | {"metric": metric, "estimator": estimator, "value": value} | more


class Bench:
    """Runs as if they had been computed."""

    def __init__(self, folder: Path):
        self.workspace = Workspace(folder, folder)

    def end(
        self, run: Run, figures: list[Any] | str, protocol: str = "p", name: str | None = None, images: Any = None
    ) -> None:
        """The run's figures, or the reason why there are none; with the values that the first is the mean of."""
        result = {"unsupported": figures} if isinstance(figures, str) else {"figures": figures, "seconds": 2.0}
        metrics = {name or run.metrics[0]: result}
        self.training(run, "ok", cost=[figure(12, "parameters", "exact", error=None)])
        content, record = {"hash": protocol, "metrics": metrics}, self.workspace.record(run)
        if images is not None:
            asked, key = next(iter(metrics)), f"{figures[0]['metric']} {figures[0]['estimator']}"
            keep({key: torch.tensor(images)}, record, f"values/{asked}.safetensors")
            content["files"] = record.vouch("values/*.safetensors")
        record.write("metrics.json", content)

    def training(self, run: Run, status: str, note: str = "", **more: Any) -> None:
        record = self.workspace.record(run)
        record.folder.mkdir(parents=True, exist_ok=True)
        record.write("made.json", {"data": "d", "by": [{"sources": "s"}]})
        record.write("training.json", {"status": status, "note": note, **more})
        record.write("done", {"evaluation": run.evaluation, "metrics": run.metrics})

    def fail(self, run: Run, text: str) -> None:
        folder = self.workspace.record(run).folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text(text)

    def rows(self, chosen: Suite, request: Request = ALL) -> pd.DataFrame:
        return aggregate.build(chosen, suite.expand(chosen, request), self.workspace)[0]

    def row(self, chosen: Suite, request: Request = ALL) -> dict[str, Any]:
        (row,) = self.rows(chosen, request).to_dict("records")
        return row


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_mean_and_errors_over_seeds(bench: Bench):
    """Against numpy, with a mean that is large beside the spread."""
    values = 1e4 + np.random.default_rng(0).normal(size=3)
    chosen = made()
    for run, value in zip(suite.expand(chosen), values, strict=True):
        bench.end(run, [figure(value), figure(value**2, estimator="elbo", note="an upper bound")])
    first, second = bench.rows(chosen).to_dict("records")
    for row, numbers in ((first, values), (second, values**2)):
        assert row["mean"] == pytest.approx(np.mean(numbers), rel=1e-14)
        assert row["std"] == pytest.approx(np.std(numbers, ddof=1), rel=1e-6)
        assert row["stderr"] == pytest.approx(np.std(numbers, ddof=1) / np.sqrt(3), rel=1e-6)
        assert (row["n"], row["status"], row["protocol"]) == (3, "ok", "p")
    assert (first["estimator"], second["estimator"]) == ("is-10", "elbo")
    assert (first["note"], second["note"]) == ("", "an upper bound")
    assert (first["suite"], first["dataset"], first["method"], first["model"]) == ("made", "onehot", "gaussian", "vae")


def test_one_seed_has_no_spread(bench: Bench):
    """Its error over images is another thing, so it stands in the note."""
    chosen = made(seeds=1)
    bench.end(suite.expand(chosen)[0], [figure(3.5, error=0.12345)])
    row = bench.row(chosen)
    assert (row["mean"], row["n"]) == (3.5, 1)
    assert pd.isna(row["std"])
    assert pd.isna(row["stderr"])
    assert row["note"] == "s.e. over images or draws 0.123"
    assert (row["within"], row["remark"]) == (0.12345, "")


def test_protocols_are_never_averaged(bench: Bench):
    chosen = made()
    for run, value, protocol in zip(suite.expand(chosen), (1.0, 2.0, 9.0), ("a", "a", "b"), strict=True):
        bench.end(run, [figure(value)], protocol)
    rows = bench.rows(chosen)
    assert rows["protocol"].tolist() == ["a", "b"]
    assert rows["mean"].tolist() == [1.5, 9.0]
    assert rows["n"].tolist() == [2, 1]
    assert rows["note"].str.contains("of 3 seeds").all()


def test_cells_are_never_mixed(bench: Bench):
    """Methods, data sets and metrics have rows of their own, in the suite's order."""
    chosen = made(datasets=("onehot", "digits"), methods=("mixture", "gaussian"), seeds=2)
    for number, run in enumerate(suite.expand(chosen)):
        bench.end(run, [figure(number)])
    rows = bench.rows(chosen)
    found = rows[["dataset", "method", "mean"]].values.tolist()
    assert found == [
        ["onehot", "mixture", 1.0],
        ["onehot", "gaussian", 2.0],
        ["digits", "mixture", 5.0],
        ["digits", "gaussian", 6.0],
    ]


def test_what_is_missing_from_a_mean_is_noted(bench: Bench):
    chosen = made(seeds=4)
    runs = suite.expand(chosen)
    for run, value in zip(runs, (1.0, 3.0), strict=False):
        bench.end(run, [figure(value)])
    bench.training(runs[2], "diverged", "diverged in epoch 7: vae.loss = nan")
    bench.fail(runs[3], "MemoryError: too much\n\nTraceback (most recent call last):\n  ...\n")
    row = bench.row(chosen)
    assert (row["mean"], row["n"], row["status"]) == (2.0, 2, "ok")
    assert row["note"].split("; ") == [
        "2 of 4 seeds",
        "1 diverged: diverged in epoch 7: vae.loss = nan",
        "1 failed: MemoryError: too much",
    ]


def test_why_there_is_no_figure(bench: Bench):
    chosen = made(
        methods=("gaussian", "mixture", "vampprior", "other"),
        seeds=1,
        method={"other": {"use": "gaussian"}},
        metrics=("nll", "reliability"),
    )
    runs = suite.expand(chosen)
    bench.training(runs[0], "diverged", "diverged in epoch 1: nan")
    bench.fail(runs[1], "ValueError: no\n\nTraceback")
    bench.training(runs[2], "unsupported", "it has no density")
    rows = bench.rows(chosen)
    assert rows["metric"].tolist() == ["nll", "reliability"] * 4
    assert rows["status"].tolist() == [
        status for status in ("diverged", "failed", "unsupported", "not-computed") for _ in range(2)
    ]
    assert rows["note"].tolist()[::2] == [
        "diverged in epoch 1: nan",
        "ValueError: no",
        "it has no density",
        "not run yet",
    ]
    assert rows["mean"].isna().all()
    assert set(rows["n"]) == {0}


def test_an_undefined_metric_says_why(bench: Bench):
    chosen = made(seeds=2)
    for run in suite.expand(chosen):
        bench.end(run, "needs an exact density")
    row = bench.row(chosen)
    assert (row["metric"], row["status"], row["note"]) == ("nll", "unsupported", "needs an exact density")
    assert pd.isna(row["mean"])


def test_seeds_with_different_figures(bench: Bench):
    """A diagnostic that one seed lacks takes nobody's workspace and no other figure away."""
    chosen = made(seeds=2)
    for run, more in zip(suite.expand(chosen), ([figure(0.5, "pareto_k", "is-10")], []), strict=True):
        bench.end(run, [figure(1.0), *more, figure(7.0, estimator="elbo")])
    rows = bench.rows(chosen).set_index(["metric", "estimator"])
    assert rows.loc[("nll", "elbo"), ["mean", "n"]].tolist() == [7.0, 2]
    assert rows.loc[("pareto_k", "is-10"), ["mean", "n"]].tolist() == [0.5, 1]


def test_remarks_of_seeds():
    bad = remarks("bad")
    assert aggregate.common_remarks([(), ()]) == ""
    assert aggregate.common_remarks([bad, bad]) == "bad"
    assert aggregate.common_remarks([bad, (), bad]) == "bad (2 of 3 seeds)"
    assert aggregate.common_remarks([(*bad, *remarks("slow")), bad]) == "bad; slow (1 of 2 seeds)"


def test_remarks_that_differ_in_numbers_alone_are_one():
    """What stands in the words, a network's weights say, tells remarks apart whatever it looks like."""
    words = "nn-300: off by {{}} nats, weights c4{}f"
    apart = [remarks(Remark(words.format(i), (by,))) for i, by in ((1, "-0.1"), (1, "+2e-05"), (1, "+0.25"), (2, "0"))]
    assert aggregate.common_remarks(apart[:3]) == "nn-300: off by -0.1 to +0.25 nats, weights c41f"
    assert aggregate.common_remarks(apart[1:]) == (
        "nn-300: off by +2e-05 to +0.25 nats, weights c41f (2 of 3 seeds); "
        "nn-300: off by 0 nats, weights c42f (1 of 3 seeds)"
    )


def test_a_note_of_an_earlier_version_is_a_remark():
    """metrics.json of a run that was made before remarks had numbers."""
    kept = {"metric": "nll", "estimator": "is-10+estimate", "value": 1.0, "unit": "nats", "direction": "lower"}
    found = Estimate.from_dict({**kept, "error": 0.1, "note": "off by 3 nats"})
    assert (found.estimator, found.remarks) == (
        Estimator("is", draws=(10,), certainty="estimate"),
        remarks("off by 3 nats"),
    )
    assert Estimate.from_dict(found.as_dict()) == found


def test_trials_are_marked_in_every_row(bench: Bench):
    chosen = made(methods=("gaussian", "mixture"), seeds=2)
    request = Request(overrides=("training.epochs=1", "training.lr=0.1"))
    for run in suite.expand(chosen, request)[::2]:
        bench.end(run, [figure(1.0)])
    notes = bench.rows(chosen, request)["note"].tolist()
    assert len(notes) == 2
    assert all(note.endswith("training.epochs=1; training.lr=0.1") for note in notes)
    assert bench.rows(chosen)["status"].tolist() == ["not-computed"] * 2, "a trial's figures are not the suite's"


def test_costs_have_a_table_of_their_own(bench: Bench):
    chosen = made(seeds=2)
    runs = suite.expand(chosen)
    for run in runs:
        bench.end(run, [figure(1.0)])
    figures, costs = aggregate.build(chosen, runs, bench.workspace)
    assert tuple(figures.columns) == table.COLUMNS
    assert costs["metric"].tolist() == ["parameters", "evaluation_time"]
    assert costs["mean"].tolist() == [12.0, 2.0]


def test_csv_is_written_to_a_few_digits(tmp_path: Path):
    """So that the last bits of floating point do not show."""
    path = tmp_path / "made.csv"
    table.write(pd.DataFrame({"mean": [1 / 3, 1 / 3 + 1e-13, 12345.678912], "note": ["a", "b, c", ""]}), path)
    assert path.read_text() == 'mean,note\n0.33333333,a\n0.33333333,"b, c"\n12345.679,\n'


# Published figures


def test_published_figures_have_unique_keys():
    """Of those that have one; where a paper's table has several settings a line, its note tells them apart."""
    frame = published.numbers()
    assert list(frame.columns) == ["paper", "table", "dataset", "model", "metric", "value", "std", "note", "decimals"]
    assert len(frame) > 400
    keys = ["paper", "table", "dataset", "model", "metric"]
    assert not frame[keys].isna().any().any()
    assert not frame.duplicated([*keys, "note"]).any()
    assert frame["value"].map(np.isfinite).all()
    assert (frame["std"].dropna() >= 0).all()


@pytest.mark.parametrize("name", [name for name in suite.names() if suite.read(name).published])
def test_a_suite_meets_one_published_figure_a_row(name: str):
    chosen = suite.read(name)
    for source in chosen.published:
        for metric in source.figures:
            same = source.rows[source.rows["metric"].eq(metric)]
            assert not same.empty
            assert not same.duplicated(["dataset", "model", "note"]).any()
            assert set(same["dataset"]) <= set(chosen.datasets)
        for method, model in source.models.items():
            assert method in chosen.methods
            assert model.name in set(source.rows["model"])


def test_every_published_figure_belongs_to_a_suite():
    """Of every row of results/published.csv there is a suite whose table shows it, beside ours or alone."""
    shown = [source.rows for name in suite.names() for source in suite.read(name).published]
    missing = published.numbers().index.difference(pd.concat(shown).index)
    assert missing.empty, published.numbers().loc[missing].to_string()


def iop(bench: Bench, figures: list[Any], **changes: Any) -> pd.DataFrame:
    """Table 2's row for the gaussian on Frey faces, with these figures."""
    chosen = suite.read("iop-table2").model_copy(update={"metrics": ("log_likelihood",), "seeds": (0,)} | changes)
    request = Request(datasets=("freyfaces",), methods=("gaussian",))
    for run in suite.expand(chosen, request):
        bench.end(run, figures)
    return bench.rows(chosen, request)


def test_the_papers_figure_stands_beside_ours(bench: Bench):
    """Beside the same estimator and metric only."""
    others = [
        figure(1.0, "log_likelihood", "is-5000"),
        figure(1.0, "nll", "is-10"),
        figure(1.0, "log_likelihood", "is-10+bound"),
    ]
    rows = iop(bench, [figure(1381.0, "log_likelihood", "is-10"), *others])
    rows = rows[rows.status == "ok"]
    assert rows.loc[0, ["published", "published_std"]].tolist() == [1382.53, 3.57]
    assert rows.loc[0, "published_source"] == "iop table 2: 8 runs; importance sampling with 10 samples"
    assert rows.loc[1:, ["published", "published_std", "published_source"]].isna().all().all()


@pytest.mark.parametrize(("key", "other"), [("paper", "vaepp"), ("table", "1"), ("figures", {"nll": ("is-10",)})])
def test_another_papers_figure_does_not(key: str, other: object, bench: Bench):
    source = suite.read("iop-table2").published[0].model_copy(update={key: other})
    rows = iop(bench, [figure(1381.0, "log_likelihood", "is-10")], published=(source,))
    rows = rows[rows.status == "ok"]
    assert rows["published"].isna().all()


def test_a_method_or_data_set_without_published_figure(bench: Bench):
    chosen = suite.read("iop-table2").model_copy(update={"metrics": ("log_likelihood",), "seeds": (0,)})
    request = Request(datasets=("freyfaces", "digits"), methods=("mixture", "vampprior"))
    for run in suite.expand(chosen, request):
        bench.end(run, [figure(1.0, "log_likelihood", "is-10")])
    rows = bench.rows(chosen, request)
    rows = rows[rows.status == "ok"].set_index(["dataset", "method"])["published"]
    assert rows[("freyfaces", "vampprior")] == 1392.62
    assert rows.isna().sum() == 3


def beside(bench: Bench, values: list[float], **changes: Any) -> dict[str, Any]:
    """The row of a VampPrior on Frey faces with these figures, a seed each; the paper has 1392.62 +- 6.25 of 8 runs."""
    chosen = suite.read("iop-table2")
    update = {"metrics": ("log_likelihood",), "seeds": tuple(range(len(values)))}
    chosen = chosen.model_copy(update=update | {"published": changes.pop("published", chosen.published)})
    request = Request(datasets=("freyfaces",), methods=("vampprior",), **changes)
    for run, value in zip(suite.expand(chosen, request), values, strict=True):
        bench.end(run, [figure(value, "log_likelihood", "is-10")])
    rows = bench.rows(chosen, request)
    (row,) = rows[rows.status == "ok"].to_dict("records")
    return row


def test_the_verdict_counts_both_errors(bench: Bench):
    """Those of ours over seeds and of theirs over their eight runs, and the digits that they printed."""
    values = [1380.0, 1384.0, 1388.0]
    row = beside(bench, values)
    error = np.sqrt(16 / 3 + 6.25**2 / 8 + 0.01**2 / 12)
    assert row["deviation"] == pytest.approx((1384 - 1392.62) / error)
    assert row["verdict"] == "differs"
    assert beside(bench, [value + 6 for value in values])["verdict"] == "reproduced"


def test_what_cannot_be_compared_gets_no_verdict(bench: Bench):
    assert beside(bench, [1.0, 2.0])["verdict"] == "not comparable: 2 seeds, and 3 are needed"
    trial = beside(bench, [1.0, 2.0, 3.0], overrides=("training.epochs=1",))
    assert trial["verdict"].startswith("not comparable: a trial")
    assert pd.isna(trial["deviation"])
    source = suite.read("iop-table2").published[0]
    reason = source.model_copy(update={"not_comparable": {"log_likelihood": "other networks"}})
    assert beside(bench, [1.0, 2.0, 3.0], published=(reason,))["verdict"] == "not comparable: other networks"


def test_papers_figures_of_systems_that_are_not_run_are_rows_too(bench: Bench):
    """Each once, where none of ours stands beside it."""
    rows = iop(bench, [figure(1381.0, "log_likelihood", "is-10")])
    alone = rows[rows.status == "published"]
    assert len(alone) == 12
    assert alone["mean"].isna().all()
    assert ("freyfaces", "gaussian") not in set(zip(alone.dataset, alone.method, strict=True))
    assert 1396.27 in set(alone.published)


def test_standings_are_by_paired_tests(bench: Bench):
    """The best, and who is told from it over seeds; figures of other estimators are another race."""
    chosen = made(methods=("gaussian", "mixture", "vampprior"), seeds=6)
    noise = np.random.default_rng(1).normal(size=6)
    for run in suite.expand(chosen):
        shift = {"gaussian": 5.0, "mixture": 0.05, "vampprior": 0.0}[run.method]
        jitter = 0.2 * np.random.default_rng(run.seed + 10 * len(run.method)).normal()
        estimators = ["is-10"] if run.method == "vampprior" else ["is-10", "elbo"]
        bench.end(run, [figure(noise[run.seed] + shift + jitter, estimator=name) for name in estimators])
    rows = bench.rows(chosen).set_index(["method", "estimator"])["standing"]
    assert rows["gaussian", "is-10"] == "worse"
    assert rows["gaussian", "elbo"] == "worse"
    assert rows["mixture", "elbo"] == "best"
    assert {rows["mixture", "is-10"], rows["vampprior", "is-10"]} == {"best", "tied"}


def test_a_standing_tells_its_test(bench: Bench):
    """Against whom, on how many seeds, by how much and how sure; the best is held against nothing."""
    chosen = made(methods=("gaussian", "mixture"), seeds=5)
    values = {"gaussian": [5.0, 6.0, 7.0, 8.0, 9.5], "mixture": [1.0, 2.5, 3.0, 4.0, 5.0]}
    for run in suite.expand(chosen):
        if (run.method, run.seed) != ("gaussian", 2):
            bench.end(run, [figure(values[run.method][run.seed])])
    frame = bench.rows(chosen)
    table.write(frame, bench.workspace.results / "made.csv")
    read, lacking = table.read(bench.workspace.results / "made.csv", "")
    assert lacking == ()
    worse, best = read.to_dict("records")
    differences = [4.0, 3.5, 4.0, 4.5]
    assert (worse["standing"], worse["against"], worse["n"], worse["pairs"]) == ("worse", "mixture", 4, 4)
    numbers = (worse["difference"], worse["difference_stderr"], worse["p"], worse["detectable"])
    error = np.std(differences, ddof=1) / 2
    p = scipy.stats.ttest_1samp(differences, 0).pvalue
    assert numbers == pytest.approx((4.0, error, p, detectable(error, 4)), rel=1e-6)
    assert best["standing"] == "best"
    assert pd.isna([best[name] for name in standings.COLUMNS[1:]]).all()
    assert pd.isna(worse["difference_images"])


def test_the_error_over_images_is_of_pairs_of_models(bench: Bench):
    """Of each seed with values of both, averaged; values that were changed since count for none."""
    chosen = made(methods=("gaussian", "mixture"), seeds=3)
    values = np.random.default_rng(0).normal(size=(2, 3, 20))
    for run in suite.expand(chosen):
        mine = values[int(run.method == "gaussian"), run.seed]
        bench.end(run, [figure(mine.mean())], images=None if run.seed == 2 else mine)
    errors = [np.std(values[1, seed] - values[0, seed], ddof=1) / np.sqrt(20) for seed in range(2)]
    (found,) = bench.rows(chosen)["difference_images"].dropna()
    assert found == pytest.approx(np.mean(errors))
    path = bench.workspace.record(suite.expand(chosen)[0]).folder / "values" / "nll.safetensors"
    path.write_bytes(b"rubbish")
    (found,) = bench.rows(chosen)["difference_images"].dropna()
    assert found == pytest.approx(errors[1])


def test_what_is_unreliable_is_not_ranked(bench: Bench):
    """However good it looks; and where one seed is, the seeds in which it is an estimate are of the same row."""
    chosen = made(methods=("lars", "implicit", "mixture"), seeds=4)
    names = {"lars": "is-10+estimate", "implicit": "is-10+estimate", "mixture": "is-10+estimate"}
    for run in suite.expand(chosen):
        doubted = run.method == "implicit" and run.seed > 0
        name = names[run.method].replace("estimate", "unreliable") if doubted else names[run.method]
        note = "unreliable: of few draws" if doubted else ""
        value = {"lars": 2.0, "implicit": 0.0, "mixture": 8.0}[run.method] + 0.01 * run.seed**2 * len(run.method)
        bench.end(run, [figure(value, estimator=name, note=note), figure(value, estimator=f"{name}+leaking-only")])
    rows = bench.rows(chosen).set_index(["method", "estimator"])
    assert len(rows) == 6
    doubtful = rows.loc["implicit"]
    assert doubtful.index.tolist() == ["is-10+unreliable", "is-10+unreliable+leaking-only"]
    assert (doubtful["n"] == 4).all()
    assert doubtful["standing"].isna().all()
    assert "unreliable: of few draws (3 of 4 seeds)" in doubtful["note"].iloc[0]
    assert rows.loc[("lars", "is-10+estimate"), "standing"] == "best"
    assert rows.loc[("mixture", "is-10+estimate"), ["standing", "against"]].tolist() == ["worse", "lars"]


def test_few_seeds_leave_standings_undecided(bench: Bench):
    chosen = made(methods=("gaussian", "mixture"), seeds=1)
    for run, value in zip(suite.expand(chosen), (1.0, 2.0), strict=True):
        bench.end(run, [figure(value)])
    rows = bench.rows(chosen).set_index("method")["standing"]
    assert rows["gaussian"] == "best"
    assert rows["mixture"] == "undecided; one seed shows no spread: at least 2 are needed"


def test_a_figure_without_spread_counts_as_one_run(bench: Bench):
    source = suite.read("iop-table2").published[0]
    row = {"status": "ok", "n": 4, "mean": 3.0, "std": 2.0, "stderr": 1.0}
    (run, *_) = suite.expand(suite.read("iop-table2"), Request(datasets=("freyfaces",), methods=("gaussian",)))
    printed = {"metric": "log_likelihood", "value": 0.5, "std": float("nan"), "decimals": 1, "note": ""}
    found = source.judged(printed, run, row)
    assert found["deviation"] == pytest.approx(2.5 / np.sqrt(1 + 4 + 0.01 / 12))
    assert found["verdict"] == "reproduced"
