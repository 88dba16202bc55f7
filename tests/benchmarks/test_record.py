"""A run's folder: files that appear whole or not at all, and one process at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.common.files import sweep, write_atomically
from benchmarks.config import suite
from benchmarks.config.suite import Request
from benchmarks.runner import record as records
from benchmarks.runner.record import Record

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that runs this code."""
    line = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path):
    path = tmp_path / "new" / "figures.csv"
    for content in (b"first", b"second, and longer"):
        write_atomically(path, lambda file, content=content: file.write(content))
        assert path.read_bytes() == content
    assert names(path.parent) == ["figures.csv"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644, "others may read results"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_exception_while_writing_changes_nothing(error: BaseException, tmp_path: Path):
    path = tmp_path / "figures.csv"
    path.write_bytes(b"old")

    def fail(file) -> None:
        file.write(b"half of the n")
        file.flush()
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["figures.csv"]


CRASH = """
import os, signal, sys
from pathlib import Path
from benchmarks.common.files import write_atomically

def crash(file):
    file.write(b"half of the n")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

write_atomically(Path(sys.argv[1]), crash)
"""


@pytest.mark.long
def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path):
    """What is left beside it goes with the next sweep, and nothing else does."""
    path = tmp_path / "metrics.json"
    path.write_bytes(b"old")
    other = tmp_path / "history.csv"
    other.write_bytes(b"kept")
    with python(CRASH, path) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    sweep(tmp_path)
    assert names(tmp_path) == ["history.csv", "metrics.json"]


def test_done_means_these_figures_of_this_evaluation(tmp_path: Path):
    smoke = suite.read("smoke")
    run = suite.expand(smoke)[0]
    record = Record(tmp_path)
    assert not record.done(run, ["nll"])
    record.write("done", {"evaluation": run.evaluation, "metrics": ["nll", "skl"]})
    assert record.done(run, ["nll", "skl"])
    assert record.done(run, ["nll"]), "fewer figures are there as well"
    assert not record.done(run, ["nll", "reliability"])

    (other, *_) = suite.expand(smoke, Request(overrides=("protocol.images=7",)))
    assert other.name == run.name, "the same weights"
    assert not record.done(other, ["nll"])


def test_what_is_written_is_read_again(tmp_path: Path):
    record = Record(tmp_path)
    assert record.read("training.json") is None
    assert record.restore("checkpoint", "cpu") is None
    record.write("training.json", {"status": "ok", "value": 0.1, "note": "größer"})
    assert record.read("training.json") == {"status": "ok", "value": 0.1, "note": "größer"}
    record.save("checkpoint", {"weight": torch.tensor([0.1, 1e-30]), "epoch": 3, "best": float("inf")})
    state = record.restore("checkpoint", "cpu")
    assert torch.equal(state.pop("weight"), torch.tensor([0.1, 1e-30]))
    assert state == {"epoch": 3, "best": float("inf")}
    record.report(stage="training", epoch=1)
    assert record.reported() == {"stage": "training", "epoch": 1}
    record.remove("checkpoint", "never there")
    assert names(tmp_path) == ["status.json", "training.json"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the names of open files are asked of Linux")
def test_what_is_put_waits_for_the_disk_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing is fsynced file by file; all is, with what a killed process left, when `settle` is called or the run let
    go; and without a claim at once."""
    waited: list[Path] = []
    original = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (waited.append(Path(os.readlink(f"/proc/self/fd/{file}"))), original(file))
    )
    record = Record(tmp_path / "run")
    (record.folder / "values").mkdir(parents=True)
    left = record.folder / "values" / "left.safetensors"
    left.write_bytes(b"by a killed process")
    with record.claim():
        for n in range(5):
            record.write("metrics.json", {"n": n})
        assert waited == []
        record.settle(whole=True)
        assert {record.folder / "metrics.json", left} <= {*waited}
        waited.clear()
        record.write("done", {})
        assert waited == []
    assert waited == [record.folder / "done"]
    record.write("later.json", {})
    assert len(waited) == 2


def test_a_long_run_does_not_wait_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record = Record(tmp_path / "run")
    monkeypatch.setattr(records, "SETTLED", 0.0)
    asked: list[set[Path]] = []
    monkeypatch.setattr(records, "settle", lambda paths: asked.append({*paths}))
    with record.claim():
        record.write("training.json", {})
        assert asked == [{record.folder / "training.json"}]


def test_the_display_is_told_a_few_times_a_second(tmp_path: Path):
    """A new stage at once, more of the same one not before TOLD seconds."""
    record = Record(tmp_path / "run")
    with record.claim():
        for epoch in range(3):
            record.report(stage="training", epoch=epoch)
        assert record.reported() == {"stage": "training", "epoch": 0}
        record.report(stage="done")
        assert record.reported() == {"stage": "done"}
