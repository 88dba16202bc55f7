"""Runs that other sources or versions made are told, kept or made anew as asked, and marked where they are mixed."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_run import LEARNED, Bench, bench, forget_plugins

from benchmarks.config import suite
from benchmarks.metrics import METRICS
from benchmarks.runner import sources
from benchmarks.runner.record import Record
from benchmarks.runner.sources import beside, digest, reached
from benchmarks.tables import ledger
from priors.plugins import load_plugin
from workbench import TINY, write

pytestmark = pytest.mark.long

__all__ = ["bench", "forget_plugins"]  # fixtures

SEEDS = TINY.replace("seeds = 1", "seeds = 2").replace('["gaussian", "vampprior"]', '["gaussian"]')


@pytest.fixture
def another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with another version of it."""
    monkeypatch.setattr(sources, "versions", lambda: {"torch": "9.9", "numpy": sources.metadata.version("numpy")})


def test_older_runs_are_told_and_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bench.suite(SEEDS)
    assert "older: " not in bench().out
    before, weights = bench.csv(), bench.weights()
    monkeypatch.setattr(sources, "own_sources", lambda: "others")
    answer = bench()
    assert answer.status == 0
    told = "older: 2 runs were made by other sources of this project: they are kept; --stale rerun makes them anew"
    assert told in answer.out
    assert "2 already done" in answer.out
    assert bench.weights() == weights
    assert bench.csv() == before, "all of a row's runs are alike: nothing is mixed"


def test_the_version_of_torch_is_told(bench: Bench, another_torch: None, monkeypatch: pytest.MonkeyPatch):
    bench.suite(SEEDS)
    assert bench().status == 0
    monkeypatch.undo()
    assert f"torch 9.9 (now {sources.metadata.version('torch')})" in bench().out


def test_rerun_makes_them_anew_once(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bench.suite(SEEDS)
    assert bench().status == 0
    before, weights = bench.csv(), bench.weights()
    monkeypatch.setattr(sources, "own_sources", lambda: "others")
    answer = bench("--stale", "rerun")
    assert "0 already done" in answer.out
    assert bench.csv() == before
    assert all(bench.weights()[path][0] > time for path, (time, _) in weights.items())
    answer = bench("--stale", "rerun")
    assert "older: " not in answer.out
    assert "2 already done" in answer.out


def test_a_row_that_mixes_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bench.suite(SEEDS)
    assert bench("--seeds", "0").status == 0
    assert not bench.table()["note"].str.contains("versions").any()
    monkeypatch.setattr(sources, "own_sources", lambda: "others")
    assert bench("--seeds", "1").status == 0
    assert bench.table()["note"].str.contains("made by 2 versions of the sources").all()


def test_beside_a_table_stands_what_made_it(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Each run's machine, versions and sources."""
    bench.suite(SEEDS)
    assert bench("--seeds", "0").status == 0
    monkeypatch.setattr(sources, "own_sources", lambda: "others")
    assert bench("--seeds", "1").status == 0
    first, second = ledger.read(bench.results / "tiny").values()
    assert (first.seed, second.seed) == (0, 1)
    assert first.environment["device"] == "cpu"
    assert first.by[0]["torch"] == sources.metadata.version("torch")
    assert [one.by[0]["sources"] == "others" for one in (first, second)] == [False, True]


def test_a_run_that_others_went_on_with_has_both(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Begun by one version, evaluated further by another."""
    bench.suite(SEEDS)
    assert bench("--seeds", "0").status == 0
    monkeypatch.setattr(sources, "own_sources", lambda: "others")
    bench.suite(SEEDS.replace('["nll"]', '["nll", "active_units"]'))
    assert bench("--seeds", "0").status == 0
    (folder,) = bench.runs()
    assert [by["sources"] == "others" for by in Record(folder).read("made.json")["by"]] == [False, True]
    assert bench.table()["note"].str.contains("made by 2 versions").all()


def test_what_a_plugin_imports_beside_it_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    write(bench.folder / "helper.py", "from helped import LEVEL\n")
    write(bench.folder / "helped.py", "LEVEL = 0\n")
    plugin = write(bench.folder / "mine.py", LEARNED.replace("import torch\n", "import torch\nimport helper\n", 1))
    monkeypatch.syspath_prepend(str(bench.folder))
    command = ("--plugin", str(plugin), "--method", "learned", "gaussian")
    assert bench(*command).status == 0
    assert "older: " not in bench(*command).out
    write(bench.folder / "helped.py", "LEVEL = 1\n")
    sources.plugin_sources.cache_clear()  # as a new command would
    answer = bench(*command)
    assert "older: 1 run was made by other sources of the plug-in: it is kept; --stale rerun makes it" in answer.out
    assert "2 already done" in answer.out


ON_TOP = (
    TINY.replace('"vampprior"]', '"pair"]')
    + """
[method.pair]
use = "two-level"
model = { posterior = "two-level", latent_dim = 4 }
prior.two-level = { top = "learned", widths = [4] }
"""
)


def test_a_plugin_within_another_prior_counts(bench: Bench):
    """What two-level has on top is as much of its run as two-level: with the file changed it is another run, with what
    the file imports beside it an older one. Runs without it stay the same."""
    bench.suite(ON_TOP)
    plugin = write(bench.folder / "mine.py", LEARNED)
    command = ("--plugin", str(plugin))
    assert bench(*command).status == 0
    pair, others = bench.runs("pair"), bench.runs("gaussian")
    made = [Record(folder).read("made.json")["by"][0] for folder in (*pair, *others)]
    assert ["plugin" in one for one in made] == [True, False]
    write(plugin, LEARNED + "\n# another text\n")
    assert bench(*command).status == 0
    assert {*pair} < {*bench.runs("pair")}
    assert bench.runs("gaussian") == others


OWN_METRIC = """
from benchmarks.metrics.base import metric

@metric("{0}")
def {0}(subject):
    "A metric."
    return []
"""


def test_every_part_of_a_third_party_counts(tmp_path: Path):
    """Metrics too; of parts in one file it is that file's digest, of parts in several one of all."""
    for name in ("first", "second"):
        load_plugin(write(tmp_path / f"{name}.py", OWN_METRIC.format(name)))
    (run, *_) = suite.expand(suite.read("quickstart"))
    asked = [run.model_copy(update={"metrics": names}) for names in ((), ("first",), ("second",), ("first", "second"))]
    none, *found = (sources.outside_sources(one) for one in asked)
    assert none is None
    assert len({*found}) == 3
    assert found[0] == sources.plugin_sources(METRICS.module_of("first"))


def test_reached(tmp_path: Path):
    """Modules beside a file, packages and what these import within; not what functions import, nor strangers."""
    write(tmp_path / "a.py", "import torch\nfrom b import x\nimport pack.inner\n\ndef f():\n    import late\n")
    write(tmp_path / "b.py", "x = 1\n")
    write(tmp_path / "late.py", "")
    write(tmp_path / "alone.py", "")
    write(tmp_path / "pack" / "__init__.py", "")
    write(tmp_path / "pack" / "inner.py", "from . import other\n")
    write(tmp_path / "pack" / "other.py", "")
    found = reached([tmp_path / "a.py"], beside(tmp_path))
    names = {str(path.relative_to(tmp_path)) for path in found}
    assert names == {"a.py", "b.py", "pack/__init__.py", "pack/inner.py", "pack/other.py"}
    before = digest(found)
    write(tmp_path / "pack" / "other.py", "y = 2\n")
    assert digest(found) != before


def test_figures_depend_on_what_computes_them_and_not_on_what_draws():
    files = {"/".join(path.parts[-2:]) for path in reached([sources.module_file(sources.ROOT)], sources.PACKAGES)}
    assert files >= {"runner/train.py", "metrics/likelihood.py", "metrics/evaluated.py", "runner/stages.py"}
    assert not files & {"tables/console.py", "tables/table.py", "benchmarks/run.py", "plots/base.py"}
