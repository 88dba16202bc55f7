"""The command `python -m benchmarks.tune`: what is searched, what a trial sees, kills, counts, and what is written."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import torch

import benchmarks.runner.workspace
from benchmarks import run
from benchmarks.cli import load_plugins
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request
from benchmarks.datasets import load
from benchmarks.estimators.estimate import Estimate
from benchmarks.estimators.estimator import Estimator
from benchmarks.features import classifier
from benchmarks.metrics import METRICS
from benchmarks.metrics.base import Metric
from benchmarks.runner.execute import Outcome, execute
from benchmarks.runner.executors import EXECUTORS, Resources, job, serial
from benchmarks.runner.workspace import Workspace
from benchmarks.tune import main
from benchmarks.tuning import slots, study
from benchmarks.tuning.objective import OBJECTIVES, Objective
from benchmarks.tuning.space import parse_range, searched
from benchmarks.tuning.validation import ValidationWorkspace, held_out
from priors.space import Choice, Float, Int
from workbench import TINY, Answer, Workbench

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]

SEARCHED = TINY.replace("seeds = 1", "seeds = [3, 4]").replace("components = 4", "components = 12")

BOWL = '''
"""A standard normal with two settings that matter to the figures below alone, and one that shifts it."""
from priors import Float, Int, register
from priors.gaussian import Gaussian


@register("bowl")
class Bowl(Gaussian):
    """N(shift, I)."""

    space = {"x": Float(0.0, 5.0), "n": Int(1, 9)}

    def __init__(self, host, *, x: float = 4.0, n: int = 2, shift: float = 0.0):
        super().__init__(host)
        self.x, self.n, self.shift = x, n, shift

    def log_prob(self, z):
        return super().log_prob(z - self.shift)
'''


class Bench(Workbench):
    """`python -m benchmarks.tune` in a folder with a plug-in."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]):
        super().__init__(folder, capsys, SEARCHED)
        self.studies = self.results / "studies"
        self.plugin = self.write("bowl.py", BOWL)

    def other(self) -> Bench:
        """Another folder with the same suite, and the same plug-in, which registers once."""
        (self.folder / "other").mkdir()
        other = Bench(self.folder / "other", self.capsys)
        other.plugin = self.plugin
        return other

    def __call__(self, *arguments: str, command: Callable[..., int] = main, suite: str = "tiny.toml") -> Answer:
        return self.ask(command, *self.about(suite), "--device", "cpu", *arguments)

    def bowl(self, *arguments: str) -> Answer:
        """The plug-in's prior, without training."""
        plugin = ["--plugin", str(self.plugin), "--set", "training.epochs=0"]
        return self("--method", "bowl", "--name", "b", *plugin, *arguments)

    def table(self, pattern: str = "*") -> pd.DataFrame:
        (path,) = self.studies.glob(f"{pattern}.csv")
        return pd.read_csv(path, keep_default_na=False, na_values={"nll": [""], "fd": [""]})

    def file(self, ending: str) -> Path:
        (path,) = self.studies.glob(f"*{ending}")
        return path

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Everything in the only database."""
        storage = f"sqlite:///{self.file('.db')}"
        (name,) = optuna.get_all_study_names(storage)
        return optuna.load_study(study_name=name, storage=storage).trials


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


@pytest.fixture(autouse=True)
def forget(own_parts: None) -> Iterator[None]:
    """Plug-ins and data of a test are gone after it."""
    benchmarks.runner.workspace._dataset.cache_clear()
    yield
    benchmarks.runner.workspace._dataset.cache_clear()


def toy(monkeypatch: pytest.MonkeyPatch, **functions: Callable[[Any], float]) -> None:
    """In the place of objectives: functions of the prior alone."""
    for name, function in functions.items():
        metric = OBJECTIVES[name].metric
        made = Metric(
            metric, "", lambda s, f=function, m=metric: [Estimate(m, Estimator("toy"), f(s.prior), "none", "lower")]
        )
        METRICS.put(metric, made)
        monkeypatch.setitem(OBJECTIVES, name, Objective(metric, name, "none", lambda model, prior, data: None))


def squares(prior: Any) -> float:
    return (prior.x - 1.5) ** 2 + (prior.n - 6) ** 2


# One objective


def test_the_best_trial_is_the_argmin_and_near_the_functions_minimum(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """(x - 3/2)^2 + (n - 6)^2: all figures are the function's own, and the sampler comes near (3/2, 6)."""
    toy(monkeypatch, nll=squares)
    assert bench.bowl("--trials", "15").status == 0
    table = bench.table()
    x, n = table["prior.bowl.x"], table["prior.bowl.n"]
    np.testing.assert_allclose(table["nll"], (x - 1.5) ** 2 + (n - 6) ** 2, rtol=1e-5, atol=1e-7)
    assert (x[0], n[0]) == (4.0, 2)  # the first trial is the suite's own
    assert table.index[table["best"]].tolist() == [table["nll"].argmin()]
    assert table["nll"].min() < 0.1 * table["nll"][:5].median()
    tuned = suite.read(str(bench.file(".toml")))
    assert tuned.method["bowl"]["prior"]["bowl"]["x"] == pytest.approx(x[table["nll"].argmin()], rel=1e-6)


def test_a_study_in_full(bench: Bench):
    """Trials are ELBO-trained runs on validation images; the written suite is valid, runs, and gives the best trial's
    very run; a second time nothing happens."""
    answer = bench("--method", "vampprior", "--trials", "4", "--set", "prior.vampprior.start=data")
    assert (answer.status, answer.err) == (0, "")
    assert "prior.vampprior.components: 10 to 2000, logarithmic; the suite's own is 12" in answer.out
    assert "prior.vampprior.start = data, fixed" in answer.out
    table = bench.table()
    assert table["prior.vampprior.components"][0] == 12
    assert "prior.vampprior.start" not in table
    assert set(table["nll_estimator"]) == {"is-500"}

    assert run.main(["validate", str(bench.file(".toml"))]) == 0
    assert bench("--executor", "serial", command=run.main, suite=str(bench.file(".toml"))).status == 0
    best = table[table["best"]].iloc[0]
    trials = {path.name for path in bench.studies.glob("runs/tiny/*")}
    (first, _) = sorted(path.name for path in (bench.folder / "results" / "runs").glob("*/*-s*"))
    assert first in trials
    config = suite.expand(suite.read(str(bench.file(".toml"))))[0]
    assert config.prior.settings["components"] == best["prior.vampprior.components"]
    assert config.protocol.samples == (10,)  # the suite's protocol, not the tuning's

    files = {path: path.read_bytes() for path in bench.studies.glob("*.*") if path.suffix in (".csv", ".toml")}
    again = bench("--method", "vampprior", "--trials", "4", "--set", "prior.vampprior.start=data")
    assert "4 are done" in again.out
    assert {path: path.read_bytes() for path in files} == files


def test_pruning_is_the_median_rule_on_validation_losses(bench: Bench):
    """Of a normal at `shift`, whose ELBO falls as it moves away: cut short are those above the median of the complete
    trials before them, and no trial before five are complete."""
    arguments = ["--plugin", str(bench.plugin), "--set", "prior.bowl.x=0", "--set", "prior.bowl.n=1"]
    space = ["--space", "prior.bowl.shift=0.0:20.0"]
    answer = bench("--method", "bowl", *arguments, *space, "--trials", "10")
    assert "cut short by the validation loss" in answer.out
    pruned = [trial for trial in bench.trials() if trial.state == optuna.trial.TrialState.PRUNED]
    assert pruned
    for trial in bench.trials():
        before = [t for t in bench.trials()[: trial.number] if t.state == optuna.trial.TrialState.COMPLETE]
        others = [t.intermediate_values[trial.last_step] for t in before]
        worse = len(before) >= 5 and min(trial.intermediate_values.values()) > np.median(others)
        assert worse == (trial in pruned)
    assert set(bench.table()["status"]) == {"ok", "pruned"}


def test_a_word_in_its_folder_ends_a_run(bench: Bench):
    """At its next epoch, without a failure; and taken back, the run goes on."""
    chosen = suite.expand(suite.read(str(bench.folder / "tiny.toml")), Request(methods=("gaussian",), seeds=(3,)))[0]
    workspace = ValidationWorkspace(bench.studies, bench.folder / "data")
    record = workspace.record(chosen)
    record.cut_short()
    assert execute(chosen, workspace).status == "cut"
    assert (record.losses(), record.trained(), record.failure()) == ({}, False, None)
    record.go_on()
    assert execute(chosen, workspace).status == "ok"
    assert [*record.losses()] == [1, 2]
    (record.folder / "validation.txt").open("a").write("3 9")  # a line under way
    assert [*record.losses()] == [1, 2]


def test_the_word_is_left_where_a_run_is_to_be_cut_short(bench: Bench):
    """Wherever that is carried out: an executor tells losses of five runs as they are, and such of a sixth as no study
    goes on with, until it finds the word."""

    def played(runs: Sequence[Run], workspace: ValidationWorkspace, resources: Resources) -> Iterator[Outcome]:
        for one in runs:
            record = workspace.record(one)
            if len([*workspace.results.glob("runs/*/*/done")]) >= 5:
                record.folder.mkdir(parents=True)
                for epoch in (1, 2):
                    how = {"epoch": epoch, "epochs": 2, "seconds": 1.0, "losses": {"validation": 1e9}}
                    record.report(stage="training", **how)
                wait_for((record.folder / "cut-short").exists, "the word")
            yield from serial([one], workspace, resources)

    EXECUTORS.put("played", played)
    given = ["--plugin", str(bench.plugin), "--set", "prior.bowl.x=0", "--set", "prior.bowl.n=1"]
    space = ["--space", "prior.bowl.shift=0.0:20.0", "--trials", "6", "--executor", "played"]
    assert bench("--method", "bowl", *given, *space).status == 0
    assert bench.table()["status"].tolist() == ["ok"] * 5 + ["pruned"]
    (cut,) = bench.studies.glob("runs/*/*/cut-short")
    assert not (cut.parent / "training.json").exists()


def test_trials_of_the_same_settings_are_trained_once(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    toy(monkeypatch, nll=squares)
    given = ["--set", "prior.bowl.x=0", "--set", "prior.bowl.n=1", "--space", "prior.bowl.shift=1,2"]
    assert bench.bowl("--trials", "5", "--workers", "5", "--executor", "serial", *given).status == 0
    assert bench.table()["status"].tolist() == ["ok"] * 5
    assert len([*bench.studies.glob("runs/*/*")]) < 5


# The test split


class Untouchable:
    """A split that may be moved to a device and nothing else."""

    def to(self, device: Any) -> Untouchable:
        return self

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the test split was touched: {name}")

    def __len__(self) -> int:
        raise AssertionError("the test split was touched: len")


def test_no_trial_meets_a_test_image(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """With a test split that raises when it is touched, and test labels that are nonsense, every figure is the same."""
    monkeypatch.setattr(classifier, "train", partial(classifier.train, steps=20))
    arguments = ["--method", "vampprior", "--dataset", "digits", "--objective", "nll", "fd", "--trials", "3"]
    less = ["--samples", "20", "--set", "prior.vampprior.start=data", "--space", "prior.vampprior.components=10:20"]
    assert bench(*arguments, *less).status == 0
    clean = bench.file(".csv").read_bytes()
    assert b"classifier-300" in clean

    def poisoned(*given: Any) -> Any:
        data = load(*given)
        labels = (*data.labels[:2], torch.full_like(data.labels[2], -1))
        return replace(data, test=Untouchable(), labels=labels)

    benchmarks.runner.workspace._dataset.cache_clear()
    monkeypatch.setattr(benchmarks.runner.workspace, "load", poisoned)
    other = bench.other()
    assert other(*arguments, *less).status == 0
    assert other.file(".csv").read_bytes() == clean

    chosen = suite.expand(suite.read(str(other.folder / "tiny.toml")), Request(("digits",), ("vampprior",), (3,)))
    outcome = execute(chosen[0], Workspace(other.folder / "plain", other.folder / "data"))  # the poison does work
    assert "the test split was touched" in outcome.note


@pytest.mark.parametrize("rule", ["dynamic", "expected"])
def test_validation_images_are_scored_as_test_images_are(tmp_path: Path, rule: Any):
    data = load("digits", tmp_path, binarisation=rule)
    held = held_out(data)
    assert torch.equal(held.test.original.stored, data.validation.original.stored)
    assert set(held.test[:].unique().tolist()) == {0.0, 1.0}
    assert held.test.encoded_grey == data.test.encoded_grey
    assert torch.equal(held.labels[2], data.labels[1])
    assert held.digest != data.digest


# Interruptions


@pytest.mark.slow
def test_killed_and_taken_up(bench: Bench, tmp_path: Path):
    """SIGKILL in the middle of a trial: the same command ends with the trials of a study that was never stopped."""
    arguments = ["--method", "vampprior", "--trials", "3", "--set", "training.epochs=25", "--samples", "20"]
    arguments += ["--space", "prior.vampprior.components=10:40"]
    line = [sys.executable, "-m", "benchmarks.tune", "--suite", "tiny.toml", "--device", "cpu", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: in_the_middle(bench.studies), "a second trial under way")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    killed = [trial for trial in bench.trials() if trial.state == optuna.trial.TrialState.RUNNING]
    assert len(killed) == 1

    assert bench(*arguments).status == 0
    states = [trial.state.name for trial in bench.trials()]
    assert states.count("FAIL") == 1
    assert len(states) == 4
    retried = [trial for trial in bench.trials() if trial.system_attrs.get("retry_history")]
    assert [trial.params for trial in retried] == [killed[0].params]

    other = bench.other()
    assert other(*arguments).status == 0
    for ending in (".csv", ".toml"):
        assert bench.file(ending).read_bytes() == other.file(ending).read_bytes()


def in_the_middle(studies: Path) -> bool:
    """One trial has ended, and another trains."""
    try:
        with sqlite3.connect(f"file:{next(studies.glob('*.db'))}?mode=ro", uri=True) as database:
            states = [state for (state,) in database.execute("select state from trials")]
    except (StopIteration, sqlite3.OperationalError):
        return False
    training = any('"training"' in path.read_text() for path in studies.glob("runs/*/*/status.json"))
    return "COMPLETE" in states and "RUNNING" in states and training


def wait_for(condition: Callable[[], object], what: str, seconds: float = 90) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def test_ctrl_c(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Status 130, a word that the same command goes on, and the trials that there would have been."""
    calls = iter(range(100))

    def stopping(prior: Any) -> float:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return squares(prior)

    toy(monkeypatch, nll=stopping)
    stopped = bench.bowl("--trials", "8")
    assert stopped.status == 130
    assert "The same command goes on" in stopped.err
    assert len(bench.table()) == 3
    assert bench.bowl("--trials", "8").status == 0
    table = bench.table()
    other = bench.other()
    assert other.bowl("--trials", "8").status == 0
    pd.testing.assert_frame_equal(table, other.table())


def test_a_trial_whose_process_dies_again_and_again_is_given_up(tmp_path: Path):
    """It takes one place in the study, failed, after RETRIES attempts more."""
    one = optuna.create_study(storage=f"sqlite:///{tmp_path / 'one.db'}")
    one.enqueue_trial({})
    while one.trials[-1].state == optuna.trial.TrialState.WAITING:
        one.tell(one.ask(), state=optuna.trial.TrialState.FAIL)
        slots.revive(one, tmp_path)
    assert len(one.trials) == study.RETRIES + 1
    assert [trial.number for trial in slots.slots(one)] == [study.RETRIES]


def test_whoever_looks_on_never_sees_a_trial_fail_that_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = optuna.create_study(storage=f"sqlite:///{tmp_path / 'one.db'}")
    one.ask().set_user_attr("worker", "gone")
    (tmp_path / "gone").touch()  # its lock, which nobody holds
    seen = []
    tell = one.tell

    def told(*arguments: Any, **named: Any) -> None:
        tell(*arguments, **named)
        seen.extend(trial.state for trial in slots.slots(one))

    monkeypatch.setattr(one, "tell", told)
    slots.revive(one, tmp_path)
    assert seen == [optuna.trial.TrialState.WAITING]


# Counts


@pytest.mark.slow
def test_two_workers_share_a_study(bench: Bench):
    answer = bench("--method", "vampprior", "--trials", "5", "--workers", "2", "--samples", "20")
    assert (answer.status, answer.err) == (0, "")
    assert len(bench.table()) == 5
    assert len(bench.trials()) == 5
    assert not [path for path in (bench.studies / "locks").glob("*/*") if path.name != "begin"]


def test_every_method_gets_the_same_number_of_trials(bench: Bench):
    """Also where one had more before: the first of them count."""
    less = ["--samples", "5", "--set", "training.epochs=0", "--space", "prior.mixture.components=2:9"]
    assert bench("--method", "mixture", "--trials", "5", *less).status == 0
    before = bench.table()
    assert bench("--method", "mixture", "dp", "--trials", "3", *less).status == 0
    tables = {path.name: pd.read_csv(path) for path in bench.studies.glob("*.csv")}
    assert [len(table) for table in tables.values()] == [3, 3]
    assert (
        before["prior.mixture.components"].tolist()[:3] == bench.table("*mixture*")["prior.mixture.components"].tolist()
    )
    (together,) = bench.studies.glob("*mixture+dp*.toml")
    assert suite.read(str(together)).methods == ("mixture", "dp")
    assert len(suite.expand(suite.read(str(together)))) == 4


def test_failing_trials_are_recorded_and_count(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """A figure that is no number, an error, a setting that the prior refuses: each with its reason."""

    def ill(prior: Any) -> float:
        if prior.n > 6:
            raise ArithmeticError("n is too large")
        return squares(prior) if prior.x > 1 else float("nan")

    toy(monkeypatch, nll=ill)
    answer = bench.bowl("--trials", "12")
    assert answer.status == 0
    table = bench.table()
    assert len(table) == 12
    n, x = table["prior.bowl.n"], table["prior.bowl.x"]
    expected = np.where(n > 6, "failed: ArithmeticError: n is too large", np.where(x > 1, "", "nll is nan"))
    assert table["reason"].tolist() == expected.tolist()
    assert set(table["status"]) == {"ok", "failed"}
    assert {"", "nll is nan", "failed: ArithmeticError: n is too large"} == set(table["reason"])

    toy(monkeypatch, nll=lambda prior: float("nan"))
    nothing = bench.bowl("--trials", "2", "--seeds", "7")
    assert nothing.status == 1
    assert "no trial has an estimate" in nothing.out


# Two objectives


def test_two_objectives_give_the_front(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Of x and (x - 4)^2 + n, by brute force over the table; each of its trials is a method of the written suite."""
    toy(monkeypatch, nll=lambda prior: prior.x, fd=lambda prior: (prior.x - 4) ** 2 + prior.n)
    answer = bench.bowl("--trials", "15", "--objective", "nll", "fd")
    assert answer.status == 0
    assert "every trial is trained to its end" in answer.out
    table = bench.table()
    values = table[["nll", "fd"]].to_numpy()
    beaten = [any((other <= one).all() and (other < one).any() for other in values) for one in values]
    assert table["best"].tolist() == [not one for one in beaten]
    assert 1 < table["best"].sum() < 15
    for picture in ("-history.png", "-importance.png"):
        assert bench.file(picture).read_bytes().startswith(b"\x89PNG")
    tuned = suite.read(str(bench.file(".toml")))
    assert tuned.methods == tuple(f"bowl-{number}" for number in table["trial"][table["best"]])
    plugins = load_plugins([bench.plugin])
    runs = suite.expand(tuned, Request(plugins=plugins))
    assert [one.prior.settings["n"] for one in runs[: len(tuned.methods)]] == table["prior.bowl.n"][
        table["best"]
    ].tolist()


def test_a_front_keeps_what_the_catalogue_and_the_data_sets_section_say(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Its methods have names of their own, which no catalogue knows; every trial is on the front of (s, -s)."""
    toy(monkeypatch, nll=lambda prior: prior.scale, fd=lambda prior: -prior.scale)
    bench.suite(SEARCHED + "[dataset.onehot]\nprior.pullback.critic_lr = 3e-4\n")
    cheap = {"training.epochs": 0, "prior.pullback.draws": 50, "prior.pullback.sampling": "resampling"}
    given = [part for key, value in cheap.items() for part in ("--set", f"{key}={value}")]
    given += ["--set", "prior.pullback.penalty=wgan-gp", "--space", "prior.pullback.critic_lr=1e-3:2e-3"]
    assert bench("--method", "naive-pullback", "--trials", "2", "--objective", "nll", "fd", *given).status == 0
    table = bench.table()
    assert table["best"].all()
    for one, (_, row) in zip(suite.expand(suite.read(str(bench.file(".toml"))))[:2], table.iterrows(), strict=True):
        assert one.prior.settings["training"] == "naive"
        assert one.prior.settings["scale"] == pytest.approx(row["prior.pullback.scale"], rel=1e-6)
        searched = row["prior.pullback.critic_lr"]
        assert one.prior.settings["critic_lr"] == pytest.approx(searched, rel=1e-6)
        assert (one.prior.settings["draws"], one.training.epochs) == (50, 0)


# What is searched


def test_what_defines_a_method_is_not_searched(bench: Bench):
    """The catalogue's own settings and [method.NAME] are kept, [prior.NAME] is where the search starts."""
    bench.suite(SEARCHED + "[prior.pullback]\nscale = 5.0\n[method.pullback]\nprior.pullback.critic_lr = 2e-4\n")
    chosen = suite.read(str(bench.folder / "tiny.toml"))
    request = Request(methods=("pullback",))
    space = searched(chosen, request, suite.expand(chosen, request)[0], {})
    assert set(space) == {"prior.pullback.scale", "prior.pullback.penalty"}
    request = Request(methods=("beta-tcvae+dp",))
    space = searched(chosen, request, suite.expand(chosen, request)[0], {"model.latent_dim": Int(2, 5)})
    assert set(space) == {"prior.dpflow.couplings", "prior.dpflow.transform", "regulariser.tc.beta", "model.latent_dim"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=10:200", Int(10, 200)),
        ("a.b=10:200:log", Int(10, 200, log=True)),
        ("a.b=1e-4:1e-2:log", Float(1e-4, 1e-2, log=True)),
        ("a.b=-1:1.5", Float(-1.0, 1.5)),
        ("a.b=2,5,x", Choice((2, 5, "x"))),
    ],
)
def test_ranges(text: str, expected: Any):
    assert parse_range(text) == ("a.b", expected)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "vamprior"], "Unknown method 'vamprior'. Did you mean 'vampprior'?"),
        (["--dataset", "onehott"], "Unknown data set 'onehott'. Did you mean 'onehot'?"),
        (["--objective", "nnl"], "Unknown objective 'nnl'. Did you mean 'nll'?"),
        (["--method", "gaussian"], "gaussian on onehot has nothing to tune"),
        (["--method", "data"], "data on onehot has nothing to tune"),
        (["--space", "training.lrr=1:2"], "Unknown setting 'training.lrr'. Did you mean 'training.lr'?"),
        (["--space", "training.lr=2:1"], "--space training.lr=2:1: write KEY=LOW:HIGH"),
        (["--space", "training.lr=0:1:log"], "above 0 for log"),
        (["--space", "training.lr=inf"], "write KEY=LOW:HIGH"),
        (["--space", "training.epochs=1:2.5"], "takes whole numbers"),
        (["--space", "training.lr=-1.0:1.0"], "lr = -1.0 is not valid"),
        (["--trials", "0"], "--trials 0: it is 1 or larger"),
        (["--executor", "lcoal"], "Unknown executor 'lcoal'. Did you mean 'local'?"),
        (["--slurm", "mem=1G"], "--slurm mem=1G: only --executor slurm takes it"),
        (["--storage", "nosuch://x"], "--storage cannot be opened"),
        (["--method", "vampprior", "--objective", "fd"], "the data are no pictures: use --objective nll"),
        (["--method", "flexae", "--dataset", "digits"], "the prior has no density, only samples: use --objective fd"),
        (["--method", "ae-gmm"], "its encoder is deterministic"),
    ],
)
def test_mistakes(bench: Bench, arguments: list[str], message: str):
    answer = bench(*arguments)
    assert answer.status == 2
    assert message in answer.err
    assert len(answer.err.splitlines()) == 1


def test_unknown_suite_and_flag(bench: Bench):
    assert "Did you mean 'quickstart'?" in bench(suite="quickstrat").err
    assert bench("--trails", "3").status == 2


def test_a_study_of_other_settings_is_not_gone_on_with(bench: Bench):
    arguments = ["--method", "vampprior", "--trials", "1", "--samples", "5"]
    assert bench(*arguments).status == 0
    bench.suite(SEARCHED.replace("widths = [8]", "widths = [9]"))
    answer = bench(*arguments)
    assert answer.status == 2
    assert "was begun with other settings" in answer.err


@pytest.mark.parametrize(
    "table", ["studies", "study_directions", "trial_values", "trial_params", "trial_user_attributes"]
)
def test_a_damaged_database_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch, table: str):
    toy(monkeypatch, nll=lambda prior: float(prior.x))
    assert bench.bowl("--trials", "2").status == 0
    with closing(sqlite3.connect(bench.file(".db"))) as database:
        database.execute(f"drop table {table}")
    names_the_database(bench)


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_file_that_is_no_database_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch, content: bytes):
    """But for an empty one, which is a database without tables, and begun anew."""
    toy(monkeypatch, nll=lambda prior: float(prior.x))
    assert bench.bowl("--trials", "2").status == 0
    bench.file(".db").write_bytes(content)
    if content:
        names_the_database(bench)
    else:
        assert bench.bowl("--trials", "2").status == 0


def names_the_database(bench: Bench) -> None:
    answer = bench.bowl("--trials", "2")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert f"{bench.file('.db')} cannot be used" in answer.err
    assert "delete it" in answer.err


def test_a_long_name_of_a_study_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    toy(monkeypatch, nll=lambda prior: 1.0)
    assert bench("--method", "vampprior", "--trials", "1", "--name", "b" * 100).status == 0
    (path,) = bench.studies.glob("*.toml")
    assert len(path.stem) == 100
    assert suite.read(str(path)).name == path.stem


# A full disk


def test_a_full_disk_costs_no_trial(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """It is no fault of the settings: exit status 1 with one sentence, and the study goes on with the same trial."""
    toy(monkeypatch, nll=squares)
    usual = job.execute

    def full(one: Run, workspace: Workspace) -> Outcome:
        return Outcome(one, "failed", "OSError: [Errno 28] No space left on device", full=True)

    monkeypatch.setattr(job, "execute", full)
    answer = bench.bowl("--trials", "1")
    assert (answer.status, answer.err.count("\n")) == (1, 1)
    assert answer.err.startswith("error: A file cannot be read or written: No space left on device")
    monkeypatch.setattr(job, "execute", usual)
    assert bench.bowl("--trials", "1").status == 0
    assert bench.table()["status"].tolist() == ["ok"]


def test_a_database_on_a_full_disk_is_not_called_damaged():
    error = sqlite3.OperationalError("database or disk is full")
    found = study.Study.unusable(SimpleNamespace(storage="sqlite:///x.db"), error)
    assert isinstance(found, OSError)
    assert found.errno == errno.ENOSPC
