"""The site: what each page says, who is ranked with whom, links, escaping, files, and what a browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pandas as pd
import pytest
from PIL import Image

from benchmarks.config import catalogue
from benchmarks.report.__main__ import main
from benchmarks.report.site import docstring, links
from benchmarks.report.site.boards import Board, boards
from benchmarks.report.site.given import tables
from benchmarks.report.site.ranking import UNRANKED
from benchmarks.tables import table
from browser import BROWSER, browse
from priors.registry import PRIORS

COMMITTED = Path(__file__).parents[2] / "results" / "reference"
EVIL = ("<script>window.hit=1</script>", '"><img src=x onerror="window.hit=1">', "javascript:window.hit=1", "../../x")


class Page(HTMLParser):
    """A page's addresses, anchors, pictures, title and words."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & {*self.open}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def site(folder: Path, results: Path = COMMITTED) -> Path:
    """The site of these tables, in the folder."""
    target = folder / "site"
    assert main(["--site", str(target), "--results", str(results)]) == 0
    return target


def row(method: str = "gaussian", mean: float = 1.25, **more: Any) -> dict[str, Any]:
    what = {"suite": "quickstart", "dataset": "digits", "prior": "gaussian", "model": "vae", "status": "ok"}
    how = {"metric": "nll", "estimator": "is-10", "direction": "lower", "unit": "nats", "protocol": "0a1b2c3d"}
    return what | how | {"method": method, "mean": mean, "std": 0.2, "n": 4, "stderr": 0.1} | more


def write(folder: Path, name: str, *rows: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    table.write(pd.DataFrame([*rows], columns=table.COLUMNS), folder / f"{name}.csv")
    return folder


def one_board(folder: Path) -> Board:
    (board,) = boards(tables(folder)[0])
    return board


def groups(board: Board, view: int = 0) -> dict[str, list[str]]:
    """Methods by the certainty that they are ranked with."""
    return {group.certainty: [line.source.method for line in group.lines] for group in board.views[view].groups}


# Of the project's own tables


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Those of the committed tables, by their files."""
    target = site(tmp_path_factory.mktemp("committed"))
    return {path.relative_to(target).as_posix(): Page(path) for path in sorted(target.rglob("*.html"))}


@pytest.mark.long
def test_there_is_a_page_for_every_prior_suite_and_leaderboard(pages: dict[str, Page]):
    found, _ = tables(COMMITTED)
    wanted = {"index.html", links.SUBMISSIONS} | {links.board(one.dataset, one.protocol) for one in boards(found)}
    wanted |= {links.prior(name) for name in PRIORS} | {links.suite(name) for name in catalogue.suites()}
    assert {*pages} == wanted
    titles = [re.findall(r"<title>(.*?)</title>", page.source)[0] for page in pages.values()]
    assert len({*titles}) == len(titles)
    assert all(title.endswith("| priorbench") for title in titles)


@pytest.mark.long
def test_links_lead_to_what_is_there_and_nowhere_else(pages: dict[str, Page]):
    """Every address is a file of the site with its anchor, and the index leads to every page."""
    from_index = set()
    for name, page in pages.items():
        addresses = [one["href"] for one in page.all("a")] + [one["src"] for one in page.all("img") if "src" in one]
        for address in addresses:
            path, anchor = urldefrag(address)
            assert ":" not in path, address
            target = (page.path.parent / unquote(path)).resolve() if path else page.path
            assert target.is_file(), (name, address)
            if anchor:
                assert f'id="{anchor}"' in target.read_text(encoding="utf-8"), (name, address)
            if name == "index.html":
                from_index.add(target)
    assert from_index >= {page.path.resolve() for name, page in pages.items() if name != "index.html"}


@pytest.mark.long
def test_every_page_leads_home_and_says_where_it_is(pages: dict[str, Page]):
    for name, page in pages.items():
        navigation = [one["aria-label"] for one in page.all("nav") if one.get("aria-label") in ("Site", "Breadcrumbs")]
        assert navigation == (["Site"] if name == "index.html" else ["Site", "Breadcrumbs"])
        (policy,) = [one["content"] for one in page.all("meta") if "http-equiv" in one]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert all(one.get("alt") for one in page.all("img") if "src" in one), name
        assert page.all("h1"), name


@pytest.mark.long
def test_a_leaderboard_has_the_rows_of_all_suites_with_its_protocol(pages: dict[str, Page]):
    page = pages["boards/digits-bac9c8c6.html"]
    for words in ("table1-controls", "pullback-paper", "vampprior 22.736", "Exact densities", "Bounds", "its control"):
        assert words.split()[0] in page.text
    assert "only bound in table1" in page.text
    assert "backbone dense, widths [128, 128], latent_dim 10, epochs 400" in page.text
    trials = pages["boards/digits-6990968a.html"].text
    assert "run with model.widths=[128,128]" in trials
    assert [one for one in pages["boards/digits-6990968a.html"].all("tr") if one.get("data-cost")]


@pytest.mark.long
def test_a_prior_has_its_law_settings_papers_standings_and_figures(pages: dict[str, Page]):
    page = pages["priors/vampprior.html"]
    assert "p(z) = 1/K sum_k q(z | u_k)" in page.text
    assert "@misc{vampprior," in page.source
    assert "10 to 2000, on a logarithmic scale" in page.text
    assert "vampprior-1000" in page.text, "a method that a suite defines"
    assert re.search(r"\b1 of \d", page.text)
    assert [one for one in page.all("img") if "figures/table1/" in one.get("src", "")]
    assert ">>>" not in pages["priors/gaussian.html"].text
    assert "No table has a figure of it yet." in pages["priors/lebm.html"].text


@pytest.mark.long
def test_a_suite_has_its_headline_verdicts_settings_and_what_made_it(pages: dict[str, Page]):
    own = pages["suites/quickstart.html"].text
    for words in (
        "Three priors on real 8x8 digits",
        "22.7683 ± 0.0092",
        "training.epochs",
        "python 3.11",
        "seeds 0, 1",
    ):
        assert words in own, words
    paper = pages["suites/flexae-table4.html"]
    assert "reproduced" in paper.text
    assert "@misc{flexae," in paper.source
    assert "The paper's numbers" in pages["suites/vaepp-table1.html"].text
    both = pages["suites/iop-table2.html"].text
    assert "A trial, not the suite's own settings." in both
    assert "iop-table2-laptop" in both


@pytest.mark.long
def test_the_same_tables_give_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(COMMITTED / "quickstart.csv", write(tmp_path / "tables", "more", row()))
    target = site(tmp_path, tmp_path / "tables")
    first = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in target.rglob("*") if path.is_file()}
    (target / "notes.txt").write_text("mine")
    capsys.readouterr()
    site(tmp_path, tmp_path / "tables")
    assert "0 files new or changed" in capsys.readouterr().out
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first} == first
    assert (target / "notes.txt").read_text() == "mine"
    (tmp_path / "tables" / "more.csv").unlink()
    site(tmp_path, tmp_path / "tables")
    assert not (target / "boards" / "digits-0a1b2c3d.html").exists(), "its table is gone"
    assert not (target / "tables" / "more.csv").exists()
    assert (target / "notes.txt").read_text() == "mine"


# Who is ranked with whom


def test_no_group_mixes_certainties(tmp_path: Path):
    """Better means of another certainty, of trials and of doubtful figures stand apart."""
    rows = [
        row("exact-2", 2.0),
        row("exact-1", 1.0),
        row("estimate", 0.5, estimator="is-10+estimate"),
        row("bound", 0.4, estimator="is-10+bound"),
        row("by-name", 0.3, estimator="is-10+unreliable"),
        row("by-alarm", 0.2, alarm="unreliable"),
        row("trial", 0.1, trial="training.epochs=1"),
        row("failed", status="failed", mean=None),
    ]
    board = one_board(write(tmp_path, "quickstart", *rows))
    found = groups(board)
    assert found.pop(UNRANKED) == ["by-name", "by-alarm", "trial", "failed"]
    assert found == {"exact": ["exact-1", "exact-2"], "estimate": ["estimate"], "bound": ["bound"]}
    places = {line.source.method: line.place for line in board.lines}
    assert places["exact-1"] == places["estimate"] == places["bound"] == 1
    assert [places[name] for name in ("by-name", "by-alarm", "trial", "failed")] == [None] * 4


def test_higher_may_be_better(tmp_path: Path):
    found = [row(str(mean), mean, metric="log_likelihood", direction="higher") for mean in (-3.0, -1.0, -2.0)]
    assert groups(one_board(write(tmp_path, "quickstart", *found)))["exact"] == ["-1.0", "-2.0", "-3.0"]


def test_a_doubt_is_of_all_draws_of_an_estimator(tmp_path: Path):
    """Ten draws do not make reliable what 5000 show to be doubtful; the bound by one draw is none of these."""
    doubt = row("a", estimator="is-5000", alarm="unreliable", remark="k-hat")
    rows = [
        doubt,
        row("a"),
        row("a", estimator="elbo"),
        row("b", estimator="is-5000"),
        row("b"),
        row("b", estimator="elbo"),
    ]
    board = one_board(write(tmp_path, "quickstart", *rows))
    assert [str(view.deciding.estimator) for view in board.views] == ["is-5000", "is-10", "elbo"]
    assert groups(board, 0) == groups(board, 1) == {"exact": ["b"], UNRANKED: ["a"]}
    assert groups(board, 2) == {"exact": ["a", "b"]}


def test_tables_of_one_protocol_share_a_board_and_others_do_not(tmp_path: Path):
    write(tmp_path, "quickstart", row("gaussian", 2.0, standing_label="best"), row("other", protocol="ffff0000"))
    write(tmp_path, "table1", row("gaussian", 1.0, suite="table1", standing_label="best"))
    found = {one.protocol: one for one in boards(tables(tmp_path)[0])}
    assert len(found["ffff0000"].lines) == 1
    lines = found["0a1b2c3d"].lines
    assert [(line.source.table.name, line.place, line.verdict) for line in lines] == [
        ("table1", 1, "best"),
        ("quickstart", 2, "best"),
    ]


def test_images_in_a_models_place_have_no_place(tmp_path: Path):
    folder = write(tmp_path, "quickstart", row("copies", 0.25, prior="none", model="none"), row())
    assert groups(one_board(folder)) == {"exact": ["gaussian"]}


def test_a_verdict_against_what_is_not_ranked_says_so(tmp_path: Path):
    best = row("dp", 1.0, standing_label="best", alarm="unreliable", remark="k-hat")
    view = one_board(write(tmp_path, "quickstart", best, row("b", 2.0, standing_label="worse"))).views[0]
    (line,) = view.ranked[0].lines
    assert not line.verdict
    assert view.footnotes[line.letter] == "worse against dp, which is not ranked"
    assert "best by its table's own test" in " ".join(view.footnotes.values())


def test_copying_stands_beside_its_control(tmp_path: Path):
    kinds = {"c_t-300": 1.0, "c_t-300-reconstruction": -4.0, "c_t-300-against-reconstructions": 5.0}
    rows = [row(mean=mean, metric="data_copying", estimator=how, direction="none") for how, mean in kinds.items()]
    view = one_board(write(tmp_path, "quickstart", row(), *rows)).views[0]
    (line,) = view.groups[0].lines
    shown = dict(zip([one.question for one in view.answers], [cell.mean for cell in line.cells], strict=True))
    assert shown == {"likelihood": "1.25", "copying": "5.00", "its control": "-4.00"}


# What others wrote


@pytest.mark.long
def test_what_a_table_says_is_text(tmp_path: Path):
    """Names of methods, data sets, suites and protocols are escaped, and lead to no file outside the site."""
    rows = [row(evil, dataset=evil, suite=evil, prior=evil, remark=evil, protocol=evil) for evil in EVIL]
    for i, one in enumerate(rows):
        write(tmp_path / "tables", f"t{i}", one, one | {"method": "b"})
    target = site(tmp_path, tmp_path / "tables")
    for path in target.rglob("*.html"):
        page = Page(path)
        assert len(page.all("script")) == 1, path
        assert not [one for _, one in page.elements if any(name.startswith("on") for name in one)], path
        assert not [one for one in page.all("a") if one["href"].startswith("javascript")], path
    assert EVIL[0] in " ".join(Page(path).text for path in target.rglob("*.html"))
    assert {path.name for path in tmp_path.iterdir()} == {"tables", "site"}


def test_names_that_files_cannot_tell_apart_have_files_of_their_own():
    names = ("a b", "a_b", "A_b", "a/b", "../a", "a" * 300)
    assert len({links.prior(name).lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"priors/[^/]{1,140}\.html", links.prior(name)) for name in names)


def test_figures_outside_of_their_folder_are_not_shown(tmp_path: Path):
    folder = write(tmp_path / "tables", "quickstart", row())
    Image.new("L", (2, 2)).save(tmp_path / "secret.png")
    (folder / "figures" / "quickstart").mkdir(parents=True)
    shown = [{"plot": "samples", "dataset": "digits", "file": "../../../secret", "caption": "c"}]
    (folder / "figures" / "quickstart" / "figures.json").write_text(json.dumps(shown))
    assert not [*site(tmp_path, folder).rglob("*.png")]


# Mistakes


@pytest.mark.parametrize("blocked", ["itself", "parent"])
def test_a_folder_that_cannot_be_written_is_told(blocked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    target = tmp_path / "file" if blocked == "itself" else tmp_path / "file" / "site"
    folder = write(tmp_path / "tables", "quickstart", row())
    assert main(["--site", str(target), "--results", str(folder)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "name another folder with --site" in told


def test_files_of_another_origin_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write(tmp_path / "tables", "quickstart", row())
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    assert main(["--site", str(tmp_path / "site"), "--results", str(folder)]) == 2
    assert "is of no site" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["index.html"]


def test_what_is_no_table_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--site", str(tmp_path / "site"), "--results", str(tmp_path)]) == 2
    assert "There are no tables in" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert main(["--site", str(tmp_path / "site"), "--results", str(tmp_path)]) == 2
    assert "other.csv is no table of a suite" in capsys.readouterr().err
    (write(tmp_path / "tables", "quickstart", row()) / "other.csv").write_text("a,b\n1,2\n")
    site(tmp_path, tmp_path / "tables")
    assert "other.csv is no table of a suite: it has no column 'suite'; it is left out." in capsys.readouterr().out


def test_flags_of_a_suite_are_none_of_the_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([f"--site={tmp_path}", "--suite", "quickstart"]) == 2
    assert "--suite" in capsys.readouterr().err


# Docstrings


def test_a_docstring_comes_apart():
    text = """A law that is long: p(z) = 1 (Somebody
2020). It is flat.

The density is

    p(z) = 1,
      z in [0, 1],

and draws are told apart by the setting

start: "data" or
    "normal". noise: of both.
Raises Unsupported on all else.

>>> 1 + 1
2
"""
    told = docstring.parsed(text, ["start", "noise"])
    assert told.law == "A law that is long: p(z) = 1 (Somebody 2020). It is flat."
    assert told.blocks == [
        ("text", "The density is"),
        ("formula", "p(z) = 1,\n  z in [0, 1],"),
        ("text", "and draws are told apart by the setting: see its settings."),
        ("text", "Raises Unsupported on all else."),
    ]
    assert told.notes == {"start": '"data" or "normal".', "noise": "of both."}


# In a browser


PROBE = """
const told = { violations: [] };
addEventListener("securitypolicyviolation", (event) => told.violations.push(event.blockedURI));
const form = document.querySelector("form.filters");
const state = () => {
  const view = [...document.querySelectorAll(".view")].filter((one) => !one.hidden);
  const rows = [...view[0].querySelectorAll("tbody:not([hidden]) tr:not(.estimator):not([hidden]) th")];
  return [view.length, form.querySelector("output").value, ...rows.map((one) => one.textContent)];
};
const choose = (name, value) => {
  form.elements[name].value = value;
  form.dispatchEvent(new Event("change"));
  return state();
};
told.states = [state(), choose("certainty", "estimate"), choose("certainty", ""), choose("cost", "10")];
told.states.push(choose("suite", "table1"));
told.none = !document.querySelector(".view:not([hidden]) .none").hidden;
choose("cost", "");
told.states.push(choose("suite", ""), choose("estimator", "2"));
told.beyond = document.documentElement.scrollWidth - innerWidth;
told.narrow = innerWidth;
const cell = document.querySelector(".view:not([hidden]) tbody th[scope=row]");
const box = cell.closest(".scroll");
box.scrollLeft = 200;
told.sticky = Math.round(cell.getBoundingClientRect().left - box.getBoundingClientRect().left);
told.fetched = performance.getEntriesByType("resource").length;
await fetch("https://example.org/x").catch(() => {});
await new Promise((resolve) => setTimeout(resolve, 200));
told.hit = window.hit ?? 0;
parent.postMessage(JSON.stringify(told), "*");
"""

PHONE = """<!doctype html><iframe width="390" height="800" src="boards/probed.html" style="border: 0"></iframe>
<pre></pre><script>onmessage = (event) => (document.querySelector("pre").textContent = event.data)</script>"""


@pytest.mark.long
@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium, chromium-browser or google-chrome on the PATH")
def test_in_a_browser(tmp_path: Path):
    """Filters leave what they say, methods stay in sight, nothing is fetched or logged, and nothing is clipped."""
    folder = tmp_path / "tables"
    rows = [row("a", 1.0), row("b", 2.0), row("c", 0.5, estimator="is-10+estimate"), row("c", estimator="elbo")]
    write(folder, "quickstart", *rows)
    write(folder, "table1", row("d" * 20, 1.5, suite="table1", remark=EVIL[0]))
    spent = {"dataset": "digits", "metric": "training_time", "estimator": "wall-clock", "unit": "s", "n": 3}
    costs = [{**row(), **spent, "method": name, "mean": mean} for name, mean in (("a", 5.0), ("b", 50.0))]
    table.write(pd.DataFrame(costs, columns=table.OWN), folder / "quickstart-cost.csv")
    target = site(tmp_path, folder)
    plain = target / "boards" / "digits-0a1b2c3d.html"
    assert "CONSOLE" not in browse(plain, tmp_path / "profile").stderr

    text = plain.read_text(encoding="utf-8")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0]
    longer = f"{script}\n(async () => {{{PROBE}}})();\n"
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (script, longer)]
    (target / "boards" / "probed.html").write_text(text.replace(script, longer).replace(*hashes), encoding="utf-8")
    (target / "phone.html").write_text(PHONE, encoding="utf-8")
    seen = browse(target / "phone.html", tmp_path / "profile").stdout
    told = json.loads(html.unescape(re.findall(r"<pre>(.*?)</pre>", seen)[0]))
    assert told["states"] == [
        [1, "4 methods", "a", "d" * 20, "b", "c"],
        [1, "1 of 4 methods", "c"],
        [1, "4 methods", "a", "d" * 20, "b", "c"],
        [1, "1 of 4 methods", "a"],
        [1, "0 of 4 methods"],
        [1, "4 methods", "a", "d" * 20, "b", "c"],
        [1, "4 methods", "c", "a", "b", "d" * 20],
    ]
    assert told["none"]
    assert told["narrow"] == 390
    assert told["beyond"] <= 0
    assert told["sticky"] == 0
    assert told["fetched"] == 0
    assert told["hit"] == 0
    assert told["violations"] == ["https://example.org/x"]  # of the probe: the policy is at work


CLAIM = {
    "name": "mine",
    "summary": "A <b>law</b>.",
    "date": "2026-01-02T03:04:05+00:00",
    "suite": {"name": "quickstart"},
}


def test_claims_stand_beside_what_was_measured(tmp_path: Path):
    """A claim that differs says so; one that changed since, or was never checked, has no verdict."""
    folder = tmp_path / "tables"
    write(folder, "quickstart", row(), row("vampprior", 1.0))
    claim = write_json(folder / "submissions" / "mine" / "mine.json", CLAIM)
    assert "mine: not checked yet" in Page(site(tmp_path, folder) / links.SUBMISSIONS).text
    about = {"dataset": "digits", "method": "mine", "metric": "nll", "estimator": "is-10", "unit": "nats"}
    both = {"claimed": {"mean": 22.5, "std": 0.02, "n": 4}, "measured": {"mean": 22.9, "std": 0.02, "n": 4}}
    found = {"deviation": 28.0, "word": "differs", "reason": "seed 1: 22.5 is claimed, and 22.9 was measured"}
    checked = {"claim": hashlib.sha256(claim.read_bytes()).hexdigest(), "date": CLAIM["date"], "verdict": "differs"}
    write_json(claim.with_name("mine.checked.json"), {**checked, "estimates": [about | both | found]})
    page = Page(site(tmp_path, folder) / links.SUBMISSIONS)
    for words in ("mine: differs", "22.500 ± 0.010", "22.900 ± 0.010", "22.9 was measured", "A <b>law</b>."):
        assert words in page.text
    assert "mine" in Page(site(tmp_path, folder) / "index.html").text
    write_json(claim, {**CLAIM, "summary": "Another."})
    page = Page(site(tmp_path, folder) / links.SUBMISSIONS)
    assert "mine: changed since it was checked" in page.text
    assert "22.900" not in page.text


def test_what_is_no_claim_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "tables"
    write(folder, "quickstart", row(), row("vampprior", 1.0))
    write_json(folder / "submissions" / "mine" / "mine.json", {"name": "mine"})
    assert not (site(tmp_path, folder) / links.SUBMISSIONS).exists()
    assert f"{Path('mine') / 'mine.json'} is no claim; it is left out: `" in capsys.readouterr().out


def test_two_claims_of_one_name_have_a_place_each(tmp_path: Path):
    folder = tmp_path / "tables"
    write(folder, "quickstart", row(), row("vampprior", 1.0))
    for one in ("mine", "theirs"):
        write_json(folder / "submissions" / one / "mine.json", CLAIM)
    target = site(tmp_path, folder)
    told = (target / "index.html").read_text(encoding="utf-8")
    for one in ("mine", "theirs"):
        assert f'href="{links.SUBMISSIONS}#{one}"' in told
        assert f'<section id="{one}"' in (target / links.SUBMISSIONS).read_text(encoding="utf-8")


def test_a_check_that_cannot_be_read_takes_no_claim_away(tmp_path: Path):
    folder = tmp_path / "tables"
    write(folder, "quickstart", row(), row("vampprior", 1.0))
    claim = write_json(folder / "submissions" / "mine" / "mine.json", CLAIM)
    write_json(claim.with_name("mine.checked.json"), [])
    assert "mine: its check cannot be read" in Page(site(tmp_path, folder) / links.SUBMISSIONS).text


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
