"""The measurement of evaluations charges the products that are made, and a job's own memory. No test measures time."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import jobs
from benchmarks.speed.evaluation import Settings, main
from benchmarks.speed.jobs import JOBS, Work, cost, floors

QUICK = Settings(quick=True)


def flop_of_product(_: object, a: torch.Size, b: torch.Size, **more: object) -> int:
    return 2 * a[0] * a[1] * b[1]


@pytest.mark.long
@pytest.mark.parametrize("name", JOBS)
def test_charged_operations_are_those_that_torch_counts(name):
    """But for the decompositions, (9 + 4/3) F^3 by convention, which torch does not count: F = 2048 / 20."""
    job = JOBS[name](QUICK)
    in_place = {torch.ops.aten.addmm_: flop_of_product}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter, torch.no_grad():
        job.call()
    convention = (9 + 4 / 3) * 103**3 if name == "frechet" else 0
    assert counter.get_total_flops() + convention == pytest.approx(sum(one.flop for one in job.work), rel=1e-12)


def test_full_sizes_are_those_of_the_figures():
    """Operations by hand: 40-300-300-784 for 1000 x 5000 codes, then two products with 500 components a code."""
    decoder = 2 * 1000 * 5000 * (40 * 300 + 300 * 300 + 300 * 784)
    charged = {"nll-gaussian": decoder, "nll-vampprior": decoder + 2 * 2 * 1000 * 5000 * 40 * 500}
    for name, flop in charged.items():
        assert sum(one.flop for one in JOBS[name](Settings()).work) == flop


def test_operations_take_the_pace_of_their_shape_and_precision(monkeypatch):
    pace = {("a", torch.float32): 1.0, ("b", torch.float32): 10.0, ("b", torch.float64): 100.0}
    monkeypatch.setattr(jobs, "seconds_a_flop", lambda shape, dtype: pace[shape, dtype])
    work = [Work(2, "a"), Work(3, "b", torch.float64), Work(5, "a")]
    assert floors(work) == (2 + 30 + 5, 2 + 300 + 5)


def of_large_arrays() -> float:
    """Three arrays of 48 MiB, at most two of them at a time, beside 96 MiB that were there before."""
    there = torch.ones(96 * 2**18)

    def call():
        one = torch.ones(48 * 2**18)
        other = one + there[: len(one)]
        del one
        return other + 1

    return cost(call)[1]


def of_small_arrays() -> float:
    """500 arrays, 48 MiB in all, where the same were before: what lies above keeps the space with the process."""
    before = [torch.ones(25_000) for _ in range(500)]
    above = torch.ones(25_000)
    del before
    memory = cost(lambda: [torch.ones(25_000) for _ in range(500)])[1]
    del above
    return memory


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux starts a process's peak anew")
@pytest.mark.parametrize(("measured", "expected"), [(of_large_arrays, 96), (of_small_arrays, 48)])
def test_memory_is_what_the_call_had_at_once_beyond_what_was_there(measured, expected):
    """In a fresh process, as every job is measured: what other tests left in this one is no matter."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(measured).result() == pytest.approx(expected, abs=8)


@pytest.mark.long
def test_a_row_a_job(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluation", "--quick", "--jobs", "neighbours"])
    assert main() == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("neighbours"))
    assert "500 x 500 points, 784 dimensions" in row
    assert row.split()[-4] == "0.4"  # 2 x 500 x 500 x 784 operations


@pytest.mark.long
def test_missing_data_is_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["evaluation", "--quick", "--jobs", "neighbours", "--data", str(tmp_path)])
    assert main() == 2
    assert capsys.readouterr().err.startswith("error: Data set 'mnist' needs")
