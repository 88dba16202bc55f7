"""What people give: each malformed thing is one sentence and no traceback, and nothing leaves the folder of results."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from rich.text import Text
from torch import Tensor

import benchmarks.runner.workspace
from benchmarks import cli, run, tune
from benchmarks.common import escape, names
from benchmarks.common.errors import UsageError
from benchmarks.common.screen import Screen
from benchmarks.config import suite
from benchmarks.config.constructors import constructor_settings
from benchmarks.config.suite import Request
from benchmarks.plots import __main__ as plots
from benchmarks.plots import critic, gallery
from benchmarks.report import __main__ as report
from benchmarks.runner import rehearsal
from benchmarks.runner.execute import Outcome
from benchmarks.runner.limited import Large, Limited
from benchmarks.runner.progress import Display
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import formats, paper, table
from priors.base import Unsupported
from priors.parts.normal import DiagonalNormal
from priors.registry import PRIORS
from priors.wording import LONGEST, in_one_line
from workbench import TINY, Answer, Workbench

ROOT = Path(__file__).parents[2]


class Bench(Workbench):
    """The commands in a folder, with runs in this process."""

    def __call__(self, *arguments: str, suite: str = "tiny.toml", main: Any = run.main) -> Answer:
        serial = ["--executor", "serial"] if main is run.main else []
        return self.ask(main, *self.about(suite), "--device", "cpu", *serial, *arguments)

    def refuses(self, *words: str, of: Answer) -> None:
        """The answer is one sentence with these words, exit status 2."""
        assert (of.status, of.err.count("\n")) == (2, 1), of
        assert of.err.startswith("error: ")
        for word in words:
            assert word in of.err

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_parts: None) -> Bench:
    benchmarks.runner.workspace._dataset.cache_clear()
    return Bench(tmp_path, capsys)


# Names


BAD = {
    "outside": "../../../X",
    "absolute": "/tmp/X",
    "empty": "",
    "dots": "..",
    "hidden": ".x",
    "NUL": "a\\u0000b",
    "markup": "[/]",
    "escape sequence": "\\u001b[2J",
    "long": "a" * 300,
    "published": "published",
    "Published": "Published",
    "runs": "runs",
    "cache": "cache",
    "studies": "studies",
    "figures": "figures",
    "baselines": "baselines",
    "costs": "quickstart-cost",
}


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_a_suites_name_is_a_files_name(name: str, bench: Bench):
    """Refused by the run and by `validate`, and nothing is written."""
    path = bench.suite(f'name = "{name}"\n{TINY}')
    before = bench.files()
    bench.refuses("tiny.toml", "name = ", "is not valid", "for example", of=bench())
    bench.refuses("name = ", of=bench.ask(run.main, "validate", path))
    assert bench.files() == before


@pytest.mark.parametrize("main", [run.main, tune.main, report.main, plots.main])
def test_a_suites_file_has_a_files_name_too(main: Any, bench: Bench):
    for stem, fix in (("published", "my-published"), ("my suite", "my_suite")):
        bench.suite(TINY, stem)
        bench.refuses(f"{stem}.toml: name = '{stem}'", fix, of=bench(suite=f"{stem}.toml", main=main))
    assert not bench.results.exists()


@pytest.mark.parametrize("main", [run.main, tune.main, report.main, plots.main])
@pytest.mark.parametrize("name", ["../x", "published", "", "[/]", "a" * 101, "x-cost"])
def test_an_outputs_name_is_a_files_name(main: Any, name: str, bench: Bench):
    bench.refuses("--name", "is not valid", of=bench("--name", name, main=main))
    assert not list(bench.results.rglob("*.csv"))


@pytest.mark.parametrize("name", ["../x", "[/]", "a" * 300, "", "cost"])
def test_a_presets_name_is_a_files_name(name: str, bench: Bench):
    path = bench.suite(TINY.replace("[preset.quick]", f'[preset."{name}"]'))
    bench.refuses("preset.", "is not valid", of=bench())
    bench.refuses("preset.", of=bench.ask(run.main, "validate", path))


def test_names_of_tuned_suites_are_good_ones():
    for name in ("quickstart-digits-vampprior+beta-tcvae_dp", "übung.2", "a" * 100):
        assert names.fault(name) is None
    long = names.fitting("a" * 101)
    assert len(long) == 100
    assert names.fitting("a" * 102) != long
    assert names.fault(long) is None
    assert len(names.slug("folder:/" + "ü" * 500).encode()) <= names.LONGEST
    assert names.slug("folder:/" + "ü" * 500) != names.slug("folder:/" + "ü" * 501)


@pytest.mark.long
def test_long_names_of_data_sets_and_methods_work(bench: Bench):
    bench.suite(TINY.replace('"vampprior"]', f'"{"m" * 300}"]') + f'[method.{"m" * 300}]\nuse = "gaussian"\n')
    assert bench().status == 0
    assert len(list((bench.results / "runs" / "tiny").iterdir())) == 2


def test_two_names_that_would_share_files(bench: Bench):
    text = (
        TINY.replace('"vampprior"]', '"a b", "a/b"]')
        + '[method."a b"]\nuse = "gaussian"\n[method."a/b"]\nuse = "gaussian"\n'
    )
    bench.suite(text)
    bench.refuses("'a b' and 'a/b'", "rename one", of=bench())


# A system that refuses


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_full_disk_is_one_sentence(code: int, bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def full(frame: pd.DataFrame, path: Path) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(table, "write", full)
    answer = bench()
    assert answer.status == 1
    assert answer.err.count("\n") == 1
    assert os.strerror(code) in answer.err
    assert "tiny.csv" in answer.err
    assert "goes on" in answer.err


def told(*arguments: str, folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more.pop("env", {})
    (folder / "tiny.toml").write_text(TINY.replace("Tiny", "Tiny ± [/] \\u001b[2J"), encoding="utf-8")
    line = ["bash", "-c", " ".join((sys.executable, "-m", "benchmarks.run", *arguments))]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, **more)


RUN = ("--suite tiny.toml --results results --executor serial",)


@pytest.mark.long
def test_a_terminal_of_ascii_is_written_to(tmp_path: Path):
    ended = told(*RUN, folder=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Tiny +- [/] \\x1b[2J: 2 runs" in ended.stdout
    assert " +- " in ended.stdout


@pytest.mark.long
def test_closed_and_full_outputs_give_no_traceback(tmp_path: Path):
    closed = told(*RUN, ">&-", folder=tmp_path)
    assert (closed.returncode, closed.stderr) == (0, "")
    assert (tmp_path / "results" / "tiny.csv").is_file()
    broken = told("list", "| true; exit ${PIPESTATUS[0]}", folder=tmp_path)
    assert (broken.returncode, broken.stderr) == (1, "")
    full = told("list > /dev/full", folder=tmp_path)
    assert (full.returncode, full.stderr.count("\n")) == (1, 1)
    assert os.strerror(errno.ENOSPC) in full.stderr


# Suites


PAPER = 'paper = "x", table = "1"'

WRONG = {  # by what is wrong: a line of the suite, another in its place, and words of the message
    "published.figures": (
        "seeds = 1",
        'seeds = 1\npublished = {paper = "x", table = "1", figures = 3}',
        ["figures = 3"],
    ),
    "published.runs": ("seeds = 1", f"published = {{{PAPER}, figures = {{}}, runs = 0}}", ["runs = 0"]),
    "many seeds": ("seeds = 1", "seeds = 1_000_000_000", ["seeds = 1000000000", "100,000 at most"]),
    "a preset's seeds": ("training.epochs = 1", "seeds = 1_000_000_000", ["100,000 at most"]),
    "a large seed": ("seeds = 1", f"seeds = [{10**300}]", ["seeds.0", "less than"]),
    "digits": ("seeds = 1", f"seeds = {'9' * 5000}", ["not valid TOML", "digits"]),
    "depth": ("seeds = 1", f"seeds = {'[' * 5000}", ["not valid TOML"]),
    "no prior": ("[prior.vampprior]", '[method.gaussian]\nuse = ""\n[prior.vampprior]', ["Unknown prior ''"]),
    "many dimensions": ("latent_dim = 2", "latent_dim = 1_000_000_000", ["latent_dim = 1000000000", "1048576"]),
    "true dimensions": ("latent_dim = 2", "latent_dim = true", ["latent_dim = True", "true or false"]),
    "true widths": ("widths = [8]", "widths = [true]", ["widths = [True]", "true or false"]),
    "no range": ("latent_dim = 2", "log_variance = [4, -12]", ["log_variance", "lower end"]),
    "a list for a table": ("[prior.vampprior]", "[[prior]]", ["prior = "]),
    "an endless number": ("epochs = 2", "lr = inf", ["lr = inf", "finite"]),
    "a blank method": ('"vampprior"]', '" "]', ["Unknown method ' '"]),
    "an unseen method": ('"vampprior"]', '"\\u001b"]', ["Unknown method '\\x1b'"]),
}


@pytest.mark.parametrize(("line", "instead", "words"), WRONG.values(), ids=WRONG)
def test_wrong_suites(line: str, instead: str, words: list[str], bench: Bench):
    path = bench.suite(TINY.replace(line, instead))
    answer = bench("--preset", "quick")
    bench.refuses(*words, of=answer)
    assert len(answer.err) < 1500
    assert bench.ask(run.main, "validate", path).status == 2


def test_a_suites_file_that_cannot_be_read(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    (bench.folder / "folder.toml").mkdir()
    bench.refuses("folder.toml", os.strerror(errno.EISDIR), of=bench(suite="folder.toml"))
    bench.refuses("cannot be read", os.strerror(errno.ENAMETOOLONG), of=bench(suite="a" * 300 + ".toml"))
    bench.refuses("Unknown suite ''", of=bench(suite=""))

    def forbidden(*arguments: Any, **more: Any) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(UsageError, match=r"tiny\.toml cannot be read: Permission denied"):
        suite.read(str(bench.folder / "tiny.toml"))


def test_more_runs_than_anyone_means(bench: Bench):
    chosen = suite.read(bench.suite(TINY.replace("seeds = 1", "seeds = 100_000")))
    with pytest.raises(UsageError, match="200,000 runs, of 100,000 at most"):
        suite.expand(chosen)
    with pytest.raises(UsageError, match=r"below 2\*\*63"):
        suite.expand(chosen, Request(seeds=(2**63,)))


@pytest.mark.parametrize("text", ["training.epochs=1\nfoo=2", "training.epochs=\x1b[2J"])
def test_an_override_is_one_line_of_letters(text: str, bench: Bench):
    answer = bench("--set", text)
    bench.refuses("--set training.epochs=", "write it as section.key=value", of=answer)
    assert "\x1b" not in answer.err


@pytest.mark.parametrize(("flag", "words"), [("--plugin", ["is a folder"]), ("--data", ["cannot be read"])])
def test_paths_of_another_kind(flag: str, words: list[str], bench: Bench):
    given = {"--plugin": str(bench.folder), "--data": "a" * 300}[flag]
    bench.refuses(*words, of=bench("--dataset", "mnist", flag, given))


# What is built


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("widths = [8]", "widths = [1_000_000, 1_000_000]"),
        ("components = 4", "components = 1_000_000_000_000"),
    ],
)
def test_networks_larger_than_memory_are_not_tried(
    line: str, instead: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    built = []
    original = rehearsal.build
    monkeypatch.setattr(
        rehearsal, "build", lambda r, data: built.append(data.train.stored.device.type) or original(r, data)
    )
    bench.suite(TINY.replace(line, instead).replace('"gaussian", ', ""))
    bench.refuses("vampprior on onehot", "GiB", "smaller", of=bench())
    assert built == ["cpu", "meta"]  # stopped at the first large tensor, then weighed


def test_small_networks_are_not_weighed(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """That would import torch's compiler, for two seconds."""
    chosen, workspace = suite.read(bench.suite(TINY)), Workspace(bench.results, bench.folder)
    monkeypatch.setattr(rehearsal, "weight", None)
    for one in suite.expand(chosen):
        assert rehearsal.built(one, workspace.dataset(one))


@pytest.mark.parametrize("make", [torch.empty, torch.zeros, torch.randn, torch.arange])
def test_memory_is_refused_before_it_is_taken(make: Callable[..., Tensor]):
    with Limited(4000):
        assert make(900).shape == (900,)
        with pytest.raises(Large):
            make(10**15)
    with Limited(4000), pytest.raises(Large):
        torch.zeros((10**9, 10**6))
    with Limited(4000), pytest.raises(Large):
        torch.empty(size=(10**9, 10**6))


def test_the_weight_is_that_of_what_is_built(bench: Bench):
    chosen, workspace = suite.read(bench.suite(TINY)), Workspace(bench.results, bench.folder)
    for one in suite.expand(chosen):
        data = workspace.dataset(one)
        model, prior = rehearsal.built(one, data)
        tensors = [*model.parameters(), *model.buffers(), *prior.parameters(), *prior.buffers()]
        distinct = {id(tensor): tensor.numel() * tensor.element_size() for tensor in tensors}
        assert rehearsal.weight(one, data) == sum(distinct.values()) > 0


# Plug-ins


CLASS = """
import sys
import torch
from priors import register
from priors.gaussian import Gaussian

@register("own")
class Own(Gaussian):
    "N(0, I)."

    def __init__(self, host{}):
        {}
        super().__init__(host)
"""

PLUGINS = {  # by what is wrong: the file, and words of the message
    "RuntimeError": (
        CLASS.format("", 'raise RuntimeError("no")'),
        ["own on onehot", "RuntimeError: no (own.py, line 12)."],
    ),
    "no text": (CLASS.format("", "raise RuntimeError"), ["own on onehot", "RuntimeError (own.py, line 12)."]),
    "KeyError": (CLASS.format("", '{}["x"]'), ["own on onehot", "KeyError: 'x' (own.py, line 12)."]),
    "exit": (CLASS.format("", "sys.exit(0)"), ["own on onehot", "SystemExit: 0 (own.py, line 12)."]),
    "no memory": (CLASS.format("", "torch.zeros(10**14)"), ["own on onehot", "RuntimeError", "memory"]),
    "number": (CLASS.replace('"own"', "5"), ["a prior's name is a text, not 5", "@register"]),
    "bare": (CLASS.replace('("own")', ""), ["a prior's name is a text", '@register("name")']),
    "markup": (CLASS.replace('"own"', '"[/]"'), ["'[/]' is no prior's name"]),
    "unknown type": (CLASS.format(", x: 'Nowhere' = 3", "pass"), ["prior.own", "Nowhere", "annotate each by"]),
    "no schema": (CLASS.format(", x: torch.Tensor = None", "pass"), ["prior.own", "annotate each by"]),
    "no annotation": (CLASS.format(", x=3", "pass"), ["prior.own", "'x' has no annotation", "x: int"]),
    "no default": (CLASS.format(", x: int", "pass"), ["prior.own", "'x' has no default", "x: int ="]),
    "default": (CLASS.format(", x: int = 'a'", "pass"), ["prior.own", "annotate each by", "default"]),
    "object": (CLASS.format(", x: object = torch.zeros(3)", "pass"), ["prior.own", "annotate each by"]),
    "positional": (CLASS.format(", x, /", "pass"), ["own on onehot", "TypeError", "'x'"]),
    "import exits": ("import sys\nsys.exit(0)\n", ["own.py", "SystemExit: 0"]),
    "import ends": ("raise GeneratorExit\n", ["own.py", "GeneratorExit"]),
    "escape": ('raise ValueError("\\x1b[2J")\n', ["own.py", "\\x1b[2J"]),
}


@pytest.mark.parametrize(("text", "words"), PLUGINS.values(), ids=PLUGINS)
def test_plugins(text: str, words: list[str], bench: Bench):
    plugin = bench.write("own.py", text.replace("host{}", "host").replace("        {}\n", ""))
    answer = bench("--plugin", str(plugin), "--method", "own")
    bench.refuses(*words, of=answer)
    assert "\x1b" not in answer.err
    assert len(answer.err) < 700


def test_a_plugin_of_any_keywords_runs(bench: Bench):
    plugin = bench.write("own.py", CLASS.format(", *args, **more", "pass"))
    assert bench("--plugin", str(plugin), "--method", "own").status == 0


def test_ctrl_c_while_a_plugin_is_imported_is_still_that(bench: Bench):
    plugin = bench.write("own.py", "raise KeyboardInterrupt\n")
    assert bench("--plugin", str(plugin)).status == 130


def test_settings_are_understood_once_a_constructor():
    gaussian = PRIORS["gaussian"]
    assert constructor_settings(gaussian, {}, "prior.gaussian") == {}


# Exceptions


class Odd(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError(), "RuntimeError"),
        (ValueError("a\n  b"), "ValueError: a b"),
        (Odd(), "Odd"),
        (OSError(2, "No such file or directory", "/home/a b/c/x.csv"), "'x.csv'"),
        (ValueError("in /usr/lib/x.py, line 3"), "ValueError: in x.py, line 3"),
        (ValueError("see https://x.org/a/b or a/b/c, 1/2"), "ValueError: see https://x.org/a/b or a/b/c, 1/2"),
        (ValueError(r"in C:\Users\me\x.py"), "ValueError: in x.py"),
    ],
)
def test_an_exceptions_text_is_short_and_names_no_folder(error: Exception, expected: str):
    assert in_one_line(error).endswith(expected)
    assert "/home" not in in_one_line(error)


def test_a_long_text_is_cut():
    assert len(in_one_line(ValueError("x" * 1000))) == LONGEST
    assert in_one_line(ValueError("x" * 1000)).endswith("x...")


# What is written


EVIL = ["=1+1", "+1-cmd", "-2+3", "@sum", "\tx"]


def test_no_cell_is_a_formula_and_no_number_is_a_text(tmp_path: Path):
    rows = [{"method": text, "mean": -1.5, "note": text, "n": 1, "status": "ok"} for text in [*EVIL, "-", "it's"]]
    base = {"suite": "s", "dataset": "d", "metric": "nll", "estimator": "is-10"}
    frame = pd.DataFrame([base | row for row in rows], columns=table.COLUMNS)
    table.write(frame, tmp_path / "x.csv")
    lines = pd.read_csv(tmp_path / "x.csv", dtype=str)
    assert lines["method"].tolist() == [*("'" + text for text in EVIL), "-", "it's"]
    assert set(lines["mean"]) == {"-1.5"}
    again, _ = table.read(tmp_path / "x.csv", "")
    assert again["method"].tolist() == [*EVIL, "-", "it's"]
    assert escape.cell("-81.235 ± 0.034 *") == "-81.235 ± 0.034 *"


def test_paper_tables_escape_what_would_end_a_cell():
    row = {"dataset": "d", "metric": "nll", "estimator": "is-10", "status": "ok", "mean": -1.5, "stderr": 0.1, "n": 2}
    made = pd.DataFrame(
        [row | {"method": text} for text in ("a\\|b\nc", "=x{}\\&~^_", "\x1b[2J")], columns=table.COLUMNS
    )
    across = paper.paper(made)
    assert "| a\\\\\\|b c |" in formats.as_markdown(across)
    latex = formats.as_latex(across)
    assert r"=x\{\}\textbackslash{}\&\textasciitilde{}\textasciicircum{}\_ &" in latex
    assert r"a\textbackslash{}\textbar{}b c &" in latex
    assert "'=x" in formats.as_csv(across)
    assert ",-1.50 ± 0.10" in formats.as_csv(across)
    assert "\x1b" not in formats.as_markdown(across) + latex


def test_a_screen_shows_text_as_it_is(bench: Bench, capsys: pytest.CaptureFixture[str]):
    (one, _) = suite.expand(suite.read(bench.suite(TINY)))
    screen = Screen(width=200)
    shown = Display(screen, [one], Workspace(bench.results, bench.folder), 1)
    shown.ended(Outcome(one, "failed", "\x1b[2J [/] [bold]x \x9b"))
    screen.print("[red]y[/red] :smile: \x07\x1b]0;title")
    out = capsys.readouterr().out
    assert "\\x1b[2J [/] [bold]x \\x9b" in out
    assert "[red]y[/red] :smile: \\x07\\x1b]0;title" in out
    assert not {"\x1b", "\x07", "\x9b"} & {*out}
    assert isinstance(screen.render_str("x"), Text)


@pytest.mark.long
def test_titles_of_any_kind_are_printed(bench: Bench):
    bench.suite(TINY.replace('"Tiny"', '"[/] [bold]T \\u001b[2J \\u0000"'))
    answer = bench()
    assert answer.status == 0
    assert "[/] [bold]T \\x1b[2J \\x00: 2 runs" in answer.out
    assert "\x1b" not in answer.out
    assert bench(main=report.main).status == 0


# Small test sets


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 3])
def test_figures_of_a_few_test_images(count: int, bench: Bench):
    draws = np.random.default_rng(0)
    for split, number in (("train", 14), ("validation", 2), ("test", count)):
        (bench.folder / "own" / split).mkdir(parents=True)
        for i in range(number):
            pixels = draws.integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(bench.folder / "own" / split / f"{i}.png")
    bench.suite(TINY.replace('"onehot"', f'"folder:{bench.folder}/own"').replace('"gaussian", ', ""))
    assert bench().status == 0
    torch.set_flush_denormal(False)
    answer = bench("--figure", "traversals", "neighbours", main=plots.main)
    assert answer.status == 0
    assert "neighbours.png" in answer.out
    assert "traversals-dimensions.png" in answer.out
    assert ("traversals-interpolations.png" in answer.out) == (count > 1)


def test_the_critic_of_a_few_test_images():
    """Of an odd number the last is left out; of one there is no pair."""
    of = {n: SimpleNamespace(seed=0, q=DiagonalNormal(torch.zeros(n, 2), torch.zeros(n, 2))) for n in (1, 3)}
    assert critic.between(of[3]).shape == (1, critic.STEPS, 2)
    with pytest.raises(Unsupported, match="between two test images, and there is one"):
        critic.between(of[1])
    axes = Figure().subplots()
    critic.lines(axes, torch.zeros(1, critic.STEPS))
    assert len(axes.lines) == 2


def test_an_index_of_figures_that_is_none(tmp_path: Path):
    for content in ("{", "3", '[{"plot": 1}]'):
        (tmp_path / gallery.INDEX).write_text(content)
        with pytest.raises(UsageError, match=r"figures\.json tells no figures .* delete it"):
            gallery.read(tmp_path)


def test_streams_take_what_they_lack(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", None)
    cli.prepare_streams()
    assert sys.stdout.write("x") == 1
    sys.stdout.close()
    assert "a ± b é € \udcff".encode("ascii", "nearest") == b"a +- b e ? ?"
