"""The page of a suite: numbers, verdicts, settings, figures, escaping, what a browser makes of it, and mistakes."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import run
from benchmarks.config import published, suite
from benchmarks.config.suite import Request
from benchmarks.plots.base import PLOTS, Drawing, Plot
from benchmarks.report import glossary, settings
from benchmarks.report.__main__ import main
from benchmarks.tables import ledger, standings, table
from browser import BROWSER, browse
from priors.base import Unsupported

COMMITTED = Path(__file__).parents[2] / "results" / "reference"
VOID = {"meta", "link", "img"}
EVIL = ("<script>window.hit=1</script>", '"><img src=x onerror="window.hit=1">', "javascript:window.hit=1", "a'b&c`d`")

SUITE = """
title = "Mine & <yours>"
summary = "Short."
datasets = ["onehot", "moons"]
methods = ["gaussian", "mixture", "vampprior"]
seeds = 2
metrics = ["nll", "active_units"]

[model]
widths = [8]
latent_dim = 2

[training]
epochs = 1

[protocol]
samples = [10]
images = 20

[dataset.moons]
model.likelihood = "gaussian-scalar"

[method.mixture]
training.lr = 0.01

[preset.quick]
training.epochs = 0
"""


class Page(HTMLParser):
    """A page's elements with their attributes, its text, and its tables by label: rows of (text, data-value)."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.inline: dict[str, str] = {}
        self.tables: list[tuple[str, list[list[list[str]]]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append((given.get("aria-label", ""), []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][1][-1].append(["", given.get("data-value", "")])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.inline[self.open[-1]] = data
            return
        self.words.append(data)
        if {"td", "th"} & {*self.open}:
            self.tables[-1][1][-1][-1][0] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, first: str, second: str) -> list[dict[str, list[str]]]:
        """The rows, by column, of the only table whose first two columns are called so."""
        (rows,) = [rows for _, rows in self.tables if [cell[0] for cell in rows[0][:2]] == [first, second]]
        return [dict(zip([cell[0] for cell in rows[0]], row, strict=True)) for row in rows[1:]]

    def figures(self) -> dict[tuple[str, ...], dict[str, list[str]]]:
        """By data set, metric, estimator and method: the row's cells by column."""
        found = {}
        for label, (head, *rows) in self.tables:
            metric, _, dataset = label.partition(" on ")
            for row in rows if label else []:
                if len(row) == 1:
                    estimator = re.sub(r" (lower|higher) is better$", "", row[0][0])
                else:
                    key = (dataset, metric, estimator, row[0][0])
                    found[key] = dict(zip([cell[0] for cell in head], row, strict=True))
        return found


def report(folder: Path, name: str, *flags: str) -> Page:
    """The page of NAME.csv in the folder, whose figures are taken as drawn."""
    assert main(["--suite", name, "--results", str(folder), "--as-drawn", *flags]) == 0
    (path,) = folder.glob("*.html")
    return Page(path.read_text(encoding="utf-8"))


def committed(folder: Path, name: str) -> tuple[Page, list[dict[str, str]]]:
    """The page of a committed table, and the table's rows as they stand in the file."""
    shutil.copy(COMMITTED / f"{name}.csv", folder)
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return report(folder, name), list(csv.DictReader(file))


def own(folder: Path, *rows: dict[str, Any], text: str = SUITE) -> str:
    """The path of a suite of one's own whose table has these rows."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    base = {"suite": "mine", "dataset": "onehot", "method": "gaussian", "metric": "nll", "n": 0, "status": "ok"}
    table.write(pd.DataFrame([base | row for row in rows], columns=table.COLUMNS), folder / "mine.csv")
    return str(path)


def figure(mean: float = 1.25, **more: Any) -> dict[str, Any]:
    numbers = {"mean": mean, "std": 0.2, "n": 4, "stderr": 0.1}
    return numbers | {"estimator": "is-10", "direction": "lower", "unit": "nats"} | more


def test_every_figure_of_a_table_stands_on_the_page(tmp_path: Path):
    page, rows = committed(tmp_path, "quickstart")
    found = page.figures()
    assert len(found) == len(rows)
    for row in rows:
        cells = found[row["dataset"], row["metric"], row["estimator"], row["method"]]
        shown, exact = cells["mean"]
        assert float(exact) == float(row["mean"])
        decimals = len(shown.partition(".")[2])
        assert abs(float(shown) - float(row["mean"])) <= 0.51 * 10.0**-decimals
        assert cells["n"][0] == row["n"]
        assert cells.get("standing", [""])[0].split(" ")[-1] == row["standing"]
        if float(row["stderr"] or 0) > 0:
            assert float(cells["± s.e."][0]) == pytest.approx(float(row["stderr"]), rel=0.06)
    assert page.text.count("a classifier trained on digits") == 1


def test_costs_are_a_table_a_data_set(tmp_path: Path):
    costs = {
        (method, metric): 1000.0 * i + j
        for i, method in enumerate(("gaussian", "mixture"), 96)
        for j, metric in enumerate(("parameters", "training time"), 340)
    }
    rows = [
        {"suite": "quickstart", "dataset": "digits", "method": method, "metric": metric.replace(" ", "_"), "n": 3}
        | {"mean": mean, "status": "ok", "unit": "count" if metric == "parameters" else "s"}
        for (method, metric), mean in costs.items()
    ]
    table.write(pd.DataFrame(rows, columns=table.OWN), tmp_path / "quickstart-cost.csv")
    page, _ = committed(tmp_path, "quickstart")
    shown = page.table("method", "parameters")
    found = {(row["method"][0], name.partition(",")[0]): cell for row in shown for name, cell in row.items()}
    assert {key: float(cell[1]) for key, cell in found.items() if key[1] != "method"} == costs
    assert found["gaussian", "parameters"][0] == "96,340"


def test_verdicts_are_counted_and_listed(tmp_path: Path):
    page, rows = committed(tmp_path, "flexae-table4")
    judged = {(row["dataset"], row["metric"], row["method"]): row for row in rows if row["verdict"]}
    for label, count in Counter(row["verdict"] for row in judged.values()).items():
        assert f"{count} {label}" in page.text
    alone = sum(row["status"] == "published" for row in rows)
    assert f"{alone} more of the paper's figures have none of ours beside them" in page.text
    shown = page.table("method", "data set")
    assert len(shown) == len(judged)
    for cells in shown:
        row = judged[cells["data set"][0], cells["metric"][0], cells["method"][0]]
        assert float(cells["deviation"][1]) == float(row["deviation"])
        assert cells["verdict"][0] == row["verdict"]
        assert float(cells["the paper's"][0].partition(" ")[0]) == float(row["published"])


def test_a_verdict_that_cannot_be_given_says_why(tmp_path: Path):
    verdict = {"verdict_label": "not comparable", "verdict_reason": "1 seed, and 3 are needed"}
    verdict["verdict"] = "not comparable: 1 seed, and 3 are needed"
    page = report(tmp_path, own(tmp_path, figure(published=1.5, published_source="iop table 2", **verdict)))
    assert "0 reproduced 0 differs 1 not comparable" in page.text
    (row,) = page.table("method", "data set")
    assert row["reason"][0] == "1 seed, and 3 are needed"
    assert "a not comparable: 1 seed, and 3 are needed" in page.text


def test_what_was_not_computed_unfolds_to_the_rows(tmp_path: Path):
    page, rows = committed(tmp_path, "flexae-table4")
    unfolded = []
    for cells in page.table("status", "reason"):
        names = [cells[column][0].split(", ") for column in ("data sets", "methods", "metrics")]
        unfolded += [(cells["status"][0], cells["reason"][0], *cell) for cell in product(*names)]
    absent = [row for row in rows if row["status"] not in ("ok", "published")]
    keys = ("status", "remark", "dataset", "method", "metric")
    assert sorted(unfolded) == sorted(tuple(row[key] for key in keys) for row in absent)


def test_metrics_that_the_suite_names_come_first_and_by_products_are_folded(tmp_path: Path):
    rows = [figure(metric="kl"), figure(metric="nll"), figure(metric="kl", estimator="elbo", method="mixture")]
    page = report(tmp_path, own(tmp_path, *rows))
    labels = [label for label, _ in page.tables if label]
    assert labels == ["nll on onehot", "kl on onehot"]
    first, second = (one for one in page.all("details") if one.get("aria-label"))
    assert "open" in first
    assert "open" not in second
    assert len(page.figures()) == 3


def test_doubts_are_marked(tmp_path: Path):
    note = "unreliable: k-hat > 0.7 for over 5% of images"
    one = figure(remark=note, alarm="unreliable", within=0.04, n=1, std=None, stderr=None)
    reason = "one seed shows no spread: at least 2 are needed"
    undecided = figure(method="mixture", standing_label="undecided", standing_reason=reason)
    page = report(tmp_path, own(tmp_path, one, undecided))
    cells = page.figures()["onehot", "nll", "is-10", "gaussian"]
    assert cells["note"][0] == "a unreliable"
    assert cells["mean"][0] == "1.250"
    assert cells["± s.e."] == ["(0.040)", "0.040"]
    assert f"a {note}" in page.text
    assert page.figures()["onehot", "nll", "is-10", "mixture"]["standing"][0] == "? undecided"
    assert "b one seed shows no spread" in page.text


def test_what_is_unreliable_by_name_is_marked(tmp_path: Path):
    page = report(tmp_path, own(tmp_path, figure(estimator="is-10+unreliable"), figure(method="mixture")))
    cells = page.figures()["onehot", "nll", "is-10+unreliable", "gaussian"]
    assert cells["note"][0].strip() == "unreliable"
    assert page.figures()["onehot", "nll", "is-10", "mixture"]["note"][0] == ""
    assert "It is held against no other figure" in page.text


def test_tests_are_told_with_their_seeds_and_errors(tmp_path: Path):
    """To the digits of the error over seeds; a method is told to have been tested where it was."""
    test = {
        "standing_label": "worse",
        "against": "vampprior",
        "difference": 0.37123,
        "difference_stderr": 0.0343,
        "pairs": 5,
    }
    test |= {"difference_images": 0.0543, "p": 0.000413, "detectable": 0.306}
    bare = {"standing_label": "undecided", "against": "vampprior", "difference": 1.0, "pairs": 1}
    best, other = figure(method="vampprior", standing_label="best"), figure(method="mixture", **bare)
    page = report(tmp_path, own(tmp_path, best, figure(**test), other))
    (rows,) = [rows for _, rows in page.tables if [cell[0] for cell in rows[0][:2]] == ["method", "against"]]
    shown = [[cell[0] for cell in row] for row in rows[1:]]
    assert shown == [
        ["is-10"],
        ["gaussian", "vampprior", "5", "+0.371", "0.034", "0.054", "0.00041", "0.306"],
        ["mixture", "vampprior", "1", "+1", "", "", "", ""],
    ]
    assert rows[2][3][1] == "0.37123"
    assert page.figures()["onehot", "nll", "is-10", "mixture"]["standing"][0] == "? undecided"


def test_a_trial_is_told_at_the_top_and_only_there(tmp_path: Path):
    told = "preset quick: training.epochs=0"
    name = own(tmp_path, figure(remark="an upper bound", trial=told), figure(2.0, method="mixture", trial=told))
    (tmp_path / "mine.csv").rename(tmp_path / "mine-quick.csv")
    page = report(tmp_path, name, "--preset", "quick")
    assert page.text.count("A trial, not the suite's own settings") == 1
    assert page.text.count(told) == 1
    assert "a an upper bound" in page.text
    assert f"--suite {name} --preset quick" in page.text
    other = report(tmp_path, name, "--name", "mine-quick")
    assert f"The rows were run with {told}; the settings shown here are those of the suite's own" in other.text


def test_names_and_notes_are_shown_and_never_run(tmp_path: Path):
    words = ("dataset", "method", "metric", "estimator", "unit", "published_source", "verdict", *table.TOLD[1:])
    words += (*published.PARTS, *standings.PARTS)
    rows = [figure(published=1.0, **dict.fromkeys(words, text)) for text in EVIL]
    rows += [{"status": "failed", "method": text, "remark": text} for text in EVIL]
    name = own(tmp_path, *rows, text=f"# {EVIL[0]} {EVIL[1]}\n{SUITE}")
    folder = tmp_path / "figures" / "mine"
    folder.mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(folder / "x.png")
    shown = [{"plot": text, "dataset": text, "file": "x", "caption": text} for text in EVIL]
    (folder / "figures.json").write_text(json.dumps([*shown, shown[0] | {"file": EVIL[1]}]), encoding="utf-8")
    page = report(tmp_path, name)
    assert len(page.all("script")) == 1
    assert len(page.all("img")) == len(EVIL) + 1, "and the one that a click enlarges"
    assert not [key for _, given in page.elements for key in given if key.startswith("on")]
    assert not [given for _, given in page.elements if given.get("href", "#")[0] not in "#d"]
    for text in EVIL:
        assert page.text.count(text) >= 8
    assert page.all("h1")
    assert "Mine & <yours>" in page.text


def test_the_page_needs_nothing_beside_it(tmp_path: Path):
    page, _ = committed(tmp_path, "quickstart")
    for _, given in page.elements:
        for key in ("src", "href"):
            assert given.get(key, "#").startswith(("#", "data:"))
        assert not {"srcset", "action", "background", "style"} & {*given}
    assert not re.search(r"url\(|@import|https?:|fetch|XMLHttp", page.inline["style"] + page.inline["script"])
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.inline[tag].encode()).digest()).decode()
        assert rules[f"{tag}-src"] == [f"'sha256-{digest}'"]


def test_contents_lead_to_sections(tmp_path: Path):
    full, _ = committed(tmp_path, "flexae-table4")
    ids = [given["id"] for _, given in full.elements if "id" in given]
    links = [one["href"] for one in full.all("a")]
    assert len({*ids}) == len(ids)
    assert {link[1:] for link in links} == {*ids} - {"large"}
    assert ids[:3] == ["verdicts", "tables", "data-1"], "no metric of this table answers a question of the headline"
    (tmp_path / "bare").mkdir()
    bare = report(tmp_path / "bare", own(tmp_path / "bare", {"status": "failed", "remark": "because"}))
    assert [one["href"] for one in bare.all("a")] == ["#protocol", "#settings", "#absent", "#reading"]


def test_protocol_methods_and_command(tmp_path: Path):
    comment = "# About `x`\n# in two lines.\n#\n# The second.\n"
    rows = [figure(), figure(method="mixture"), figure(method="lars")]
    page = report(tmp_path, own(tmp_path, *rows, text=comment + SUITE))
    assert "About x in two lines. The second." in page.text
    assert "mixture of diagonal Gaussians (Tomczak and Welling 2018); here with training.lr=0.01" in page.text
    assert "--method gaussian mixture lars" in page.text
    assert "--dataset" not in page.text
    assert "there is no mine.runs.json beside the table" in page.text
    assert (
        "--dataset onehot --method gaussian mixture lars"
        in report(tmp_path, str(tmp_path / "mine.toml"), "--dataset", "onehot").text
    )


def test_runs_and_what_they_ran_on(tmp_path: Path):
    name = own(tmp_path, figure())
    runs = suite.expand(suite.read(name), Request(datasets=("onehot",), methods=("gaussian",)))
    left = {}
    for seed, one in enumerate(runs):
        environment = {"commit": f"c{seed}", "device": "cpu", "packages": {"torch": "9.9"}, "threads": 1}
        settings = {key: value for key, value in one.model_dump(mode="json").items() if key != "seed"}
        settings["training"]["lr"] = 0.123
        made = {"by": ({"sources": "s"},), "data": "d", "weights": "w", "ended": f"2026-01-0{seed + 1}T00:00:00+00:00"}
        of = {"evaluation": one.evaluation, "protocol": "p", "training": {"status": "ok", "cost": []}, "metrics": {}}
        left[one.name] = ledger.Entry(seed=seed, settings=settings, environment=environment, **made, **of)
    ledger.write(left, tmp_path / "mine")
    text = report(tmp_path, name).text
    assert "runs 2, ended 2026-01-01 to 2026-01-02" in text
    assert "training.lr 0.123" in text, "the runs' own, not those of today's suite"
    assert "c0 (1 of 2); c1 (1 of 2)" in text
    assert "device cpu packages torch 9.9 threads 1" in text


def test_settings_are_said_once_and_what_differs_where_it_differs(tmp_path: Path):
    chosen = suite.read(own(tmp_path, figure()))
    cells = {(one.dataset, one.method): one.model_dump(mode="json") for one in suite.expand(chosen)}
    found = settings.compared(cells)
    assert found.usual["training.lr"] == "0.0005"
    assert found.own["mixture"]["training.lr"] == "0.01"
    assert found.own["every method on moons"] == {"model.likelihood": "gaussian-scalar"}
    assert found.own["every method on onehot"] == {"model.likelihood": "bernoulli"}
    assert found.own["gaussian"] == {"prior.name": "gaussian"}
    assert set(found.own) == {f"every method on {name}" for name in chosen.datasets} | {*chosen.methods}
    for (dataset, method), one in cells.items():  # nothing is lost: usual, then the data set's, then the method's
        laid = found.usual | found.own[f"every method on {dataset}"] | found.own[method]
        assert laid == settings.listed(one)


def test_settings_of_a_pair_stand_by_the_pair(tmp_path: Path):
    chosen = suite.read("iop-table2")
    cells = {(one.dataset, one.method): one.model_dump(mode="json") for one in suite.expand(chosen)}
    found = settings.compared(cells).own
    assert found["vampprior on omniglot"]["prior.vampprior.components"] == "1000"
    most = {key: one for key, one in cells.items() if key[1] == "vampprior" or key == ("mnist", "gaussian")}
    assert "prior.vampprior.noise" not in settings.compared(most).usual  # one of them has no such setting
    assert "prior.vampprior.components" not in found["vampprior"]


def test_figures_are_inside_and_what_is_missing_is_told(tmp_path: Path):
    name = own(tmp_path, figure())
    folder = tmp_path / "figures" / "mine"
    folder.mkdir(parents=True)
    Image.new("RGB", (31, 17), "red").save(folder / "one.png")
    entry = {"plot": "made-up", "dataset": "onehot", "file": "one", "caption": "What it shows."}
    others = [{"file": "gone"}, {"file": "", "caption": "no codes"}, {"dataset": "moons", "caption": "Not asked for."}]
    (folder / "figures.json").write_text(json.dumps([entry, *(entry | one for one in others)]), encoding="utf-8")
    page = report(tmp_path, name)
    image = page.all("img")[0]
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == (folder / "one.png").read_bytes()
    assert (image["width"], image["height"]) == ("31", "17")
    assert image["alt"] == "made-up, on onehot"
    assert "What it shows." in page.text
    assert "the file gone.png is missing" in page.text
    assert "no codes" in page.text
    assert "Not asked for." not in page.text


@pytest.fixture
def drawable(own_parts: None) -> None:
    """Two plots alone, so that this test is of no particular one."""

    def straight(results: Any):
        """A line."""
        drawn = Figure(figsize=(1, 1))
        drawn.subplots().plot([0, len(results.runs)])
        yield Drawing(drawn, f"Of {len(results.runs)} runs.")

    def never(results: Any):
        """Nothing."""
        raise Unsupported("these runs have none")
        yield

    for name in [*PLOTS]:
        PLOTS.drop(name)
    PLOTS.put("straight", Plot("straight", straight, False))
    PLOTS.put("never", Plot("never", never, True))


@pytest.mark.long
@pytest.mark.usefixtures("drawable")
def test_figures_are_drawn_anew_from_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "mine.toml"
    path.write_text(SUITE, encoding="utf-8")
    where = ["--suite", str(path), "--results", str(tmp_path)]
    assert run.main([*where, "--dataset", "onehot", "--method", "gaussian", "mixture", "--executor", "serial"]) == 0
    assert main(where) == 0
    first = (tmp_path / "mine.html").read_bytes()
    page = Page(first.decode())
    assert "Of 4 runs." in page.text
    assert "never these runs have none" in page.text
    assert "runs 4, ended" in page.text
    assert "Draws of gaussian on onehot, decoded" not in [image["alt"] for image in page.all("img")]
    assert "A line, on onehot" in [image["alt"] for image in page.all("img")]
    assert "straight.png" in capsys.readouterr().out
    assert main(where) == 0
    assert (tmp_path / "mine.html").read_bytes() == first


@pytest.mark.usefixtures("drawable")
def test_without_runs_the_figures_stay_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--suite", own(tmp_path, figure()), "--results", str(tmp_path)]) == 0
    assert "Figures could not be drawn anew" in Page((tmp_path / "mine.html").read_text(encoding="utf-8")).text
    assert "No run of" in capsys.readouterr().out


def test_a_part_of_a_table(tmp_path: Path):
    name = own(tmp_path, figure(), figure(method="mixture"), figure(dataset="moons"))
    page = report(tmp_path, name, "--dataset", "onehot", "--method", "mixture")
    assert [*page.figures()] == [("onehot", "nll", "is-10", "mixture")]


def test_a_table_of_an_earlier_version_is_shown_as_far_as_it_goes(tmp_path: Path):
    name = own(tmp_path, figure(published=1.5))
    path = tmp_path / "mine.csv"
    pd.read_csv(path).drop(columns=["deviation", "verdict", "standing"]).to_csv(path, index=False)
    page = report(tmp_path, name)
    assert "The table is of an earlier version and has no deviation, verdict, standing." in page.text
    assert "standings are by" not in page.text
    cells = page.figures()["onehot", "nll", "is-10", "gaussian"]
    assert cells["published"][0] == "1.5"
    assert "verdict" not in cells


MISTAKES = [
    (["--suite", "quickstar"], "Did you mean 'quickstart'"),
    (["--suite", "quickstart", "--name", "none"], "make it by `python -m benchmarks.run --suite quickstart --"),
    (["--suite", "quickstart", "--preset", "laptob"], "Unknown preset"),
    (["--suite", "quickstart", "--dataset", "digit"], "Did you mean 'digits'"),
    (["--suite", "quickstart", "--method", "lars"], "has no such rows"),
    (["--suite", "quickstart", "--name", "empty"], "is no table"),
    (["--suite", "quickstart", "--name", "other"], "has no column 'suite'"),
]


@pytest.mark.parametrize(("flags", "message"), MISTAKES)
def test_mistakes_are_told_in_one_sentence(
    flags: Sequence[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copy(COMMITTED / "quickstart.csv", tmp_path)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert main([*flags, "--results", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert message in told
    assert not [*tmp_path.glob("*.html")]


def test_every_estimator_of_the_committed_tables_is_explained():
    tables = [pd.read_csv(path) for path in COMMITTED.glob("*.csv") if not path.name.endswith(".runs.csv")]
    names = {name for frame in tables for name in frame["estimator"].dropna()} - {"wall-clock", "process", "device"}
    assert len(names) > 20
    for name in names:
        assert glossary.of(pd.DataFrame({"estimator": [name]})), name
    assert [*glossary.of(pd.DataFrame({"estimator": ["is-10+estimate", None]}))] == ["is-K", "+estimate"]


PROBE = """
const told = { violations: [] };
addEventListener("securitypolicyviolation", (event) => told.violations.push(event.blockedURI));
const table = document.querySelector("table[aria-label]");
const methods = () => [...table.tBodies[0].rows].slice(1).map((row) => row.cells[0].textContent);
const state = (button) => [button.closest("th").getAttribute("aria-sort"), ...methods()];
const buttons = [...table.querySelectorAll("thead button")];
const mean = buttons[1];
mean.focus();
told.focused = document.activeElement === mean;
told.states = [state(mean)];
for (const button of [mean, mean, mean, buttons[0], buttons[0], mean]) {
  button.click();
  told.states.push(state(button));
}
told.sorted = table.querySelectorAll("[aria-sort]").length;
for (const one of document.querySelectorAll("details")) one.open = true;
told.beyond = document.documentElement.scrollWidth - innerWidth;
told.narrow = innerWidth;
told.fetched = performance.getEntriesByType("resource").length;
document.body.insertAdjacentHTML("beforeend", "<i onclick='window.hit = 2'></i>");
document.body.lastElementChild.click();
await fetch("https://example.org/x").catch(() => {});
await new Promise((resolve) => setTimeout(resolve, 200));
told.hit = window.hit ?? 0;
parent.postMessage(JSON.stringify(told), "*");
"""

PHONE = """<!doctype html><iframe width="360" height="800" src="probed.html" style="border: 0"></iframe><pre></pre>
<script>onmessage = (event) => (document.querySelector("pre").textContent = event.data)</script>"""


@pytest.mark.long
@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium, chromium-browser or google-chrome on the PATH")
def test_in_a_browser(tmp_path: Path):
    """Headers sort, nothing is fetched, refused or logged, and a narrow page does not scroll sideways.

    The probe is run as a part of the page's script, under a policy that names both.
    """
    means = {"gaussian": 9.0, "vampprior": -10.5, "mixture": 10.0}
    paper = {
        "published": 1.5,
        "published_std": 0.25,
        "published_source": "iop table 2",
        "verdict": "differs",
        "verdict_label": "differs",
    }
    rows = [figure(mean, method=name, remark=EVIL[0], standing_label="tied", **paper) for name, mean in means.items()]
    rows[0]["remark"] = "y" * 300
    name = own(tmp_path, *rows, {"method": "lars", "status": "failed", "remark": "x" * 300})
    page, plain, probed = report(tmp_path, name), tmp_path / "mine.html", tmp_path / "probed.html"
    seen = browse(plain, tmp_path / "profile")
    assert "CONSOLE" not in seen.stderr
    headers = sum(one.get("scope") == "col" for one in page.all("th"))
    assert seen.stdout.count("<button") == headers + 1, "and the one that closes an enlarged figure"

    script = page.inline["script"]
    longer = f"{script}\n(async () => {{{PROBE}}})();\n"
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (script, longer)]
    probed.write_text(plain.read_text(encoding="utf-8").replace(script, longer).replace(*hashes), encoding="utf-8")
    (tmp_path / "phone.html").write_text(PHONE, encoding="utf-8")
    seen = browse(tmp_path / "phone.html", tmp_path / "profile").stdout
    told = json.loads(html.unescape(re.findall(r"<pre>(.*?)</pre>", seen)[0]))
    assert told["states"] == [
        [None, "gaussian", "vampprior", "mixture"],
        ["ascending", "vampprior", "gaussian", "mixture"],  # as numbers: as text 10 would stand before 9
        ["descending", "mixture", "gaussian", "vampprior"],
        [None, "gaussian", "vampprior", "mixture"],
        ["ascending", "gaussian", "mixture", "vampprior"],
        ["descending", "vampprior", "mixture", "gaussian"],
        ["ascending", "vampprior", "gaussian", "mixture"],
    ]
    assert told["sorted"] == 1
    assert told["focused"]
    assert told["narrow"] == 360
    assert told["beyond"] <= 0
    assert told["fetched"] == 0
    assert told["hit"] == 0
    assert sorted(told["violations"]) == ["https://example.org/x", "inline"]  # of the probe: the policy is at work
