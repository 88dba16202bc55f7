"""Who carries out a run: one process at a time, of all machines that share a folder of results.

The holder writes `lease.json` into the run's folder and renews it every RENEW seconds. Whoever meets it goes on with
another run. One whose holder has died is taken over: at once where the system says so (no such process, or a later one
of its number), after LEASE seconds without renewal where it cannot, as of another machine, or of a process that was
stopped. Seconds are the file server's: the lease's time is compared with that of a file touched now, whatever the
clocks of the machines say.

A holder renews through the file that it opened, so that one which was taken over and goes on renews a file that nobody
finds any more. It is told so at its next word (`Lost`), and has written nothing in between.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.common.errors import Stop
from benchmarks.common.files import one_at_a_time

FILE = "lease.json"

GUARD = ".lock"
"""Locked while a lease is taken or given back, where the file system can: of several that find a lease dead, each then
looks at it only when the others are through."""

RENEW = 15.0
"""Seconds between two renewals."""

LEASE = 90.0
"""Seconds without renewal after which a holder of which nothing else is known counts as dead."""


class Lost(Stop):
    """The run is another process's by now: this one was stopped for longer than LEASE, or its folder was taken away."""


@dataclass(frozen=True)
class Holder:
    """A process that carries out a run. place: its system, where process numbers are its own. started: when it began,
    as that system counts; empty where it does not tell. renewed: day and time, for people. token: of this lease only.
    """

    host: str
    place: str
    process: int
    started: str
    renewed: str
    token: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def gone(self) -> bool:
        """Does the system say that the process has ended? It cannot of another system's."""
        return self.place == place() and not runs(self.process, self.started)


class Held(Exception):
    """Another living process has the run."""

    def __init__(self, holder: Holder | None):
        super().__init__(f"held by {holder or 'another process'}")


class Found(NamedTuple):
    """A lease on the disk: its text, what that says if it is whole, and when it was last renewed, by the file server's
    clock."""

    text: str
    holder: Holder | None
    renewed: float

    @property
    def token(self) -> str:
        return self.holder.token if self.holder else self.text

    def dead(self, folder: Path) -> bool:
        """Will its holder never come back to it, as far as can be known?"""
        return bool(self.holder and self.holder.gone) or clock(folder) - self.renewed > LEASE


def find(path: Path) -> Found | None:
    """The lease that lies there. It is opened, as clients of a file server know times of open files only."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text, renewed = file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    try:
        return Found(text, Holder(**json.loads(text)), renewed)
    except (ValueError, TypeError):
        return Found(text, None, renewed)


def holder(folder: Path) -> Found | None:
    """Who holds the run of this folder, if somebody living does."""
    found = find(folder / FILE)
    return found if found and not found.dead(folder) else None


class Lease:
    """A run's, which this process holds from `take` to `release`."""

    def __init__(self, folder: Path):
        self.path, self.process = folder / FILE, os.getpid()
        began = describe(self.process)[1]
        self.holder = Holder(socket.gethostname(), place(), self.process, began, today(), uuid.uuid4().hex)
        self.file = create(self.path, self.text())
        self.lost, self.over = False, threading.Event()
        self.thread = threading.Thread(target=self.renew, daemon=True)
        self.thread.start()

    def text(self) -> bytes:
        """Of the same length at any time, so that a new one covers the former."""
        return (json.dumps(asdict(replace(self.holder, renewed=today())), indent=1, sort_keys=True) + "\n").encode()

    def renew(self) -> None:
        """Again and again, until it is given back or lost. A file server that does not answer may do so next time."""
        while not self.over.wait(RENEW):
            with suppress(OSError):
                if not self.own():
                    return
                os.pwrite(self.file, self.text(), 0)
                os.fsync(self.file)

    def own(self) -> bool:
        """Is it still this process's?"""
        found = None if self.lost else find(self.path)
        self.lost = found is None or found.token != self.holder.token
        return not self.lost

    def check(self) -> None:
        """Raises Lost where it is another's by now."""
        if not self.own():
            raise Lost(f"{self.path.parent.name} was taken over by another process")

    def release(self) -> None:
        """Gives it back."""
        self.over.set()
        self.thread.join()
        with suppress(OSError), one_at_a_time(self.path.with_name(GUARD)):
            if self.own():
                withdraw(self.path, self.holder.token)
        os.close(self.file)


def take(folder: Path) -> Lease:
    """The lease of the run in this folder; Held where another living process has it."""
    with one_at_a_time(folder / GUARD):
        found = find(folder / FILE)
        if found:
            if not found.dead(folder):
                raise Held(found.holder)
            withdraw(folder / FILE, found.token)
        return Lease(folder)


def create(path: Path, text: bytes) -> int:
    """The file with all of this text, open; Held where there is one: of several that come at once, one makes it."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        os.write(descriptor, text)
        os.chmod(part, 0o644)
        os.link(part, path)
        return descriptor
    except (FileExistsError, FileNotFoundError):  # whoever came first has swept ours away
        os.close(descriptor)
        raise held(path) from None
    except OSError:
        os.close(descriptor)
        return create_without_links(path, text)
    finally:
        Path(part).unlink(missing_ok=True)


def create_without_links(path: Path, text: bytes) -> int:
    """The same where the file system has no second names: for a moment others find it empty, which is held, too."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise held(path) from None
    os.write(descriptor, text)
    return descriptor


def held(path: Path) -> Held:
    found = find(path)
    return Held(found and found.holder)


def withdraw(path: Path, token: str) -> None:
    """Takes the lease of this token away. It is moved aside first, which one process alone can do; another's that came
    into its place meanwhile is put back."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    moved = find(aside)
    if moved and moved.token != token:
        with suppress(FileExistsError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)


# What the system says


def clock(folder: Path) -> float:
    """Now, by the clock of the disk that the folder is on."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b" ")
        file.flush()
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_mtime


def today() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache
def place() -> str:
    """What tells this system from others: processes of two containers on one machine may have the same number, and
    those of before a restart are gone."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode()}"


def describe(process: int) -> tuple[str, str]:
    """(state, start) of a process, as Linux tells them; empty elsewhere."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", ""
    fields = text.rpartition(")")[2].split()  # its name, in brackets, may have any character
    return fields[0], fields[19]


def runs(process: int, started: str) -> bool:
    """Is there a process of this number that began then? One that has ended and is not yet forgotten is none."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    state, start = describe(process)
    return state not in ("Z", "X") and (not started or not start or start == started)
