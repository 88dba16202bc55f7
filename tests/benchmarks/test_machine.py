"""Which devices runs go to, what a worker sets, what is recorded of the machine: as far as it goes without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.common.errors import UsageError
from benchmarks.common.settings import digest
from benchmarks.config.settings import protocol_of
from benchmarks.config.suite import Request, expand, read
from benchmarks.datasets import load
from benchmarks.runner import machine

CARDS = 2


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cards and eight cores."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: CARDS)
    monkeypatch.setattr(machine, "cores", lambda: 8)


@pytest.fixture
def as_before() -> Iterator[None]:
    """A worker's settings are its process's, and this one goes on."""
    threads, precision, cudnn = torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.cudnn
    kept, variables = (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32), dict(os.environ)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision(precision)
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = kept
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    os.environ.clear()
    os.environ.update(variables)


# Devices


def test_workers_are_dealt_out_over_all_cards(cards: None):
    assert [machine.device_of("cuda", worker) for worker in range(5)] == [
        "cuda:0",
        "cuda:1",
        "cuda:0",
        "cuda:1",
        "cuda:0",
    ]
    assert {machine.device_of("cuda:1", worker) for worker in range(5)} == {"cuda:1"}
    assert {machine.device_of("cpu", worker) for worker in range(5)} == {"cpu"}


def test_several_workers_a_card_and_one_a_core(cards: None, monkeypatch: pytest.MonkeyPatch):
    assert machine.default_workers("cuda") == CARDS * machine.WORKERS_A_GPU
    assert machine.default_workers("cuda:1") == machine.WORKERS_A_GPU
    assert machine.default_workers("cpu") == 8
    monkeypatch.setattr(machine, "cores", lambda: 3)
    assert machine.default_workers("cuda") == 3


def test_auto_takes_the_cards_where_they_work(cards: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "probed", lambda name: "")
    assert machine.device("auto") == "cuda"
    monkeypatch.setattr(machine, "probed", lambda name: "the driver is too old")
    assert machine.device("auto") == "cpu"
    with pytest.raises(UsageError, match="--device cuda cannot be used here: the driver is too old"):
        machine.device("cuda")


def test_a_card_that_is_not_there_is_refused(cards: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "probed", lambda name: pytest.fail("asked"))
    with pytest.raises(UsageError, match=r"--device cuda:2 cannot be used here: .* sees 2 GPUs"):
        machine.device("cuda:2")


@pytest.mark.long
def test_a_card_is_tried_in_a_process_of_its_own():
    """It says in one line what is wrong; this process has touched nothing."""
    machine.probed.cache_clear()
    assert "abacus" in machine.probed("abacus")
    assert machine.probed("cpu") == ""
    assert not torch.cuda.is_initialized()


def test_a_command_starts_no_cuda(tmp_path: Path):
    """Neither the check of the data nor the rehearsal of every method, in a workspace whose device is the GPU."""
    from benchmarks.runner.campaign import check_data
    from benchmarks.runner.workspace import Workspace

    (run,) = expand(read("smoke"), Request(datasets=("digits",), methods=("vampprior",), seeds=(0,)))
    present, problems = check_data([run], Workspace(tmp_path, tmp_path, "cuda"), skip=False)  # it would raise
    assert (present, problems) == ([run], [])


# What a worker sets


def test_a_worker_on_a_cpu_has_one_thread_and_full_precision(cards: None, as_before: None):
    machine.prepare_worker("cpu", 4)
    assert torch.get_num_threads() == 1
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.are_deterministic_algorithms_enabled()  # on a CPU they are the same each time anyway


def test_workers_on_cards_share_the_cores_and_are_the_same_each_time(cards: None, as_before: None):
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    machine.prepare_worker("cuda:1", 4)
    assert torch.get_num_threads() == 2
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.cuda.is_initialized()  # cuBLAS reads its setting when it starts
    machine.prepare_worker("cuda", 100)
    assert torch.get_num_threads() == 1


@pytest.mark.long
def test_a_stream_starts_no_cuda():
    """Two lines in a process of their own: asking for a card's random state would start it."""
    asked = "import torch; from benchmarks import seeds; torch.cuda.device_count = lambda: 2\n"
    asked += "with seeds.stream(0, 'x'): pass\nprint(torch.cuda.is_initialized())"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


# What is recorded


def test_a_gpus_record_says_what_decides_its_figures(monkeypatch: pytest.MonkeyPatch, as_before: None):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: f"a card called {name}")
    monkeypatch.setattr(machine, "driver", lambda: "535.129.03")
    machine.prepare_worker("cuda")
    told = machine.accelerator("cuda:1")
    assert told["device"] == "a card called cuda:1"
    assert (told["driver"], told["tf32"], told["deterministic"]) == ("535.129.03", False, True)
    assert {"cuda", "cudnn"} < set(told)
    assert machine.accelerator("cpu") == {"device": "cpu"}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC", "535.129.03"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65  Release Build  (root@x)", "580.65"),
        ("something else", None),
    ],
)
def test_the_drivers_version_is_read_from_linux(text: str, version: str | None, tmp_path: Path):
    (tmp_path / "version").write_text(text, encoding="utf-8")
    assert machine.driver(tmp_path / "version") == version
    assert machine.driver(tmp_path / "none") is None


def test_figures_of_another_device_or_precision_have_another_protocol(monkeypatch: pytest.MonkeyPatch):
    """And the usual ones have the protocol that they always had."""
    data = load("digits", Path())
    only = Request(datasets=("digits",), methods=("gaussian",), seeds=(0,))
    (run,) = expand(read("smoke"), only)
    usual = protocol_of(run, data)
    assert not {"device", "precision"} & set(usual)
    (low,) = expand(read("smoke"), Request(("digits",), ("gaussian",), (0,), None, ("training.precision=bfloat16",)))
    assert protocol_of(low, data) == usual | {"precision": "bfloat16"}
    elsewhere = protocol_of(run, data.to("meta"))
    assert elsewhere == usual | {"device": "meta"}
    assert len({digest(one) for one in (usual, elsewhere, protocol_of(low, data))}) == 3


def test_the_processor_is_told_with_what_torch_uses_of_it(tmp_path: Path):
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: Abacus 9\nflags\t: fpu\n")
    assert machine.processor(told) == f"Abacus 9, {torch.backends.cpu.get_cpu_capability()}"
    assert machine.processor(tmp_path / "none").endswith(torch.backends.cpu.get_cpu_capability())
