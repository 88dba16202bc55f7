"""Commands as a person starts them, each in a process of its own, and what is seen of them from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from workbench import TINY, descendants

SUITE = TINY.replace("seeds = 1", "seeds = 2")

MARK = "PRIORBENCH_TEST"
"""A variable in the environment of all that a test starts: other people's processes are none of its business."""

MINUTES = 8
"""The longest that anything here is waited for."""


class Started:
    """A command under way."""

    def __init__(self, command: str, arguments: list[str], folder: Path, mark: str):
        line = [sys.executable, "-m", f"benchmarks.{command}", *arguments]
        self.log = (folder / "said.txt").open("w+")
        marked = {**os.environ, MARK: mark}
        self.process = subprocess.Popen(
            line, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT, env=marked, preexec_fn=heed
        )

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Its exit status and all that it said. number: a signal that it is sent."""
        if number is not None:
            self.process.send_signal(number)
        wait_for(lambda: self.process.poll() is not None or hasten(), "the command does not end")
        status = self.process.returncode
        self.log.seek(0)
        return status, self.log.read()


def heed() -> None:
    """Ctrl-C is heeded even where these tests were started by a shell's `&`, which has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Site:
    """A folder with the suite tiny.toml, where commands are started."""

    def __init__(self, folder: Path):
        self.folder, self.mark = folder, uuid4().hex
        self.suite()

    def suite(self, epochs: int = 2, **options: str) -> None:
        text = SUITE.replace("epochs = 2", f"epochs = {epochs}")
        table = "\n".join(["[slurm]", *(f'{key} = "{value}"' for key, value in options.items())])
        (self.folder / "tiny.toml").write_text(f"{text}\n{table if options else ''}\n")

    def start(self, results: str, *arguments: str, command: str = "run") -> Started:
        where = ["--suite", "tiny.toml", "--results", results, "--device", "cpu"]
        return Started(command, [*where, *arguments], self.folder, self.mark)

    def run(self, results: str, *arguments: str) -> str:
        """What it said; it is to end well."""
        status, said = self.start(results, *arguments).end()
        assert status == 0, said
        return said

    def study(self, results: str, *arguments: str) -> bytes:
        """The table of a study of the vampprior, whose trials are two at a time."""
        given = ("--method", "vampprior", "--trials", "3", "--samples", "10", "--workers", "2", *arguments)
        status, said = self.start(results, *given, command="tune").end()
        assert status == 0, said
        (path,) = self.folder.glob(f"{results}/studies/*.csv")
        return path.read_bytes()

    def table(self, results: str) -> bytes:
        return (self.folder / results / "tiny.csv").read_bytes()

    def training(self, results: str) -> bool:
        """Is a run of it under way?"""
        return any('"training"' in path.read_text() for path in self.records(results, "status.json"))

    def records(self, results: str, name: str) -> list[Path]:
        return sorted(self.folder.glob(f"{results}/runs/tiny/*/{name}"))


def wait_for(what: Callable[[], object], why: str = "") -> None:
    """Until it is so."""
    until = time.monotonic() + 60 * MINUTES
    while not what():
        assert time.monotonic() < until, why or "it never came"
        time.sleep(0.1)


def jobs() -> dict[str, str]:
    """States of Slurm's jobs that wait or run, by name."""
    said = subprocess.run(["squeue", "-h", "-r", "-o", "%i|%T"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("|") for line in said.split())


def hasten() -> None:
    """Has jobs that were requeued begin at once: Slurm lets them wait for two minutes."""
    if "SLURM_CONF" in os.environ:
        for name in [name for name, state in jobs().items() if state == "PENDING"]:
            subprocess.run(["scontrol", "update", f"jobid={name}", "starttime=now"], capture_output=True)
        time.sleep(1)


def processes(mark: str, title: str = "") -> list[int]:
    """Those that a test with this mark has started, and what these have, whose own environment a title of theirs may
    have overwritten. title: only those with this in their command line."""
    marked = [pid for pid in every() if f"{MARK}={mark}" in read(pid, "environ").split("\0") and pid != os.getpid()]
    found = {*marked}.union(*map(descendants, marked))
    return sorted(pid for pid in found if title in read(pid, "cmdline"))


def every() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def read(pid: int, name: str) -> str:
    """A file of a process; empty where it has ended, or is somebody else's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
