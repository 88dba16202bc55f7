"""What made a number, told from a run's folder, and whether results are as they were written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable

import pytest
from test_run import Bench, forget_plugins

from benchmarks.run import main
from benchmarks.runner.record import Record
from workbench import TINY

pytestmark = pytest.mark.long

__all__ = ["forget_plugins"]  # a fixture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A suite's results."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")
    where = ["--suite", str(folder / "tiny.toml"), "--results", str(folder / "results"), "--device", "cpu"]
    assert main([*where, "--executor", "serial"]) == 0
    return folder / "results"


@pytest.fixture
def bench(made, tmp_path, capsys) -> Bench:
    bench = Bench(tmp_path, capsys)
    shutil.copytree(made, bench.results)
    return bench


def verify(bench: Bench, *arguments: str):
    return bench.main(
        "verify", "--results", str(bench.results), *(arguments or ("--suite", f"{bench.folder}/tiny.toml"))
    )


def test_results_as_they_were_written_are_fine(bench: Bench):
    answer = verify(bench)
    assert (answer.status, answer.out) == (0, "tiny: 2 runs, fine\n")
    answer = verify(bench, "--suite", "tiny")
    assert answer.status == 0
    assert "its table was not looked at: give the suite's file with --suite" in answer.out
    shutil.rmtree(bench.results / "runs")
    assert verify(bench).out == "tiny: 0 runs, fine\n", "numbers from the ledger"


def edit(name: str, old: str, new: str) -> Callable[[Bench], None]:
    def do(bench: Bench) -> None:
        path = bench.results / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return do


def flip(pattern: str) -> Callable[[Bench], None]:
    """Another byte of the same length and time: only who reads it finds it."""

    def do(bench: Bench) -> None:
        (path, *_) = sorted(bench.results.glob(f"runs/tiny/*-gaussian-*/{pattern}"))
        content, time = bytearray(path.read_bytes()), path.stat().st_mtime_ns
        content[-1] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(time, time))

    return do


def rename(bench: Bench) -> None:
    (run,) = bench.runs("gaussian")
    folder = run.with_name(run.name[:-1] + ("0" if run.name[-1] != "0" else "1"))
    run.rename(folder)
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        content.pop("seal", None)
        Record(folder).write(path.name, content)
    content = json.loads((folder / "done").read_text())
    content.pop("seal")
    content["files"] = Record(folder).vouch("config.json", "env.json")
    Record(folder).write("done", content)


FAULTS = {
    "weights": (flip("weights.safetensors"), "weights.safetensors is not as it was written"),
    "values": (flip("values/*.safetensors"), "values/nll.safetensors is not as it was written"),
    "metrics": (flip("metrics.json"), "metrics.json is not as it was written"),
    "name": (rename, "its settings are those of onehot-gaussian-s0-"),
    "table": (edit("tiny.csv", ",ok,", ",failed,"), "status is 'failed', and the records give 'ok'"),
    "row": (lambda bench: edit("tiny.csv", bench.csv().decode().splitlines()[1] + "\n", "")(bench), "row is missing"),
    "ledger": (edit("tiny.runs.json", '"ok"', '"diverged"'), "its training in the ledger is not what its record has"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_line(fault: str, bench: Bench):
    spoil, words = FAULTS[fault]
    spoil(bench)
    answer = verify(bench)
    assert answer.status == 1
    assert words in answer.out, answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err


def test_nothing_to_verify(tmp_path, capsys):
    bench = Bench(tmp_path, capsys)
    answer = verify(bench)
    assert answer.status == 2
    answer = bench.main("verify", "--results", str(tmp_path))
    assert (answer.status, answer.err.count("\n")) == (2, 1)


def test_a_run_tells_what_made_its_numbers(bench: Bench):
    (run,) = bench.runs("vampprior")
    by_folder = bench.main("show", str(run), "--results", str(bench.results))
    by_name = bench.main("show", run.name, "--results", str(bench.results))
    assert by_folder.status == by_name.status == 0
    assert by_folder.out == by_name.out
    record = Record(run)
    metrics = record.read("metrics.json")
    (estimate, *_) = metrics["metrics"]["nll"]["figures"]
    for words in (
        *(repr(estimate["value"]), metrics["hash"], "[values/nll.safetensors]"),
        *("components", record.read("made.json")["data"], record.read("made.json")["by"][0]["sources"]),
        *("threads", "device", "packages.torch", "turns", "training_time", "weights.safetensors", "ended"),
        record.read("training.json")["files"]["weights.safetensors"][2],
    ):
        assert words in by_folder.out, words


def test_a_run_that_is_not_there(bench: Bench):
    (run,) = bench.runs("vampprior")
    answer = bench.main("show", run.name[:-1], "--results", str(bench.results))
    assert answer.status == 2
    assert f"Did you mean '{run.name}'?" in answer.err
    for arguments in ((), (run.name, "--suite", "tiny")):
        answer = bench.main("show", *arguments, "--results", str(bench.results))
        assert answer.status == 2
        assert "name a table with --suite, or one run" in answer.err


def test_a_tables_runs_tell_how_turns_were_computed(bench: Bench):
    answer = bench.main("show", "--suite", "tiny", "--results", str(bench.results))
    assert "turns as written" in answer.out
