"""The command `python -m benchmarks.run` from end to end: tables, interruptions, mistakes and plug-ins."""

from __future__ import annotations

import ast
import csv
import dataclasses
import inspect
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch

import benchmarks.runner.workspace
from benchmarks import datasets
from benchmarks.cli import Selection, Work
from benchmarks.config import methods, suite
from benchmarks.metrics import METRICS
from benchmarks.run import Command, main
from benchmarks.runner.record import Record
from benchmarks.tables import console
from benchmarks.tables.table import COLUMNS
from models.regularisers import REGULARISERS
from priors.registry import PRIORS, unchanged
from workbench import TINY, Answer, Workbench, descendants, processes, write

ROOT = Path(__file__).parents[2]

EPOCHS = 40
LONG = TINY.replace("epochs = 2", f"epochs = {EPOCHS}").replace("seeds = 1", "seeds = 2")
LONG = LONG.replace('"gaussian"', '"eager"').replace("images = 20", "images = 60")

EAGER = '''
"""A standard normal, and checkpoints ten times a second."""
import benchmarks.runner.train
from priors import register
from priors.gaussian import Gaussian

benchmarks.runner.train.CHECKPOINT_SECONDS = 0.1


@register("eager")
class Eager(Gaussian):
    """N(0, I)."""
'''

LEARNED = '''
"""A diagonal normal whose means and variances are learned."""
import torch
from torch import nn

from priors import Density, DiagonalNormal, Host, register


@register("learned")
class Learned(Density):
    """N(m, diag(exp(s)))."""

    def __init__(self, host: Host, *, spread: float = 0.0):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(host.latent_dim))
        self.log_variance = nn.Parameter(torch.full((host.latent_dim,), spread))

    def law(self):
        return DiagonalNormal(self.mean, self.log_variance)

    def sample(self, n):
        return self.law().sample((n,))

    def log_prob(self, z):
        return self.law().log_prob(z)
'''

ILL = '''
"""Priors that go wrong, each in its own way."""
import torch

from pathlib import Path

from priors import Prior, register
from priors.gaussian import Gaussian


@register("raises")
class Raises(Gaussian):
    """Has no density at evaluation while a file is there."""

    def frozen(self):
        if Path(r"{flag}").exists():
            raise ArithmeticError("the flag is up")
        return super().frozen()


@register("nan")
class NaN(Gaussian):
    """Not a number from the first step on."""

    def log_prob(self, z):
        return z.sum(-1) * float("nan")


@register("sampler")
class Sampler(Prior):
    """Known through its samples only."""

    def __init__(self, host):
        super().__init__()
        self.dimension = host.latent_dim

    def sample(self, n):
        return torch.randn(n, self.dimension)
'''


class Bench(Workbench):
    """`python -m benchmarks.run` in a folder."""

    def __call__(self, *arguments: str, suite: str = "tiny.toml", executor: str = "serial") -> Answer:
        return self.main(*self.about(suite), "--device", "cpu", "--executor", executor, *arguments)

    def main(self, *arguments: str) -> Answer:
        return self.ask(main, *arguments)

    def csv(self, name: str = "tiny") -> bytes:
        return (self.results / f"{name}.csv").read_bytes()

    def table(self, name: str = "tiny") -> pd.DataFrame:
        return pd.read_csv(self.results / f"{name}.csv", keep_default_na=False, na_values={"within": [""]})

    def runs(self, method: str = "*") -> list[Path]:
        return sorted(self.results.glob(f"runs/*/*-{method}-s*"))

    def weights(self) -> dict[Path, tuple[int, bytes]]:
        """Every run's weights with the time at which they were written."""
        files = self.results.glob("runs/*/*/weights.safetensors")
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


@pytest.fixture(autouse=True)
def forget_plugins(own_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins of a test are gone after it."""
    monkeypatch.setattr("benchmarks.runner.train.CHECKPOINT_SECONDS", 20.0)


def start(folder: Path, *arguments: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The real command line, in a process group of its own, that heeds Ctrl-C even where the tests' shell does not."""
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "COLUMNS", "PRIORBENCH_DATA")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "benchmarks.run", "--device", "cpu", *arguments]
    return subprocess.Popen(
        line,
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(folder: Path, *arguments: str) -> Answer:
    process = start(folder, *arguments)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        end(process)
    return Answer(process.returncode, out, err)


def end(process: subprocess.Popen[str]) -> None:
    """Ends a process of ours with its group, where there is anything left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"{what}: not within {seconds} s"
        time.sleep(0.005)


# The real command line


@pytest.mark.long
def test_command_line(tmp_path: Path, bench: Bench):
    """Two workers, plain output, the CSV's columns; a second time nothing; in one process the same bytes."""
    bench.suite(TINY.replace("seeds = 1", "seeds = 2"))
    first = finish(tmp_path, "--suite", "tiny.toml", "--workers", "2", "--all")
    assert (first.status, first.err) == (0, "")
    assert "\x1b" not in first.out
    for method in ("gaussian", "vampprior"):
        for seed in range(2):
            assert sum(f"done {method} on onehot, seed {seed} " in line for line in first.out.splitlines()) == 1
    header = next(line.split() for line in first.out.splitlines() if line.startswith("metric"))
    assert {"estimator", "mean", "s.e."} <= set(header)
    content = bench.csv()
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    nll = next(row for row in rows if (row["method"], row["estimator"]) == ("vampprior", "is-10"))
    assert nll["n"] == "2"
    line = next(line.split() for line in first.out.splitlines() if line.startswith("nll") and " is-10 " in line)
    assert float(line[4]) == pytest.approx(float(rows[0]["mean"]), abs=0.01)
    assert float(line[5]) == pytest.approx(float(rows[0]["stderr"]), rel=0.1)

    weights = bench.weights()
    assert len(weights) == 4
    again = bench("--workers", "2", executor="local")
    assert again.status == 0
    assert "4 already done" in again.out
    assert "done gaussian" not in again.out
    assert bench.csv() == content
    assert bench.weights() == weights

    bench.results = tmp_path / "other"
    assert bench().status == 0
    assert bench.csv() == content


@pytest.mark.long
def test_wrong_usage_of_the_command_line(tmp_path: Path):
    """Exit status 2 and one sentence, from a real process."""
    answer = finish(tmp_path, "--suite", "quickstrat")
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("error: Unknown suite 'quickstrat'. Did you mean 'quickstart'?")
    assert not (tmp_path / "results").exists()


# Interruptions


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The long suite's table when nothing happens."""
    return go_on(tmp_path_factory.mktemp("uninterrupted"))


def long_command(folder: Path) -> tuple[str, ...]:
    write(folder / "long.toml", LONG)
    write(folder / "eager.py", EAGER)
    return "--suite", "long.toml", "--plugin", "eager.py", "--workers", "2"


def go_on(folder: Path) -> bytes:
    """The long suite's table, by what is left to do in a folder, in this process."""
    with pytest.MonkeyPatch.context() as patch, unchanged():
        patch.chdir(folder)
        patch.setattr("benchmarks.runner.train.CHECKPOINT_SECONDS", 20.0)  # which the plug-in changes
        assert main([*long_command(folder), "--device", "cpu", "--executor", "serial"]) == 0
    return (folder / "results" / "long.csv").read_bytes()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the long suite; whatever is left of it ends with the test."""
    started = []

    def begin(*arguments: str, output: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        started.append(start(tmp_path, *long_command(tmp_path), *arguments, output=output))
        return started[-1]

    yield begin
    for process in started:
        end(process)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
def test_killed_at_any_moment(tmp_path: Path, begin: Callable[..., subprocess.Popen[str]], uninterrupted: bytes):
    """kill -9 of all while training, of the parent after it, and at a random moment: the same table in the end."""
    runs = tmp_path / "results" / "runs"

    first = begin()
    wait_for(lambda: any(runs.glob("*/*/checkpoint")), "a checkpoint")
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert not any(runs.glob("*/*/weights.safetensors"))
    checkpoint = next(runs.glob("*/*/checkpoint"))
    before = Record(checkpoint.parent).restore("checkpoint", "cpu")["progress"]["history"]

    second = begin()
    wait_for(lambda: any(runs.glob("*/*/weights.safetensors")), "weights")
    workers = descendants(second.pid)
    assert len(workers) >= 2
    second.kill()
    assert second.wait() == -signal.SIGKILL
    wait_for(lambda: not workers & processes().keys(), "the workers' end", 10)
    assert len(list(runs.glob("*/*/done"))) < 4

    third = begin()
    moment = random.SystemRandom().uniform(0, 3)
    time.sleep(moment)
    os.killpg(third.pid, signal.SIGKILL)
    third.wait()

    assert go_on(tmp_path) == uninterrupted, f"killed {moment} s after the start"
    assert not any(runs.glob("*/*/checkpoint"))
    assert not any(runs.glob("*/*/.*.part"))
    with (checkpoint.parent / "history.csv").open() as file:
        after = [float(row["seconds"]) for row in csv.DictReader(file)]
    assert len(after) == EPOCHS
    assert after[: len(before)] == [row["seconds"] for row in before], "it was taken up, not begun anew"


@pytest.mark.long
@pytest.mark.parametrize(
    ("executor", "everyone", "number"),
    [
        pytest.param("serial", False, signal.SIGINT, marks=pytest.mark.slow),
        ("local", True, signal.SIGINT),
        pytest.param("local", True, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("local", False, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_and_scancel(
    executor: str,
    everyone: bool,
    number: signal.Signals,
    tmp_path: Path,
    begin: Callable[..., subprocess.Popen[str]],
    uninterrupted: bytes,
):
    """Exit status 130 or 143 and one line; a terminal, and a scheduler as a rule, send the signal to the workers as
    well. The same command goes on."""
    process = begin("--executor", executor, output=subprocess.PIPE)
    under_way = 2 if everyone else 1
    pattern = "results/runs/*/*/checkpoint"
    wait_for(lambda: len(list(tmp_path.glob(pattern))) >= under_way, "training")
    workers = descendants(process.pid)
    (os.killpg if everyone else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err.split("\n") == ["", "Stopped. The same command goes on from here.", ""]
    assert "Traceback" not in out
    assert len(list(tmp_path.glob("results/runs/*/*/done"))) < 4
    wait_for(lambda: not workers & processes().keys(), "the workers' end", 10)
    assert go_on(tmp_path) == uninterrupted


# Mistakes

PER_PLUGIN = {
    "broken.py": "import torch\nimport surely_not_installed\n",
    "silent.py": "x = 1\n",
    "twice.py": EAGER.replace('"eager"', '"gaussian"'),
    "text.txt": "x = 1\n",
}

WRONG = {  # by what is wrong: arguments, and words of the message
    "dataset": (["--dataset", "mnits"], ["mnits", "mnist"]),
    "method": (["--method", "vamppriro"], ["Unknown method 'vamppriro'", "Did you mean 'vampprior'"]),
    "preset": (["--preset", "quik"], ["Unknown preset 'quik'", "Did you mean 'quick'"]),
    "set: form": (["--set", "epochs"], ["section.key=value"]),
    "set: section": (["--set", "trainig.epochs=1"], ["trainig", "Did you mean 'training'"]),
    "set: key": (["--set", "training.epoch=1"], ["'epoch'", "Did you mean 'epochs'"]),
    "set: deep key": (["--set", "training.schedule.facto=1"], ["'facto'", "Did you mean 'factor'"]),
    "set: value": (["--set", "training.epochs=lots"], ["epochs = 'lots'"]),
    "set: choice": (["--set", "model.likelihood=logistik"], ["'logistik'", "Did you mean 'logistic'"]),
    "set: no samples": (["--set", "protocol.samples=[]"], ["samples"]),
    "set: prior": (["--set", "prior.vamprior.components=5"], ["vamprior", "vampprior"]),
    "set: prior's key": (["--set", "prior.vampprior.component=5"], ["'component'", "Did you mean 'components'"]),
    "set: prior's type": (["--set", "prior.vampprior.components=many"], ["components = 'many'"]),
    "set: prior's choice": (["--set", "prior.vampprior.start=date"], ["start = 'date'", "'data'"]),
    "seeds": (["--seeds=-1"], ["-1"]),
    "workers": (["--workers=-1", "--executor", "local"], ["workers"]),
    "limit": (["--limit=-1"], ["limit"]),
    "missing data": (["--dataset", "mnist"], ["mnist", "missing", "--download"]),
    "unbounded data": (["--dataset", "gaussian", "--set", "protocol.binarisation=dynamic"], ["'gaussian'", "'none'"]),
    "size": (["--set", "protocol.size=16"], ["protocol.size"]),
    "plugin: missing": (["--plugin", "{folder}/none.py"], ["none.py", "does not exist"]),
    "plugin: import": (["--plugin", "{folder}/broken.py"], ["broken.py", "surely_not_installed"]),
    "plugin: nothing": (["--plugin", "{folder}/silent.py"], ["silent.py", "@register"]),
    "plugin: name": (["--plugin", "{folder}/twice.py"], ["twice.py", "'gaussian'", "already"]),
    "plugin: not Python": (["--plugin", "{folder}/text.txt"], ["text.txt", ".py"]),
    "results": (["--results", "{folder}/file/below"], ["file/below", "--results"]),
    "device": (["--device", "abacus"], ["--device abacus"]),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_wrong_argument(arguments: list[str], words: list[str], bench: Bench):
    for name, text in PER_PLUGIN.items():
        write(bench.folder / name, text)
    write(bench.folder / "file", "not a folder")
    refuses(bench, words, *(argument.format(folder=bench.folder) for argument in arguments))


def refuses(bench: Bench, words: list[str], *arguments: str, suite: str = "tiny.toml") -> None:
    """Exit status 2, one sentence with these words, and the earlier table as it was."""
    write(bench.results / "tiny.csv", "an earlier table\n")
    answer = bench(*arguments, suite=suite)
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err + answer.out
    for word in words:
        assert word in answer.err
    assert bench.csv() == b"an earlier table\n"
    assert not bench.runs()


WRONG_SUITES = {  # by what is wrong: a line of the suite, another in its place, and words of the message
    "metric": ('["nll"]', '["nl"]', ["Unknown metric 'nl'", "Did you mean 'nll'"]),
    "no metric": ('["nll"]', "[]", ["metrics"]),
    "key": ("seeds = 1", "sedes = 1", ["'sedes'", "Did you mean 'seeds'"]),
    "value": ("seeds = 1", 'seeds = "many"', ["seeds = 'many'"]),
    "negative seed": ("seeds = 1", "seeds = [-1]", ["-1"]),
    "dataset": ("onehot", "onehat", ["onehat", "Did you mean 'onehot'"]),
    "method": ('"gaussian"', '"gausian"', ["'gausian'", "Did you mean 'gaussian'"]),
    "prior": ("[prior.vampprior]", "[prior.vamprior]", ["vamprior", "vampprior"]),
    "section's key": ("widths = [8]", "width = [8]", ["'width'", "Did you mean 'widths'"]),
    "section's value": ("widths = [8]", "widths = [0]", ["widths"]),
    "other data set's section": ("[prior.vampprior]", "[dataset.digits.prior.vampprior]", ["dataset.digits"]),
    "method's key": ("[prior.vampprior]", "[method.vampprior]\ncomponent = 4\n[prior.vampprior]", ["'component'"]),
    "used prior": ("[prior.vampprior]", '[method.gaussian]\nuse = "gausian"\n[prior.vampprior]', ["'gausian'"]),
    "used prior's type": ("[prior.vampprior]", "[method.gaussian]\nuse = 5\n[prior.vampprior]", ["use"]),
    "no table": ("[prior.vampprior]", "[dataset.onehot]\nprior = 5\n[prior.vampprior]", ["prior"]),
    "syntax": ("seeds = 1", "seeds = ", ["tiny.toml", "TOML"]),
}


@pytest.mark.parametrize(("line", "instead", "words"), WRONG_SUITES.values(), ids=WRONG_SUITES)
def test_wrong_suite(line: str, instead: str, words: list[str], bench: Bench):
    """Refused by the run and by `validate`."""
    path = bench.suite(TINY.replace(line, instead))
    refuses(bench, words)
    assert bench.main("validate", path).status == 2


def test_missing_suite(bench: Bench):
    refuses(bench, ["Unknown suite 'smokee'", "Did you mean 'smoke'"], suite="smokee")
    refuses(bench, ["none.toml"], suite="none.toml")


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file, so it says", b"\x00" * 1000])
@pytest.mark.parametrize("more", [(), ("--any-checksum",)])
def test_corrupt_data(content: bytes, more: tuple[str, ...], bench: Bench):
    path = bench.folder / "data" / "FreyFaces" / "frey_rawface.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    refuses(bench, ["'freyfaces'", str(path)], "--dataset", "freyfaces", *more)


def test_unknown_flag(bench: Bench):
    answer = bench("--seed", "1")
    assert answer.status == 2
    assert "--seed" in answer.err
    assert "--seeds" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(bench: Bench):
    refuses(bench, ["--device cuda"], "--device", "cuda")


# What is there


def test_list_names_everything(bench: Bench):
    answer = bench.main("list")
    assert answer.status == 0
    listed = [line.split() for line in answer.out.splitlines() if line.startswith("  ")]
    methods_and_priors = (*methods.catalogue(), *PRIORS, *REGULARISERS)
    everything = (*suite.names(), *methods_and_priors, *datasets.DATASETS, *METRICS)
    assert [name for name, *_ in listed] == list(everything)
    assert all(len(words) > 2 for words in listed), "every name has a line that explains it"


@pytest.mark.long
def test_validate_accepts_all_suites(bench: Bench):
    answer = bench.main("validate")
    assert answer.status == 0
    assert [line.partition(":")[0] for line in answer.out.splitlines()] == suite.names()
    assert bench.main("validate", "smoke").out == "smoke: fine, 24 runs\n"


def test_help_explains_every_flag(bench: Bench):
    answer = bench.main("--help")
    assert answer.status == 0
    shown = " ".join(answer.out.replace("│", " ").split())
    lines = [line for kind in (Selection, Work, Command) for line in ast.parse(inspect.getsource(kind)).body[0].body]
    texts = {}
    for flag, text in itertools.pairwise(lines):
        if isinstance(flag, ast.AnnAssign) and isinstance(text, ast.Expr):
            texts[flag.target.id] = text.value.value
    assert list(texts) == [field.name for field in dataclasses.fields(Command)]
    for name, text in texts.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert " ".join(text.split())[:40] in shown


@pytest.mark.long
def test_nothing_is_cut_off_where_there_is_no_terminal(bench: Bench):
    """A log or a pipe gets the whole table, however wide."""
    name = "vampprior-under-a-rather-long-name-that-someone-chose"
    text = TINY.replace('"vampprior"', f'"{name}"').replace("nll", "log_likelihood")
    bench.suite(text + f'\n[method.{name}]\nuse = "vampprior"\n')
    answer = bench("--all")
    assert answer.status == 0
    assert "…" not in answer.out
    rows = bench.table().to_dict("records")
    assert rows
    for row in rows:
        number, error = console.value(
            row | {"mean": float(row["mean"]), "stderr": None, "within": float(row["within"])}
        )
        assert number in answer.out
        assert error in answer.out


# Parts of a suite


def test_limit(bench: Bench):
    """The rest of the table says that it has not been run, until it has."""
    assert bench("--limit", "1").status == 0
    table = bench.table()
    assert set(table[table["method"] == "gaussian"]["status"]) == {"ok"}
    rest = table[table["method"] == "vampprior"]
    assert (rest["status"].tolist(), rest["note"].tolist()) == (["not-computed"], ["not run yet"])
    assert bench().status == 0
    assert set(bench.table()["status"]) == {"ok"}
    assert set(bench.table()["method"]) == {"gaussian", "vampprior"}


@pytest.mark.long
def test_methods_and_seeds_one_at_a_time(bench: Bench):
    """Part commands add up to the whole table."""
    bench.suite(TINY.replace("seeds = 1", "seeds = 2"))
    assert bench("--method", "gaussian").status == 0
    assert bench("--method", "vampprior", "--seeds", "1").status == 0
    table = bench.table()
    assert set(table["method"]) == {"gaussian", "vampprior"}
    partial = table[table["method"] == "vampprior"]
    assert set(partial["n"]) == {1}
    assert partial["note"].str.contains("1 of 2 seeds").all()
    assert bench("--method", "vampprior").status == 0
    added = bench.csv()
    bench.results = bench.folder / "at-once"
    assert bench().status == 0
    assert bench.csv() == added


@pytest.mark.long
def test_method_outside_the_suite_stays_in_the_table(bench: Bench):
    """A later command for another part does not take its rows away."""
    assert bench("--method", "mixture").status == 0
    assert bench("--method", "gaussian").status == 0
    table = bench.table()
    assert set(table[table["status"] == "ok"]["method"]) == {"gaussian", "mixture"}


@pytest.mark.long
def test_part_of_a_suite_leaves_the_other_rows_as_they_are(bench: Bench):
    """With their standings; of a method that is added none but its own is new."""
    bench.suite(TINY.replace("seeds = 1", "seeds = 3"))
    assert bench().status == 0
    whole = bench.csv()
    for part in (["--method", "gaussian"], ["--method", "vampprior", "--seeds", "1"], ["--set", "training.epochs=1"]):
        assert bench(*part).status == 0
        assert bench.csv() == whole
    before = bench.table()
    assert bench("--method", "mixture", "--seeds", "0", "1").status == 0
    after = bench.table()
    assert set(after["method"]) == {"gaussian", "vampprior", "mixture"}
    pd.testing.assert_frame_equal(after[after["method"] != "mixture"].reset_index(drop=True), before)
    added = after[(after["method"] == "mixture") & (after["metric"] == "nll")]
    assert set(added["pairs"]) == {"2"}
    assert set(added["standing_label"]) <= {"undecided", "worse"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "mark"), [(["--set", "training.epochs=1"], "training.epochs=1"), (["--preset", "quick"], "quick")]
)
def test_trials_stand_apart(arguments: list[str], mark: str, bench: Bench):
    assert bench("--method", "gaussian").status == 0
    own, runs = bench.csv(), bench.runs()
    answer = bench(*arguments)
    assert answer.status == 0
    assert bench.csv() == own
    (trial,) = (
        path
        for path in bench.results.glob("*.csv")
        if path.stem.startswith("tiny-") and not path.stem.endswith(("cost", ".runs"))
    )
    table = bench.table(trial.stem)
    assert len(table) > 4
    assert table["note"].str.contains(mark, regex=False).all()
    assert f"all rows: {mark}" in answer.out.replace("preset ", "")
    assert len(bench.runs()) == len(runs) + 2, "other settings are other runs"


@pytest.mark.long
def test_skip_missing(bench: Bench):
    bench.suite(TINY.replace('["onehot"]', '["mnist", "onehot"]'))
    refuses(bench, ["--download", "--skip-missing"])
    answer = bench("--skip-missing")
    assert answer.status == 0
    assert "left out: Data set 'mnist'" in " ".join(answer.out.split())
    table = bench.table()
    assert set(table[table["dataset"] == "onehot"]["status"]) == {"ok"}
    assert set(table[table["dataset"] == "mnist"]["status"]) == {"not-computed"}


@pytest.mark.long
def test_another_metric_costs_no_training(bench: Bench):
    assert bench().status == 0
    weights, before = bench.weights(), bench.table()
    assert len(weights) == 2
    bench.suite(TINY.replace('["nll"]', '["active_units", "nll", "reliability"]'))
    answer = bench()
    assert answer.status == 0
    assert "0 already done" in answer.out
    assert bench.weights() == weights
    after = bench.table()
    added = {"active_units", "effective_share", "largest_weight"}
    assert added == set(after["metric"]) - set(before["metric"])
    pd.testing.assert_frame_equal(after[~after["metric"].isin(added)].reset_index(drop=True), before)


@pytest.mark.long
def test_more_samples_cost_no_training(bench: Bench):
    """Another protocol of evaluation is new figures of the same weights."""
    assert bench("--method", "gaussian").status == 0
    weights = bench.weights()
    bench.suite(TINY.replace("[10]", "[10, 30]"))
    assert "0 already done" in bench("--method", "gaussian").out
    assert bench.weights() == weights
    assert {"is-10", "is-30"} < set(bench.table()["estimator"])


@pytest.mark.long
def test_table_survives_an_empty_error_file(bench: Bench):
    """A crash may leave error.txt without its text."""
    assert bench("--method", "gaussian").status == 0
    (folder,) = bench.runs("gaussian")
    (folder / "done").unlink()
    write(folder / "error.txt", "")
    answer = bench("--limit", "0")
    assert answer.status == 1
    assert "ok" not in set(bench.table()["status"])


# Plug-ins and runs that go wrong


@pytest.mark.long
def test_plugin_is_a_method(bench: Bench):
    """Trained, evaluated and tabulated like any other, by both executors alike; its text is part of its runs' name."""
    plugin = str(write(bench.folder / "learned.py", LEARNED))
    bench.suite(TINY + "\n[prior.learned]\nspread = 0.5\n")
    command = ("--plugin", plugin, "--method", "learned", "gaussian", "--seeds", "0", "1")
    answer = bench(*command, "--workers", "2", executor="local")
    assert answer.status == 0
    table = bench.table()
    rows = table[(table["method"] == "learned") & (table["estimator"] == "is-10")]
    assert rows[["prior", "status", "n"]].values.tolist() == [["learned", "ok", 2]]
    assert 0 < float(rows["mean"].iloc[0]) < 10
    own = bench.csv()

    bench.results = bench.folder / "serial"
    assert bench(*command).status == 0
    assert bench.csv() == own

    folders, others = bench.runs("learned"), bench.runs("gaussian")
    assert len(folders) == len(others) == 2
    write(bench.folder / "learned.py", LEARNED + "\n# another text\n")
    assert bench(*command).status == 0
    assert len(bench.runs("learned")) == 4
    assert set(folders) < set(bench.runs("learned"))
    assert bench.runs("gaussian") == others


def ill(bench: Bench, *methods: str) -> tuple[str, ...]:
    """The arguments for ill priors; the flag of the one that raises is up."""
    flag = write(bench.folder / "flag", "")
    plugin = write(bench.folder / "ill.py", ILL.replace("{flag}", str(flag)))
    return "--plugin", str(plugin), "--method", *methods


@pytest.mark.long
def test_failure_is_told_and_tried_again(bench: Bench):
    command = ill(bench, "raises", "gaussian")
    answer = bench(*command)
    assert answer.status == 1
    assert "failed raises on onehot, seed 0" in answer.out
    assert "done gaussian on onehot, seed 0" in answer.out, "the others go on"
    assert "Traceback" not in answer.out + answer.err
    table = bench.table().set_index("method")
    assert table.loc["raises", "status"] == "failed"
    assert table.loc["raises", "note"] == "ArithmeticError: the flag is up (ill.py, line 17)"
    assert set(table.loc["gaussian", "status"]) == {"ok"}
    (folder,) = bench.runs("raises")
    told = (folder / "error.txt").read_text()
    assert told.startswith("ArithmeticError: the flag is up (ill.py, line 17)\n\nTraceback")
    assert "in frozen" in told
    assert bench(*command).status == 1, "a failure is not kept"

    weights = bench.weights()
    (bench.folder / "flag").unlink()
    answer = bench(*command)
    assert answer.status == 0
    assert "1 already done" in answer.out
    assert bench.weights() == weights, "what had been trained is not trained again"
    assert not (folder / "error.txt").exists()
    table = bench.table()
    assert set(table[table["method"] == "raises"]["status"]) == {"ok"}
    assert not table["note"].str.contains("failed").any()


def test_divergence_is_told_and_kept(bench: Bench):
    command = ill(bench, "nan")
    answer = bench(*command)
    assert answer.status == 1
    row = bench.table().set_index("method").loc["nan"]
    assert row["status"] == "diverged"
    assert row["mean"] == ""
    assert "diverged in epoch 1" in row["note"]
    assert "vae.loss = nan" in row["note"]
    assert row["note"] in answer.out
    before = bench.csv()
    assert "1 already done" in bench(*command).out
    assert bench.csv() == before


def test_prior_without_density_is_unsupported(bench: Bench):
    """Not a failure: the pair has no meaning, and the table says why."""
    command = ill(bench, "sampler")
    answer = bench(*command)
    assert answer.status == 0
    assert "unsupported sampler on onehot" in answer.out
    row = bench.table().set_index("method").loc["sampler"]
    assert row["status"] == "unsupported"
    assert row["note"].startswith("Sampler is known through its samples only")
    assert "1 already done" in bench(*command).out


@pytest.mark.long
def test_other_data_make_other_runs(bench: Bench, tmp_path: Path):
    """A run is done for the data that it was made with: when they change, it is made again."""
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(20):
        Image.new("L", (8, 8), color=10 * i).save(folder / f"{i:02}.png")
    bench.suite(TINY.replace('"onehot"', f'"folder:{folder}"'))
    first = bench()
    assert first.status == 0, first.err
    assert "2 already done" in bench().out
    before = bench.table()
    Image.new("L", (8, 8), color=255).save(folder / "00.png")
    benchmarks.runner.workspace._dataset.cache_clear()  # as a new command would
    again = bench()
    assert again.status == 0
    assert "0 already done" in again.out
    assert (bench.table()["protocol"] != before["protocol"]).all()
