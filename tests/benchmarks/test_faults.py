"""Faults of the world around a run: what the system ends, folders that vanish, impatience; and what a run last said."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_run import Bench, bench, end, forget_plugins, long_command, start, wait_for

from benchmarks.runner import log
from workbench import descendants, processes, write

__all__ = ["bench", "forget_plugins"]  # fixtures

FAULTY = '''
"""Priors that note every evaluation and then meet a fault, the first time or each time."""
import os, shutil, signal, sys
from pathlib import Path

from priors import register
from priors.gaussian import Gaussian

FOLDER = Path(r"{folder}")


def times(name):
    with open(FOLDER / f"{{name}}.txt", "a+") as file:
        file.write("x")
        file.seek(0)
        return len(file.read())


@register("killed-once")
class KilledOnce(Gaussian):
    """N(0, I)."""

    def fit(self, codes):
        if times("killed-once") == 1:
            os.kill(os.getpid(), signal.SIGKILL)


@register("killed")
class Killed(Gaussian):
    """N(0, I)."""

    def fit(self, codes):
        times("killed")
        os.kill(os.getpid(), signal.SIGTERM)


@register("crash")
class Crash(Gaussian):
    """N(0, I)."""

    def fit(self, codes):
        times("crash")
        print("the last word")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGSEGV)


@register("raises")
class Raises(Gaussian):
    """N(0, I)."""

    def fit(self, codes):
        times("raises")
        print("said before")
        raise ArithmeticError("of its own")


@register("vanishes")
class Vanishes(Gaussian):
    """N(0, I)."""

    def fit(self, codes):
        if times("vanishes") == 1:
            shutil.rmtree(FOLDER / "results")


@register("blocked")
class Blocked(Gaussian):
    """N(0, I)."""

    def fit(self, codes):
        shutil.rmtree(FOLDER / "results")
        (FOLDER / "results").touch()
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    return str(write(tmp_path / "faulty.py", FAULTY.format(folder=tmp_path)))


def times(folder: Path, method: str) -> int:
    """How often a method's run was carried out."""
    return len((folder / f"{method}.txt").read_text())


@pytest.mark.long
def test_what_the_system_ends_is_tried_again(bench: Bench, plugin: str, tmp_path: Path):
    """As often as was said, and nothing else is. Logs and tracebacks are kept, and the table tells."""
    methods = ("killed-once", "killed", "crash", "raises")
    answer = bench("--plugin", plugin, "--method", *methods, "--workers", "2", "--retries", "1", executor="local")
    assert answer.status == 1
    assert [times(tmp_path, method) for method in methods] == [2, 2, 1, 1]
    rows = bench.table().set_index("method")
    assert [set(rows.loc[[method], "status"]) for method in methods] == [{"ok"}, {"failed"}, {"failed"}, {"failed"}]
    assert rows.loc["killed", "note"] == "its process was ended by SIGTERM"
    (crash,), (raises,) = bench.runs("crash"), bench.runs("raises")
    told = (crash / "error.txt").read_text()
    assert "the last word" in told
    assert "Segmentation fault" in told
    assert "faulty.py" in told, "the line of Python in which it crashed"
    assert "ArithmeticError: of its own" in (raises / "error.txt").read_text()
    assert (raises / "log.txt").read_text() == "said before\n"
    assert not list(bench.results.glob("runs/*/*/log-*.txt"))
    assert not (bench.runs("killed-once")[0] / "log.txt").exists(), "it said nothing"


@pytest.mark.long
def test_a_folder_that_vanishes_is_made_anew(bench: Bench, plugin: str):
    answer = bench("--plugin", plugin, "--method", "vanishes", "gaussian")
    assert answer.status == 0, answer.out + answer.err
    assert set(bench.table().set_index("method").loc[["vanishes", "gaussian"], "status"]) == {"ok"}


@pytest.mark.long
def test_a_folder_that_cannot_be_written_is_one_sentence(bench: Bench, plugin: str):
    answer = bench("--plugin", plugin, "--method", "blocked")
    assert answer.status == 1
    (line,) = answer.err.splitlines()
    assert line.startswith("error: A file cannot be read or written: ")
    assert "Traceback" not in answer.out


def test_logs_of_processes_that_nobody_outlived_go(tmp_path: Path):
    for name in ("log-1.txt", f"log-{os.getpid()}.txt", "log.txt"):
        write(tmp_path / name, "x")
    log.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((f"log-{os.getpid()}.txt", "log.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGHUP,)], ids=["impatient", "hung up"])
def test_stopped_twice_or_hung_up(numbers: tuple[signal.Signals, ...], tmp_path: Path):
    """A sentence, no traceback, and nothing that is left running."""
    process = start(tmp_path, *long_command(tmp_path), output=subprocess.PIPE)
    try:
        wait_for(lambda: len(list(tmp_path.glob("results/runs/*/*/checkpoint"))) >= 2, "training")
        workers = descendants(process.pid)
        for number in numbers:
            os.kill(process.pid, number)
            time.sleep(0.05)
        out, err = process.communicate(timeout=60)
    finally:
        end(process)
    assert process.returncode == 128 + numbers[0]
    assert "Traceback" not in out + err
    assert "Stopped." in err
    wait_for(lambda: not workers & processes().keys(), "the workers' end", 10)
