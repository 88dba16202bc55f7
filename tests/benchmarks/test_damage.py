"""What is damaged in a record is named, put aside and made anew: never a traceback, and never other figures."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_run import Bench, forget_plugins

from benchmarks.runner import stages
from benchmarks.runner.record import Damaged, Record
from workbench import TINY

pytestmark = pytest.mark.long

__all__ = ["forget_plugins"]  # a fixture

SUITE = TINY.replace('["onehot"]', '["digits"]').replace("epochs = 2", "epochs = 1\nbatch_size = 400")
SUITE = SUITE.replace('["nll"]', '["nll", "reliability", "active_units"]')


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that have ended, with the table of them."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(SUITE)
    from benchmarks.run import main

    where = ["--suite", str(folder / "tiny.toml"), "--results", str(folder / "results")]
    assert main([*where, "--executor", "serial"]) == 0
    return folder


@pytest.fixture
def bench(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """A copy of them, with the files' times."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path, capsys, SUITE)


def cut(path: Path, randomly: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: randomly.randrange(path.stat().st_size)])


def flip(path: Path, randomly: random.Random) -> None:
    """One bit."""
    content = bytearray(path.read_bytes())
    content[randomly.randrange(len(content))] ^= 1 << randomly.randrange(8)
    path.write_bytes(content)


def overwrite(path: Path, randomly: random.Random) -> None:
    path.write_bytes(randomly.randbytes(randomly.choice([0, 1, 20, 3000])))


def lose(path: Path, randomly: random.Random) -> None:
    path.unlink()


def become_a_folder(path: Path, randomly: random.Random) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def other_json(path: Path, randomly: random.Random) -> None:
    path.write_text(json.dumps(randomly.choice([None, [], {}, 3, "text", {"status": "ok"}, {"metrics": []}])))


def swap(path: Path, randomly: random.Random) -> None:
    """For the file of that name of the other run."""
    name = path.relative_to(path.parents[1] if path.parent.name == "values" else path.parent)
    mine = path.parents[len(name.parts) - 1]
    (other,) = (folder for folder in mine.parent.iterdir() if folder != mine)
    shutil.copy(other / name, path)


WAYS = (cut, flip, overwrite, lose, become_a_folder, other_json, swap)


def files(bench: Bench) -> list[Path]:
    """All of the records' files but those that are of no use after a run."""
    idle = (".lock", "status.json")
    runs = bench.results / "runs" / "tiny"
    return sorted(path for path in runs.rglob("*") if path.is_file() and path.name not in idle)


def ask_again(bench: Bench) -> str:
    answer = bench()
    assert "Traceback" not in answer.out + answer.err
    assert answer.status == 0, answer.out + answer.err
    return answer.out


def test_whatever_happens_to_a_file_is_noticed(bench: Bench):
    """Every file, in every way: named in a line, made anew, and the table has the same bytes."""
    before, randomly = bench.csv(), random.Random(0)
    names = [path.relative_to(bench.results) for path in files(bench)]
    assert {path.name for path in names} >= {"done", "made.json", "weights.safetensors", "nll.safetensors"}
    for name in names:
        way = randomly.choice(WAYS)
        path = bench.results / name
        content = path.read_bytes()
        way(path, randomly)
        same = path.is_file() and path.read_bytes() == content
        out = ask_again(bench)
        assert same or (name.name == "done" and way is lose) or f"{name.name} " in out, (name, way, out)
        assert bench.csv() == before, (name, way)
        assert path.is_file()
        assert "2 already done" in ask_again(bench), (name, way)


def test_what_was_damaged_is_kept_aside(bench: Bench):
    (path,) = bench.results.glob("runs/tiny/*-gaussian-*/metrics.json")
    path.write_text("mine")
    out = ask_again(bench)
    assert "metrics.json is not as it was written: put aside, made anew" in out
    assert (path.parent / "damaged" / "metrics.json").read_text() == "mine"


def test_a_damaged_weight_of_the_same_size_and_time_is_noticed_when_it_is_read(bench: Bench):
    """By plots, say; it is then put aside, so that the next run of the suite makes it anew."""
    (path,) = bench.results.glob("runs/tiny/*-gaussian-*/weights.safetensors")
    before, now = bench.csv(), path.stat()
    flip(path, random.Random(1))
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns))
    assert "2 already done" in ask_again(bench)
    from benchmarks.plots.__main__ import main

    answer = bench.ask(main, *bench.about("tiny.toml"), "--figure", "samples")
    assert answer.status == 2
    assert "weights.safetensors" in answer.err
    assert "Traceback" not in answer.out + answer.err
    assert "1 already done" in ask_again(bench)
    assert bench.csv() == before


@pytest.mark.parametrize("harm", [cut, flip, overwrite], ids=lambda one: one.__name__)
def test_a_damaged_checkpoint_is_none(harm: Callable[..., None], bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Training starts from scratch, and ends where it would have."""
    before = bench.csv()
    shutil.rmtree(bench.results)
    monkeypatch.setattr(stages, "keep", stop)
    assert bench().status == 1
    monkeypatch.undo()
    paths = list(bench.results.glob("runs/tiny/*/checkpoint"))
    assert len(paths) == 2
    for path in paths:
        harm(path, random.Random(0))
    ask_again(bench)
    assert bench.csv() == before


def stop(*arguments: object) -> None:
    raise RuntimeError("stopped before the weights are kept")


def test_a_figure_that_is_no_number_is_trouble(bench: Bench):
    """The exit status says so, though the run has ended."""
    (path,) = bench.results.glob("runs/tiny/*-gaussian-*/metrics.json")
    record = Record(path.parent)
    content = record.read("metrics.json")
    content["metrics"]["nll"]["figures"][0]["value"] = float("nan")
    record.write("metrics.json", content)
    assert bench().status == 1


def test_reading_what_another_run_wrote(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Record(tmp_path / name).write("training.json", {"status": "ok"})
    shutil.copy(tmp_path / "a" / "training.json", tmp_path / "b" / "training.json")
    assert Record(tmp_path / "a").read("training.json") == {"status": "ok"}
    with pytest.raises(Damaged, match="not as it was written"):
        Record(tmp_path / "b").read("training.json")
