"""Runs through a real Ray on this machine: the table is the same byte for byte, and nothing is left running."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from outside import Site, kill, processes, wait_for

pytest.importorskip("ray", reason="needs Ray: pip install priorbench[ray]")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LONG = 1200
ONE = ("--method", "gaussian", "--seeds", "0", "--executor", "ray", "--workers", "1")


def workers(site: Site) -> list[int]:
    """Ray's processes that carry out a bundle."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::carry_out" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_the_table_is_the_same_byte_for_byte(site: Site):
    site.run("here", "--executor", "local")
    site.run("there", "--executor", "ray", "--workers", "2", "--runs-a-job", "2")
    assert site.table("there") == site.table("here")


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_command(site: Site, number: int):
    """Neither Ray's own processes nor a run's, and the same command goes on."""
    site.suite(LONG)
    started = site.start("there", *ONE)
    wait_for(lambda: site.training("there"))
    assert len(processes(str(site.folder))) > 3
    status, _ = started.end(number)
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not processes(str(site.folder)), "something is left running")
    wait_for(lambda: not [*Path("/tmp").glob("pb-*")], "its folder is left")
    site.run("there", *ONE[:4])
