"""Runs as tasks of Ray, on a cluster that runs or on one that is started here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common.errors import UsageError
from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome
from benchmarks.runner.executors.base import EXECUTORS
from benchmarks.runner.executors.bundle import Bundle, bundles, jobs_folder, with_gpus
from benchmarks.runner.executors.extra import needed
from benchmarks.runner.executors.follow import End, follow
from benchmarks.runner.executors.known import refuse_unknown
from benchmarks.runner.executors.resources import Resources
from benchmarks.runner.workspace import Workspace
from priors.wording import in_one_line

QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""GPUs are hidden from tasks that ask for none, what becomes of tasks is told by `follow` alone, and nothing is sent to
Ray's makers."""


KNOCK = 10.0
"""Seconds that a cluster has to take a connection."""


@EXECUTORS.register("ray")
def ray(runs: Sequence[Run], workspace: Workspace, resources: Resources) -> Iterator[Outcome]:
    """Outcomes as tasks tell them. The results, the suite's data and plug-ins are in folders that all nodes share.

    The cluster is at `resources.options["ray"]["address"]`; without, one is started here, and ends with the command.
    """
    refuse_unknown(runs, workspace)
    resources = with_gpus(resources, workspace)
    needed("ray", "ray")
    address = resources.options.get("ray", {}).get("address", "")
    with joined(address) if address else started(workspace, resources):
        yield from follow(bundles(runs, workspace, resources, jobs_folder(workspace)), Ray(resources))


@contextmanager
def joined(address: str) -> Iterator[None]:
    """The cluster at this address, for which the command is one of its drivers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    with ExitStack() as member:
        try:
            if host and port.isdigit():  # Ray itself tries for minutes
                socket.create_connection((host, int(port)), KNOCK).close()
            member.enter_context(initialised(address=address))
        except OSError as error:  # ConnectionError among them
            raise UsageError(f"There is no cluster of Ray at {address}: {in_one_line(error)}.") from None
        yield


@contextmanager
def started(workspace: Workspace, resources: Resources) -> Iterator[None]:
    """A cluster on this machine, of which nothing is left once this process is gone, however it ends.

    Its folder has a short name: names of sockets below it have 107 characters at most.
    """
    cpus = resources.at_once(workspace.device) * max(1, resources.threads)
    with ExitStack() as all_of_it:
        folder = all_of_it.enter_context(TemporaryDirectory(prefix="pb-", dir="/tmp", ignore_cleanup_errors=True))
        all_of_it.enter_context(swept(folder))
        how = {"num_cpus": max(cpus, cpus_of(resources)), "include_dashboard": False, "_temp_dir": folder}
        all_of_it.enter_context(initialised(**how))
        yield


@contextmanager
def initialised(**how: Any) -> Iterator[None]:
    """Ray within; what it does to this process's signals is undone at once."""
    library = needed("ray", "ray")
    os.environ |= {key: os.environ.get(key, value) for key, value in QUIET.items()}
    before = signal.getsignal(signal.SIGTERM)
    library.init(**how, log_to_driver=False, logging_level="error")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        library.shutdown()


@contextmanager
def swept(folder: str) -> Iterator[None]:
    """A process that waits for this one's end and then ends what has the folder in its command line: Ray's own
    processes outlive a command that is killed."""
    line = [sys.executable, "-I", "-c", SWEEP, folder]
    broom = subprocess.Popen(line, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        broom.communicate()


SWEEP = """
import os, shutil, signal, sys, time
sys.stdin.read()
folder = sys.argv[1]
for _ in range(20):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if int(pid) != os.getpid() and f"{folder}/".encode() in file.read():
                    os.kill(int(pid), signal.SIGKILL)
                    found.append(pid)
        except OSError:
            pass
    if not found:
        break
    time.sleep(0.2)
shutil.rmtree(folder, ignore_errors=True)
"""


def cpus_of(resources: Resources) -> int:
    """Cores that a job asks for."""
    return resources.in_a_job * max(1, resources.threads)


def gpus_of(resources: Resources, runs: int) -> float:
    """GPUs of a job of so many runs: it shares its only one with others where it does not fill it.

    >>> gpus_of(Resources(gpus=1, runs_per_gpu=4), 2), gpus_of(Resources(gpus=1, runs_per_gpu=4), 9)
    (0.5, 1)
    """
    return runs / resources.per_gpu if resources.gpus == 1 and runs < resources.per_gpu else resources.gpus


@dataclass
class Ray:
    """Ray as `follow` sees it."""

    resources: Resources
    tasks: dict[str, Any] = field(default_factory=dict)

    def submit(self, bundles: Sequence[Bundle]) -> list[str]:
        """Tasks, which `follow` tries again and Ray does not."""
        library = needed("ray", "ray")
        environment = {"env_vars": {"OMP_NUM_THREADS": "1"}}  # Ray has as many as cores that are asked for
        task = library.remote(carry_out)
        names = [f"{len(self.tasks) + number}" for number in range(len(bundles))]
        for name, bundle in zip(names, bundles, strict=True):
            slots = {"num_cpus": cpus_of(self.resources), "num_gpus": gpus_of(self.resources, len(bundle.runs))}
            how = {"max_retries": 0, "runtime_env": environment, **slots}
            self.tasks[name] = task.options(**how).remote(bundle)
        return names

    def ended(self, jobs: Collection[str]) -> Mapping[str, End]:
        """Those whose result is there, which is nothing or an error."""
        library = needed("ray", "ray")
        names = {self.tasks[job]: job for job in jobs}
        ready, _ = library.wait([*names], num_returns=len(names), timeout=0)
        return {names[task]: end_of(task) for task in ready}

    def cancel(self, jobs: Collection[str]) -> str:
        library = needed("ray", "ray")
        for job in jobs:
            library.cancel(self.tasks[job], force=True)
        return "Cancelled its tasks of Ray."


def end_of(task: Any) -> End:
    """What became of a task: its own error would come back, that of its worker or node need not."""
    library = needed("ray", "ray")
    try:
        library.get(task)
    except library.exceptions.RayTaskError as error:
        return End(f"its task failed: {in_one_line(error.cause)}", False)
    except library.exceptions.RayError as error:
        return End(f"its task's process was ended: {type(error).__name__}", True)
    return End("its task ended before the run did", True)


def carry_out(bundle: Bundle) -> None:
    """In a process of Ray's."""
    bundle()
