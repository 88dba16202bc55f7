"""Executors of clusters, as far as no cluster is needed: how runs are packed, what is asked for, and what is made of
the ends of jobs. `tests/cluster` has the real ones."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.common.errors import UsageError
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome
from benchmarks.runner.executors import Resources, bundle, follow, packing, queue, serial
from benchmarks.runner.executors.bundle import Bundle, bundles, with_gpus
from benchmarks.runner.executors.follow import End
from benchmarks.runner.executors.ray import gpus_of
from benchmarks.runner.workspace import Workspace
from workbench import TINY, Workbench

slurm = import_module("benchmarks.runner.executors.slurm")  # the name in the package is the executor of it


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workbench:
    return Workbench(tmp_path, capsys, TINY.replace("seeds = 1", "seeds = 3"))


@pytest.fixture
def workspace(bench: Workbench) -> Workspace:
    return Workspace(bench.results, bench.folder / "data")


@pytest.fixture
def runs(bench: Workbench) -> list[Run]:
    return suite.expand(suite.read(str(bench.folder / "tiny.toml")))


# Packing


def test_parts_are_never_divided():
    parts = [tuple("aa"), tuple("bbb"), tuple("c"), tuple("d"), tuple("eeee")]
    sizes = [len(job) for job in packing.packed(parts, lambda part: len(part) / 4)]
    assert sizes == [2, 4, 1, 4]


def test_runs_a_job(runs: list[Run], workspace: Workspace):
    packed = packing.pack(runs, workspace, Resources(runs_a_job=4))
    assert [len(job) for job in packed] == [4, 2]
    assert [run for job in packed for run in job] == runs


def test_seeds_that_are_trained_together_share_a_job(runs: list[Run], workspace: Workspace):
    packed = packing.pack(runs, replace(workspace, stack="on"), Resources(runs_a_job=4))
    assert [{run.method for run in job} for job in packed] == [{"gaussian"}, {"vampprior"}]


def test_minutes_are_filled_by_what_earlier_runs_took(runs: list[Run], workspace: Workspace):
    """A gaussian took four minutes, of a job's ten eight are filled; a vampprior has never run and is alone."""
    folder = workspace.record(runs[0]).folder
    folder.mkdir(parents=True)
    for name, time in (("config.json", 1000), ("done", 1240)):
        (folder / name).touch()
        os.utime(folder / name, (time, time))
    packed = packing.pack(runs[2:], workspace, Resources(minutes_a_job=10))
    assert [[run.method for run in job] for job in packed] == [["gaussian"], ["vampprior"], ["gaussian"], ["vampprior"]]
    ordered = sorted(runs[2:], key=lambda run: run.method)
    packed = packing.pack(ordered, workspace, Resources(minutes_a_job=10))
    assert [len(job) for job in packed] == [2, 1, 1]


# What is asked for


def test_resources():
    assert Resources(3).at_once("cpu") == 3
    assert Resources(gpus=2).in_a_job == 8
    assert Resources(runs_per_gpu=3, gpus=1).in_a_job == 3
    merged = Resources(options={"slurm": {"qos": "a"}}).over({"slurm": {"qos": "b", "mem": "1G"}})
    assert merged.options == {"slurm": {"qos": "a", "mem": "1G"}}
    assert gpus_of(Resources(gpus=1), 2) == 0.5


def test_gpus_of_a_cluster(workspace: Workspace):
    assert with_gpus(Resources(), workspace).gpus == 0
    assert with_gpus(Resources(), replace(workspace, device="cuda")).gpus == 1
    with pytest.raises(UsageError, match="hands GPUs out itself"):
        with_gpus(Resources(), replace(workspace, device="cuda:1"))


def test_what_submitit_is_told():
    given = {"partition": "gpu", "mail-type": "END", "exclusive": True, "setup": "module load cuda"}
    told = slurm.parameters(Resources(2, threads=3, minutes_a_job=1.5, options={"slurm": given}))
    assert told["time"] == 2
    assert told["cpus_per_task"] == 3
    assert told["array_parallelism"] == 2
    assert told["setup"] == ["module load cuda"]
    assert told["additional_parameters"] == {"partition": "gpu", "mail_type": "END", "exclusive": True}
    assert slurm.parameters(Resources(gpus=1))["gpus_per_node"] == 1
    assert "gpus_per_node" not in slurm.parameters(Resources(gpus=1, options={"slurm": {"gres": "gpu:a100:1"}}))


@pytest.mark.parametrize("key", ["time", "--time", "cpus-per-task"])
def test_what_is_set_here_is_refused(key: str):
    with pytest.raises(UsageError, match="is set by priorbench itself: take --"):
        slurm.parameters(Resources(options={"slurm": {key: "1"}}))


@pytest.mark.parametrize(("name", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_without_the_extra(name: str, package: str, bench: Workbench, monkeypatch: pytest.MonkeyPatch):
    def missing(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr("benchmarks.common.extras.import_module", missing)
    answer = bench.ask(run.main, *bench.about("tiny.toml"), "--device", "cpu", "--executor", name)
    assert answer.status == 2
    assert f"needs the package {package}" in answer.err
    assert f'pip install "priorbench[{name}]"' in answer.err


def test_without_sbatch(bench: Workbench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm, "needed", lambda *_: None)
    monkeypatch.setenv("PATH", "")
    answer = bench.ask(run.main, *bench.about("tiny.toml"), "--device", "cpu", "--executor", "slurm")
    assert answer.status == 2
    assert "There is no sbatch here" in answer.err


def test_no_cluster_of_ray_at_an_address(bench: Workbench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.runner.executors.ray.needed", lambda *_: None)
    where = ["--device", "cpu", "--executor", "ray", "--address", "127.0.0.1:1"]
    answer = bench.ask(run.main, *bench.about("tiny.toml"), *where)
    assert answer.status == 2
    assert "There is no cluster of Ray at 127.0.0.1:1: ConnectionRefusedError" in answer.err


def test_mistakes_in_flags_and_tables(bench: Workbench):
    for words, said in (
        (["--slurm", "gpu"], "write it as KEY=VALUE"),
        (["--slurm", "mem=1G"], "only --executor slurm takes it"),
        (["--threads", "-1"], "it is 0 or larger"),
        (["--runs-per-gpu=-1"], "--runs-per-gpu -1"),
        (["--minutes-a-job", "0"], "--minutes-a-job 0"),
    ):
        answer = bench.ask(run.main, *bench.about("tiny.toml"), *words)
        assert answer.status == 2
        assert said in answer.err
    bench.suite(TINY + "\n[slrum]\npartition = 'main'\n", "wrong")
    assert "Did you mean 'slurm'" in bench.ask(run.main, *bench.about("wrong.toml")).err


def test_options_reach_an_executor(bench: Workbench, monkeypatch: pytest.MonkeyPatch):
    """Those of the suite's table under those of the command line; and runs are named as without."""
    bench.suite(TINY + "\n[slurm]\npartition = 'main'\nmem = '1G'\n", "with")
    seen: list[Resources] = []

    def record(runs: Sequence[Run], workspace: Workspace, resources: Resources) -> object:
        seen.append(resources)
        return serial(runs, workspace, resources)

    from benchmarks.runner.executors import EXECUTORS

    before, given = EXECUTORS["slurm"], ("--executor", "slurm", "--slurm", "mem=2G")
    EXECUTORS.put("slurm", record)
    try:
        bench.ask(run.main, *bench.about("with.toml"), "--device", "cpu", *given, "--limit", "1")
    finally:
        EXECUTORS.put("slurm", before)
    assert seen[0].options["slurm"] == {"partition": "main", "mem": "2G"}


# The ends of jobs


class Pretended:
    """A cluster that ends jobs as it was told: with an end, or by carrying the bundle out."""

    def __init__(self, *ends: End | None):
        self.ends, self.submitted, self.cancelled = list(ends), [], []

    def submit(self, bundles: Sequence[Bundle]) -> list[str]:
        first = len(self.submitted)
        self.submitted += bundles
        return [str(first + number) for number in range(len(bundles))]

    def ended(self, jobs: Collection[str]) -> dict[str, End]:
        ends = {}
        for job in jobs:
            end = self.ends.pop(0) if self.ends else None
            if end is None:
                tell(self.submitted[int(job)])
            else:
                ends[job] = end
        return ends

    def cancel(self, jobs: Collection[str]) -> str:
        self.cancelled += jobs
        return "Cancelled."


def tell(told: Bundle) -> None:
    for one in told.untold():
        told.tell(Outcome(one, "ok", seconds=2.0))


@pytest.fixture
def made(runs: list[Run], workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Bundle]:
    monkeypatch.setattr(follow, "LOOK", 0.0)
    monkeypatch.setattr(follow, "LAG", 0.0)
    monkeypatch.setattr(bundle, "LAST_WORDS", 0.0)
    return bundles(runs, workspace, Resources(runs_a_job=3), tmp_path / "jobs")


def test_outcomes_come_from_the_jobs_folder(made: list[Bundle], runs: list[Run]):
    outcomes = [*follow.follow(made, Pretended())]
    assert [outcome.run for outcome in outcomes] == runs
    assert {(outcome.status, outcome.seconds) for outcome in outcomes} == {("ok", 2.0)}


def test_what_a_lost_job_left_is_submitted_again(made: list[Bundle], runs: list[Run]):
    made[0].tell(Outcome(runs[0], "ok"))
    cluster = Pretended(End("its node failed", True))
    outcomes = [*follow.follow(made, cluster)]
    assert len(outcomes) == len(runs)
    assert cluster.submitted[2].runs == tuple(runs[1:3]), "but for the one that had ended"


def test_it_is_given_up_after_some_tries(made: list[Bundle], runs: list[Run], workspace: Workspace):
    cluster = Pretended(*[End("its node failed", True)] * (follow.TRIES + 1))
    outcomes = [*follow.follow(made[:1], cluster)]
    assert len(cluster.submitted) == 1 + follow.TRIES
    assert {(outcome.status, outcome.note) for outcome in outcomes} == {("failed", "its node failed")}
    assert workspace.record(runs[0]).failure() == "its node failed"


def test_tries_are_counted_anew_where_something_was_kept(made: list[Bundle], monkeypatch: pytest.MonkeyPatch):
    """A long run on a cluster that does not requeue needs many jobs."""
    times = iter(range(1000))
    monkeypatch.setattr(Bundle, "keeps", lambda self: {"checkpoint": float(next(times))})
    cluster = Pretended(*[End("its job's time was over", True)] * 5)
    assert {outcome.status for outcome in follow.follow(made[:1], cluster)} == {"ok"}
    assert len(cluster.submitted) == 6


def test_a_cancelled_job_is_not_submitted_again(made: list[Bundle]):
    cluster = Pretended(End("its job was cancelled", False))
    assert {outcome.status for outcome in follow.follow(made[:1], cluster)} == {"failed"}
    assert len(cluster.submitted) == 1


def test_a_run_that_was_done_before_its_job_could_say_so(
    made: list[Bundle], runs: list[Run], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Workspace, "done", lambda self, run: True)
    workspace.record(runs[0]).write("training.json", {"status": "diverged", "note": "at once"})
    one = replace(made[0], runs=(runs[0],))
    (outcome,) = follow.follow([one], Pretended(End("gone", False)))
    assert (outcome.status, outcome.note) == ("diverged", "at once")


def test_a_stopped_command_cancels_and_says_so(made: list[Bundle], monkeypatch: pytest.MonkeyPatch, capsys):
    from benchmarks.cli import status

    cluster = Pretended()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "ended", lambda jobs: {})
    monkeypatch.setattr(follow.time, "sleep", interrupt)
    assert status(lambda: len([*follow.follow(made, cluster)])) == 130
    assert cluster.cancelled == ["0", "1"]
    assert "The same command goes on from here. Cancelled." in capsys.readouterr().err


def test_jobs_of_a_killed_command_are_found(made: list[Bundle], runs: list[Run], workspace: Workspace, tmp_path: Path):
    """Those under way, with their runs that have not ended and are asked for."""
    folder = workspace.results / "jobs" / "earlier"
    (old,) = bundles(runs[:3], workspace, Resources(runs_a_job=3), folder)
    bundle.remember(folder, {"7_0": old})
    bundle.remember(folder, {"8": old})
    old.tell(Outcome(runs[0], "failed"))
    again = bundle.found(runs[:2], workspace, Resources(), {"7_0"})
    assert {job: one.runs for job, one in again.items()} == {"7_0": (runs[1],)}
    cluster = Pretended()
    cluster.submitted = [*again.values()]
    assert [outcome.run for outcome in follow.follow([], cluster, {"0": again["7_0"]})] == [runs[1]]


def test_who_takes_no_more_outcomes_cancels(made: list[Bundle]):
    cluster = Pretended()
    outcomes = follow.follow(made, cluster)
    next(outcomes)
    outcomes.close()
    assert cluster.cancelled


# In a job


def test_a_bundle_goes_on_with_what_was_not_told(made: list[Bundle], runs: list[Run], monkeypatch: pytest.MonkeyPatch):
    carried_out = []

    def pretended(runs: Sequence[Run], *_: object) -> list[Outcome]:
        carried_out.extend(runs)
        return [Outcome(run, "failed", "a note") for run in runs]

    monkeypatch.setattr(bundle, "local", pretended)
    made[0].tell(Outcome(runs[1], "ok"))
    made[0]()
    assert carried_out == [runs[0], runs[2]]
    assert {outcome.note for outcome in made[0].told(runs)} == {"", "a note"}
    made[0]()
    assert len(carried_out) == 2


def test_a_plugin_that_is_not_on_the_node(made: list[Bundle], runs: list[Run], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundle, "local", lambda runs, *_: [])
    there = replace(made[0].workspace, plugins=("/nowhere/own.py",))
    replace(made[0], workspace=there)()
    assert {outcome.note.partition(":")[0] for outcome in made[0].told(runs[:3])} == {
        "the plug-in own.py is not there on the node that was to carry out the run"
    }


def test_paths_are_absolute_in_a_job(workspace: Workspace):
    here = replace(workspace, results=Path("results"), data=Path("data"), inception=Path("w"))
    there = bundle.on_node(here, Resources(gpus=1))
    assert there.device == "cuda"
    assert all(path.is_absolute() for path in (there.results, there.data, there.inception))


def test_a_job_in_which_nothing_is_kept_is_not_requeued_for_ever(
    made: list[Bundle], runs: list[Run], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    class Helpers:
        DelayedSubmission = staticmethod(lambda task: task)

    monkeypatch.setattr(slurm, "needed", lambda *_: Helpers)
    task = slurm.Task(**vars(made[0]))
    for _ in range(slurm.FRUITLESS - 1):
        task = task.checkpoint()
    workspace.record(runs[0]).write("metrics.json", {})
    task = task.checkpoint()
    assert task.fruitless == 0, "something was kept"
    task.kept.update(task.keeps())
    for _ in range(slurm.FRUITLESS - 1):
        task = task.checkpoint()
        task.kept.update(task.keeps())
    assert task.checkpoint() is None
    assert all("nothing of it was kept" in outcome.note for outcome in task.told(runs[:3]))


# Slurm's answers


def answers(monkeypatch: pytest.MonkeyPatch, *given: dict[str, str] | None) -> queue.States:
    """States that get these answers, one a look."""
    left = list(given)
    monkeypatch.setattr(queue, "PACE", 0.0)
    monkeypatch.setattr(queue, "ask", lambda *_: left.pop(0))
    return queue.States()


def test_states_of_jobs(monkeypatch: pytest.MonkeyPatch):
    states = answers(monkeypatch, {"1_0": "RUNNING", "1_1": "TIMEOUT", "1_2": "CANCELLED", "1_3": "PREEMPTED"})
    ended = states.ended(["1_0", "1_1", "1_2", "1_3"])
    assert {job: again for job, (_, again) in ended.items()} == {"1_1": True, "1_2": False, "1_3": True}


def test_a_job_that_squeue_forgot(monkeypatch: pytest.MonkeyPatch):
    """sacct says, where there is one."""
    states = answers(monkeypatch, {}, None, {}, {}, {"7": "OUT_OF_MEMORY"})
    assert [states.ended(["7"]) for _ in range(3)] == [{}, {}, {}]
    assert states.ended(["7"]) == {"7": queue.OVER["OUT_OF_MEMORY"]}
    states = answers(monkeypatch, {}, {}, {}, None)
    assert [states.ended(["7"]) for _ in range(3)][-1] == {"7": queue.GONE}


def test_a_job_that_slurm_holds_back_is_withdrawn_and_tried_again(monkeypatch: pytest.MonkeyPatch):
    """It would wait for an administrator for ever; one that its user holds is waited for."""
    called: list[list[str]] = []
    monkeypatch.setattr(queue.subprocess, "run", lambda command, **_: called.append(command))
    states = answers(monkeypatch, {"1_1": "HELD", "1_2": "PENDING"})
    assert states.ended(["1_1", "1_2"]) == {"1_1": queue.OVER["HELD"]}
    assert called == [["scancel", "1_1"]]
    assert queue.OVER["HELD"][1]


def test_slurm_is_asked_now_and_then(monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    monkeypatch.setattr(queue, "ask", lambda *_: asked.append(1) or {"1": "RUNNING"})
    states = queue.States()
    for _ in range(5):
        states.ended(["1"])
    assert len(asked) == 1


def test_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert queue.ask("echo", "1_2|CANCELLED by 0") == {"1_2": "CANCELLED"}
    assert queue.ask("echo", "1_2|PENDING|launch failed requeued held") == {"1_2": "HELD"}
    assert queue.ask("echo", "1_2|PENDING|JobHeldUser") == {"1_2": "PENDING"}
    assert queue.ask("false") is None
    assert queue.ask("no-such-program-here") is None


def test_cancelling_says_what_it_did(monkeypatch: pytest.MonkeyPatch):
    called = []
    monkeypatch.setattr(queue.subprocess, "run", lambda command, **_: called.append(command))
    assert queue.cancelled(["12_0", "12_1", "9"]) == "Cancelled its jobs of Slurm (9 12)."
    assert called == [["scancel", "9", "12"]]
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert "`scancel 12`" in queue.cancelled(["12_0"])


def test_outcomes_are_plain_json(made: list[Bundle], runs: list[Run]):
    made[0].tell(Outcome(runs[0], "failed", "why", 1.5, True))
    content = json.loads(next(made[0].outcomes.glob("*.json")).read_text())
    assert content == {"status": "failed", "note": "why", "seconds": 1.5, "full": True}
