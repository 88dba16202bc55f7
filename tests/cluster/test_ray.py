"""Runs through a real Ray on this machine: the table is the same byte for byte, and nothing is left running."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from outside import MARK, Site, kill, processes, read, wait_for

pytest.importorskip("ray", reason="needs Ray: pip install priorbench[ray]")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LONG = 1200
ONE = ("--method", "gaussian", "--seeds", "0", "--executor", "ray", "--workers", "1")


def workers(site: Site) -> list[int]:
    """The test's own processes of Ray that carry out a bundle."""
    return processes(site.mark, "ray::carry_out")


def folders(site: Site) -> set[str]:
    """Those of the test's own clusters, by what is in command lines."""
    lines = "\0".join(read(pid, "cmdline") for pid in processes(site.mark))
    return set(re.findall(r"/tmp/pb-\w+", lines))


def test_the_table_is_the_same_byte_for_byte(site: Site):
    site.run("here", "--executor", "local")
    site.run("there", "--executor", "ray", "--workers", "2", "--runs-a-job", "2")
    assert site.table("there") == site.table("here")


def test_a_study_is_the_same_byte_for_byte(site: Site):
    assert site.study("there", "--executor", "ray") == site.study("here")


def test_a_worker_that_is_killed_is_tried_again(site: Site):
    site.suite(LONG)
    started = site.start("there", *ONE)
    wait_for(lambda: site.training("there"))
    for pid in workers(site):
        kill(pid)
    status, said = started.end()
    assert status == 0, said
    site.run("here", *ONE[:4])
    assert site.table("there") == site.table("here")


@pytest.fixture
def address(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a cluster that runs, of one node, which lets in who has its token."""
    monkeypatch.setenv(MARK, site.mark)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with TemporaryDirectory(prefix="pbh-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        how = ["--num-cpus=1", "--port=6399", f"--temp-dir={folder}", "--include-dashboard=false", "--block"]
        line = [Path(sys.executable).with_name("ray"), "start", "--head", *how]
        with (tmp_path / "head.txt").open("w") as log:
            head = subprocess.Popen(line, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
        try:
            wait_for(lambda: "Ray runtime started" in (tmp_path / "head.txt").read_text())
            yield "127.0.0.1:6399"
        finally:
            head.terminate()
            head.wait(60)


def test_a_cluster_that_runs(site: Site, address: str):
    """A command that is killed leaves none of its tasks there, and the same one goes on."""
    site.suite(LONG)
    started = site.start("there", *ONE, "--address", address)
    wait_for(lambda: site.training("there"))
    assert workers(site)
    assert started.end(signal.SIGKILL)[0] == -signal.SIGKILL
    wait_for(lambda: not workers(site), "a task is left running")
    site.suite()
    site.run("there", *ONE, "--address", address)


def test_no_cluster_at_an_address_is_a_sentence(site: Site):
    status, said = site.start("there", *ONE, "--address", "127.0.0.1:6398").end()
    assert status == 2
    assert "There is no cluster of Ray at 127.0.0.1:6398" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_command(site: Site, number: int):
    """Neither Ray's own processes nor a run's, and the same command goes on."""
    site.suite(LONG)
    started = site.start("there", *ONE)
    wait_for(lambda: site.training("there"))
    assert len(processes(site.mark)) > 3
    (folder,) = folders(site)
    status, _ = started.end(number)
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not processes(site.mark), "something is left running")
    wait_for(lambda: not Path(folder).exists(), "its folder is left")
    site.run("there", *ONE[:4])
