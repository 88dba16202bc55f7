"""Runs through a real Slurm: whatever becomes of jobs, the table is the one of this machine alone, byte for byte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from outside import Site, every, jobs, kill, processes, read, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm"), pytest.mark.timeout(1200)]

LONG = 1200
"""Epochs of a run that is met under way: a quarter of a minute."""


@pytest.fixture(autouse=True)
def idle(slurm: None) -> None:
    """No job of an earlier test is left."""
    wait_for(lambda: not jobs())


def test_the_table_is_the_same_byte_for_byte(site: Site):
    """By jobs of two runs each, with the suite's own partition."""
    site.suite(partition="main")
    site.run("here", "--executor", "local")
    site.run("there", "--executor", "slurm", "--runs-a-job", "2", "--minutes-a-job", "5")
    assert site.table("there") == site.table("here")
    assert len([*site.folder.glob("there/jobs/*/*submitted.pkl")]) == 2
    assert "1 already done" not in site.run("there", "--executor", "slurm")


def test_a_study_is_the_same_byte_for_byte(site: Site):
    assert site.study("there", "--executor", "slurm") == site.study("here")


def test_what_sbatch_refuses_is_its_own_sentence(site: Site):
    status, said = site.start("there", "--executor", "slurm", "--slurm", "partition=nowhere").end()
    assert status == 2
    assert "Slurm refuses the job" in said
    assert "partition" in said
    assert "Traceback" not in said


def test_a_job_that_is_cancelled_is_told_and_taken_up(site: Site):
    site.suite(LONG)
    one = ("--method", "gaussian", "--seeds", "0", "--executor", "slurm", "--minutes-a-job", "20")
    started = site.start("there", *one)
    wait_for(lambda: site.training("there"))
    subprocess.run(["scancel", *jobs()], check=True)
    status, said = started.end()
    assert status == 1, said
    assert "cancelled" in said
    assert "ended by SIGTERM" not in said
    site.run("there", *one)
    assert site.records("there", "done")
    site.run("here", *one[:4])
    assert site.table("there") == site.table("here")


def test_a_job_that_is_requeued_goes_on(site: Site):
    """As when another job takes its place."""
    site.suite(LONG)
    one = ("--method", "gaussian", "--seeds", "0", "--executor", "slurm", "--minutes-a-job", "20")
    started = site.start("there", *one)
    wait_for(lambda: site.training("there"))
    (name,) = jobs()
    subprocess.run(["scontrol", "requeue", name], check=True)
    status, said = started.end()
    assert status == 0, said
    assert len(set(jobs()) - {name}) == 0, "it is the same job"


def test_a_node_that_dies_and_comes_back(site: Site):
    """With all that ran there. Its job begins anew when it is back: nobody has to give the command again."""
    conf = Path(os.environ["SLURM_CONF"])
    if not conf.with_name("slurmd.pid").is_file():
        pytest.skip("its node is not the tests' own")
    site.suite(LONG)
    one = ("--method", "gaussian", "--seeds", "0", "--executor", "slurm", "--minutes-a-job", "20")
    started = site.start("there", *one)
    wait_for(lambda: site.training("there"))
    ((name, _),) = jobs().items()
    node = subprocess.run(["sinfo", "-h", "-o", "%N"], capture_output=True, text=True, check=True).stdout.strip()
    kill(int(conf.with_name("slurmd.pid").read_text()))
    steps = [pid for pid in every() if read(pid, "cmdline").startswith(f"slurmstepd: [{name}.")]
    for pid in [*steps, *processes(site.mark, "submitit")]:
        with suppress(ProcessLookupError):
            kill(pid)
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=test"], check=True)
    wait_for(lambda: "RUNNING" not in jobs().values())
    subprocess.run(["slurmd", "-f", conf], check=True)
    status, said = started.end()
    assert status == 0, said
    site.run("here", *one[:4])
    assert site.table("there") == site.table("here")


def test_a_job_that_gets_the_signal_goes_on_from_its_checkpoint(site: Site):
    """Slurm sends it before a job's time is over, and to one that is preempted."""
    site.suite(3 * LONG)
    one = ("--method", "gaussian", "--seeds", "0", "--executor", "slurm", "--minutes-a-job", "20")
    started = site.start("there", *one)
    wait_for(lambda: site.records("there", "checkpoint"))
    (name,) = jobs()
    subprocess.run(["scancel", "--signal=USR2", name], check=True)
    status, said = started.end()
    assert status == 0, said
    (log,) = (path.read_text() for path in site.folder.glob("there/jobs/*/*.out"))
    assert f"Requeued job {name}" in log
    assert log.count("Starting with") == 2
    site.run("here", *one[:4])
    assert site.table("there") == site.table("here")


def test_a_job_whose_time_is_over_requeues_itself(site: Site):
    """Its run takes longer than a job may, and goes on from its checkpoints, of which there is one every 20 seconds."""
    site.suite(7 * LONG)
    one = ("--method", "gaussian", "--seeds", "0", "--executor", "slurm", "--minutes-a-job", "2")
    site.run("there", *one)
    log = next(site.folder.glob("there/jobs/*/*.out")).read_text()
    assert "timed-out" in log
    assert "Requeued job" in log
    site.run("here", *one[:4])
    assert site.table("there") == site.table("here")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_cancels_its_jobs(site: Site, number: int):
    site.suite(LONG)
    started = site.start("there", "--executor", "slurm", "--minutes-a-job", "20")
    wait_for(lambda: site.training("there"))
    status, said = started.end(number)
    assert status == 128 + number, said
    assert "Cancelled its jobs of Slurm" in said
    wait_for(lambda: not jobs())
    site.suite()
    shutil.rmtree(site.folder / "there")


def test_a_command_that_is_killed_leaves_jobs_that_the_next_one_follows(site: Site):
    site.suite(LONG)
    one = ("--method", "gaussian", "--seeds", "0", "--executor", "slurm", "--minutes-a-job", "20")
    started = site.start("there", *one)
    wait_for(lambda: site.training("there"))
    before = jobs()
    assert started.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert jobs() == before
    site.run("there", *one)
    assert len([*site.folder.glob("there/jobs/*/*submitted.pkl")]) == 1, "nothing was submitted again"


def test_a_plugin_that_nodes_do_not_see_is_a_sentence(site: Site, monkeypatch: pytest.MonkeyPatch):
    """It is taken away once the command has read it."""
    plugin = site.folder / "own.py"
    base = "from priors import DiagonalNormal, register\nfrom priors.gaussian import Gaussian\n"
    plugin.write_text(f"{base}\n@register('own')\nclass Own(Gaussian):\n    'Another name.'\n")
    blocked = subprocess.run(["scontrol", "update", "partitionname=main", "state=down"])
    assert blocked.returncode == 0
    try:
        started = site.start("there", "--method", "own", "--plugin", str(plugin), "--executor", "slurm")
        wait_for(jobs)
        Path(plugin).unlink()
    finally:
        subprocess.run(["scontrol", "update", "partitionname=main", "state=up"], check=True)
    status, said = started.end()
    assert status == 1
    assert "the plug-in own.py is not there on the node" in said
