"""One bad run harms nobody: whatever it does to its process, the others of its suite are done, and the table tells."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from test_run import Bench, end, finish, forget_plugins, start, wait_for

from benchmarks.run import main
from workbench import TINY, descendants, processes, write

pytestmark = pytest.mark.long

BAD = '''
"""Priors that do something to their process, each in its own way."""
import os
import signal
import sys
import time

import torch

from priors import register
from priors.gaussian import Gaussian


def bad(name):
    def keep(act):
        def __init__(self, host):
            Gaussian.__init__(self, host)

        def log_prob(self, z):
            act()
            return Gaussian.log_prob(self, z)

        register(name)(type(name, (Gaussian,), {"__init__": __init__, "log_prob": log_prob, "__module__": __name__}))
        return act

    return keep


@bad("exit3")
def exit3():
    os._exit(3)


@bad("exit0")
def exit0():
    os._exit(0)


@bad("sysexit")
def sysexit():
    sys.exit(0)


@bad("interrupt")
def interrupt():
    raise KeyboardInterrupt


@bad("wordless")
def wordless():
    raise RuntimeError


@bad("base")
def base():
    raise BaseException("of no kind")


@bad("killed")
def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@bad("segfault")
def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


@bad("parent")
def parent():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(5)


@bad("forks")
def forks():
    """Leaves a process that sleeps and holds whatever is open, then dies."""
    if os.fork() == 0:
        time.sleep(300)
        os._exit(0)
    os._exit(4)


@bad("deserts")
def deserts():
    """Leaves a process behind, and nobody who could end it."""
    if os.fork() == 0:
        time.sleep(300)
        os._exit(0)
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(5)


@bad("twins")
def twins():
    """From the first step on two processes carry out the run."""
    if "twin" not in os.environ:
        os.environ["twin"] = "1"
        os.fork()


@bad("hangs")
def hangs():
    while True:
        time.sleep(1)


@bad("leaks")
def leaks():
    os.chdir("/")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
'''

EXPECTED = {  # words of the table's note, in the order in which the methods run: first those that end all under way
    "parent": "its process was killed",
    "deserts": "its process was killed",
    "exit3": "exit status 3",
    "exit0": "exit status 0, before the run did",
    "sysexit": "SystemExit: 0",
    "interrupt": "KeyboardInterrupt",
    "wordless": "RuntimeError",
    "base": "BaseException: of no kind",
    "killed": "its process was killed",
    "segfault": "SIGSEGV",
    "forks": "exit status 4",
}

SOME = "forks", "exit0", "wordless"
"""One that leaves a process, one without a word, and one in Python: each that ends the nursery costs seconds."""

__all__ = ["forget_plugins"]  # a fixture


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    write(tmp_path / "tiny.toml", TINY)
    return str(write(tmp_path / "bad.py", BAD))


def command(plugin: str, *arguments: str) -> tuple[str, ...]:
    return ("--suite", "tiny.toml", "--plugin", plugin, "--workers", "2", *arguments)


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / "tiny.csv", keep_default_na=False)


@pytest.mark.parametrize("bad", [SOME, pytest.param(tuple(EXPECTED), marks=pytest.mark.slow)], ids=["some", "all"])
def test_bad_runs_cost_themselves_only(bad: tuple[str, ...], plugin: str, tmp_path: Path, capsys):
    """Ways to end at once, beside runs that are fine; the next call tries the bad ones again."""
    answer = finish(tmp_path, *command(plugin, "--method", *bad, "leaks", "twins", "gaussian", "vampprior"))
    assert answer.status == 1, answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
    rows = table(tmp_path)
    for method in bad:
        words = EXPECTED[method]
        (note,) = rows[rows["method"] == method]["note"]
        assert words in note, (method, note)
        (folder,) = (tmp_path / "results" / "runs" / "tiny").glob(f"*-{method}-s*")
        assert words in (folder / "error.txt").read_text()
    for method in ("twins", "gaussian", "vampprior"):
        assert set(rows[rows["method"] == method]["status"]) == {"ok"}
    own, twin = (rows[rows["method"] == name].reset_index(drop=True) for name in ("gaussian", "twins"))
    assert own["mean"].equals(twin["mean"]), "a second process of a run changes nothing"
    assert not [pid for pid in processes() if folder_of(pid) == tmp_path], "what a run leaves running ends with it"

    bench = Bench(tmp_path, capsys)
    again = bench("--plugin", plugin, "--method", "wordless", "gaussian", "vampprior", "twins", "--limit", "1")
    assert again.status == 1
    assert "3 already done" in again.out
    assert "failed wordless" in again.out


def folder_of(pid: int) -> Path | None:
    """Where a process runs."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True)
    except OSError:
        return None


@pytest.fixture
def hanging(plugin: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a suite of a run that hangs, and waits until it does; what is left of it ends with the test."""
    started = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        started.append(start(tmp_path, *command(plugin, "--method", "hangs", *arguments)))
        wait_for(lambda: list(tmp_path.glob("results/runs/tiny/*-hangs-*/status.json")), "the run's start")
        return started[-1]

    yield begin
    for process in started:
        end(process)
        process.stdout.close()
        process.stderr.close()


@pytest.mark.slow
def test_a_run_may_take_so_long(hanging: Callable[..., subprocess.Popen[str]], tmp_path: Path):
    """And as long as it takes, the nursery is safe to fork: of the processes that the command starts, the one that has
    children of its own has one thread."""
    process = hanging("gaussian", "--minutes-a-run", "0.05")
    parents = {parent for parent, _ in processes().values()} & descendants(process.pid)
    assert [len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in parents] == [1]
    process.communicate(timeout=300)
    assert process.returncode == 1
    rows = table(tmp_path).set_index("method")
    assert rows.loc["hangs", "note"] == "not done after 0.05 minutes, the longest that a run may take"
    assert set(rows.loc["gaussian", "status"]) == {"ok"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of the runs that are fine."""
    folder = tmp_path_factory.mktemp("alone")
    where = ["--suite", str(write(folder / "tiny.toml", TINY)), "--results", str(folder / "results")]
    assert main([*where, "--device", "cpu", "--executor", "serial"]) == 0
    return table(folder)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "local"])
def test_nothing_leaks_into_the_next_run(executor: str, plugin: str, tmp_path: Path, alone: pd.DataFrame):
    """A changed folder or default type is of the run that changed it; one worker, so that runs follow each other."""
    arguments = ("--suite", "tiny.toml", "--executor", executor, "--workers", "1", "--plugin", plugin)
    answer = finish(tmp_path, *arguments, "--method", "leaks", "gaussian", "vampprior")
    assert answer.status in (0, 1), answer.err
    assert not Path("/results").exists()
    rows = table(tmp_path)
    rows = rows[rows["method"].isin(alone["method"])].reset_index(drop=True)
    assert rows["mean"].equals(alone["mean"])


@pytest.mark.parametrize("method", ["sysexit", "wordless", "base"])
def test_the_serial_executor_goes_on_as_well(method: str, plugin: str, tmp_path: Path, capsys):
    bench = Bench(tmp_path, capsys)
    answer = bench("--plugin", plugin, "--method", method, "gaussian")
    assert answer.status == 1
    rows = bench.table().set_index("method")
    assert EXPECTED[method] in rows.loc[method, "note"]
    assert set(rows.loc["gaussian", "status"]) == {"ok"}


@pytest.mark.slow
def test_a_killed_command_leaves_nothing_running(hanging: Callable[..., subprocess.Popen[str]]):
    """Neither its nursery nor the runs under way."""
    process = hanging()
    time.sleep(0.5)
    others = descendants(process.pid)
    assert len(others) >= 2
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not others & processes().keys(), "the run's end", 10)
