"""One process at a time carries out a run, of all that share a folder, and a dead one is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.config import suite
from benchmarks.runner import campaign, lease
from benchmarks.runner.execute import execute
from benchmarks.runner.executors import EXECUTORS
from benchmarks.runner.executors.resources import ONE
from benchmarks.runner.lease import Held, Holder, Lost, find, holder, take
from benchmarks.runner.record import Record
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import ledger
from workbench import TINY, write

ROOT = Path(__file__).parents[2]

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux when a process began")

HOLD = """
import sys
from pathlib import Path
from benchmarks.runner import lease
from benchmarks.runner.record import Record

lease.RENEW, lease.LEASE = 0.1, float(sys.argv[2])
with Record(Path(sys.argv[1])).claim():
    print("held", flush=True)
    for line in sys.stdin:
        Record(Path(sys.argv[1])).write("config.json", {"by": "the holder"})
        print("written", flush=True)
"""


@contextmanager
def another(folder: Path, seconds: float = 90.0) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run, and writes with every line that it is sent."""
    line = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    with subprocess.Popen(line, cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def left_behind(folder: Path, **changes: object) -> Path:
    """A lease as this process would have it, with these changes, and nobody who renews it."""
    mine = Holder("node7", lease.place(), os.getpid(), lease.describe(os.getpid())[1], lease.today(), "former")
    text = json.dumps({**mine.__dict__, **changes})
    return write(folder / lease.FILE, text)


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_held_run_is_told_at_once(tmp_path: Path):
    record = Record(tmp_path / "run")
    assert record.holder() is None
    with record.claim():
        assert f"process {os.getpid()} on " in record.holder()
        with pytest.raises(Held, match=f"held by process {os.getpid()} on "), record.claim():
            pytest.fail("two hold the same run")
    assert record.holder() is None
    assert not (record.folder / lease.FILE).exists()


@pytest.mark.long
def test_a_dead_holder_is_taken_over_at_once(tmp_path: Path):
    """Even where nobody has asked for its end yet, so that its number is still taken."""
    record = Record(tmp_path / "run")
    with another(record.folder) as process:
        with pytest.raises(Held, match=f"process {process.pid}"), record.claim():
            pytest.fail("two hold the same run")
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with record.claim():
            pass


@LINUX
def test_a_later_process_of_the_same_number_holds_nothing(tmp_path: Path):
    left_behind(tmp_path)
    assert holder(tmp_path) is not None, "this one"
    left_behind(tmp_path, started="1")
    assert holder(tmp_path) is None
    take(tmp_path).release()


def test_another_machine_has_as_long_as_a_lease_says(tmp_path: Path):
    """By the disk's clock; and so has one whose lease cannot be read."""
    for text in (left_behind(tmp_path, place="another").read_text(), "{"):
        path = write(tmp_path / lease.FILE, text)
        age(path, lease.LEASE - 5)
        with pytest.raises(Held):
            take(tmp_path)
        age(path, lease.LEASE + 5)
        take(tmp_path).release()


@pytest.mark.long
def test_a_holder_that_was_stopped_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease, "LEASE", 0.5)
    record = Record(tmp_path / "run")
    with another(record.folder, 0.5) as process:
        process.stdin.write("write\n")
        process.stdin.flush()
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGSTOP)
        wait_for(lambda: record.holder() is None)
        with record.claim():
            record.write("config.json", {"by": "the next"})
            os.kill(process.pid, signal.SIGCONT)
            process.stdin.write("write\n")
            process.stdin.close()
            assert "Lost" in process.stderr.read()
            assert record.read("config.json") == {"by": "the next"}
            assert not record.lost(), "its renewals went nowhere"


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("guarded", [True, False])
def test_one_of_many_takes_a_dead_lease_over(guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With the file system's locks and without."""
    if not guarded:
        monkeypatch.setattr(lease, "one_at_a_time", lambda path: nullcontext())
    for n in range(5):
        folder = tmp_path / str(n)
        left_behind(folder, place="another")
        age(folder / lease.FILE, 1000)
        start, taken = threading.Barrier(8), []

        def come(folder: Path = folder, start: threading.Barrier = start, taken: list = taken) -> None:
            start.wait()
            with suppress(Held):
                taken.append(take(folder))

        threads = [threading.Thread(target=come) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        owners = [one for one in taken if one.own()]
        assert len(owners) == 1, "who has the lease"
        if guarded:
            assert len(taken) == 1
        for one in taken:
            one.release()
        assert sorted(path.name for path in folder.iterdir()) in ([lease.GUARD], [])


def test_a_lease_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease, "RENEW", 0.02)
    held = take(tmp_path)
    age(tmp_path / lease.FILE, 1000)
    wait_for(lambda: time.time() - find(tmp_path / lease.FILE).renewed < 100)
    assert find(tmp_path / lease.FILE).holder == replace(
        held.holder, renewed=find(tmp_path / lease.FILE).holder.renewed
    )
    held.release()


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    held = take(tmp_path)
    assert held.own()
    with pytest.raises(Held, match=f"process {os.getpid()}"):
        take(tmp_path)
    held.release()
    assert [path.name for path in tmp_path.iterdir()] == [lease.GUARD]


def late(record: Record) -> None:
    """What a holder does that was taken over."""
    with record.claim():
        record.write("config.json", {})
        left_behind(record.folder)
        for change in (
            lambda: record.write("config.json", {"late": True}),
            lambda: record.remove("config.json"),
            lambda: record.put_aside("config.json"),
        ):
            with pytest.raises(Lost):
                change()
        assert record.read("config.json") == {}
        raise FileNotFoundError("what the next one has swept away")


def test_nothing_is_put_or_taken_away_after_a_lease_was_lost(tmp_path: Path):
    with pytest.raises(Lost):
        late(Record(tmp_path / "run"))
    assert find(tmp_path / "run" / lease.FILE).token == "former", "another's is left to it"


# Runs


@pytest.fixture
def work(tmp_path: Path) -> tuple[list, Workspace]:
    chosen = suite.read(str(write(tmp_path / "tiny.toml", TINY)))
    return suite.expand(chosen), Workspace(tmp_path / "results", tmp_path)


def test_a_run_that_is_taken_over_ends_quietly(work, monkeypatch: pytest.MonkeyPatch):
    """No failure, and nothing that says so."""
    (run, *_), where = work
    record = where.record(run)
    original = Record.save

    def taken_over(self, *arguments) -> None:
        left_behind(record.folder)
        original(self, *arguments)

    monkeypatch.setattr(Record, "write", lambda self, name, content: taken_over(self, name, content))
    assert execute(run, where).status == "elsewhere"
    assert not (record.folder / "error.txt").exists()


@pytest.mark.long
@pytest.mark.parametrize("left", ["done", "failed", "unfinished"])
def test_a_run_elsewhere_is_come_back_to(left: str, work, monkeypatch: pytest.MonkeyPatch):
    """When the others are through: it is told as the other command has left it, or carried out here."""
    runs, where = work
    first, second = runs
    record, told = where.record(first), []
    record.folder.mkdir(parents=True)
    path = left_behind(record.folder, place="another")

    def leave(seconds: float) -> None:
        """What the other does while this one waits."""
        path.unlink(missing_ok=True)
        if left == "done":
            execute(first, where)
        elif left == "failed":
            record.fail("of the other's own")

    monkeypatch.setattr(campaign.time, "sleep", leave)
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        outcomes = campaign.carry_out(runs, where, console, "serial", ONE, lambda one: told.append(one.run))
    assert told == [second, first]
    expected = {"done": ("ok", "by another command"), "failed": ("failed", "of the other's own; by another command")}
    assert (outcomes[1].status, outcomes[1].note) == expected.get(left, ("ok", ""))
    assert "elsewhere" not in {one.status for one in outcomes}


SHARED = '''
"""A standard normal that notes every training, and takes its time."""
import os, time
from pathlib import Path

from priors import register
from priors.gaussian import Gaussian


@register("noting")
class Noting(Gaussian):
    """N(0, I)."""

    def fit(self, codes):
        time.sleep(0.2)
        with open(r"{trace}", "a") as file:
            file.write(f"{{os.getpid()}}\\n")
'''


@pytest.mark.slow
def test_several_commands_share_a_folder(tmp_path: Path):
    """Three at once: no run is carried out twice, all say that they are through, and the table is as of one."""
    names = ("a", "b", "alone")
    text = TINY.replace('"gaussian", "vampprior"', '"noting"').replace("seeds = 1", "seeds = 12")
    write(tmp_path / "tiny.toml", text)
    tables = []
    for name, several in (("alone", 1), ("shared", 3)):
        folder = tmp_path / name
        write(folder / "noting.py", SHARED.format(trace=tmp_path / f"{name}.txt"))
        line = [sys.executable, "-m", "benchmarks.run", "--suite", str(tmp_path / "tiny.toml"), "--stack", "off"]
        line += ["--results", str(folder), "--plugin", str(folder / "noting.py"), "--workers", "1", "--device", "cpu"]
        commands = [subprocess.Popen(line, cwd=ROOT, stdout=-1, stderr=-1, text=True) for _ in range(several)]
        for command in commands:
            out, err = command.communicate(timeout=300)
            assert command.returncode == 0, out + err
        made = (tmp_path / f"{name}.txt").read_text().split()
        assert len(made) == 12, "each run once"
        assert len(ledger.read(folder / "tiny")) == 12
        tables.append((folder / "tiny.csv").read_bytes())
    assert tables[0] == tables[1], names


def test_executors_tell_of_a_held_run(work):
    (run, *_), where = work
    with where.record(run).claim():
        (outcome,) = EXECUTORS["serial"]([run], where, ONE)
    assert outcome.status == "elsewhere"
    assert f"process {os.getpid()}" in outcome.note
