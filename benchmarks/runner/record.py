"""The folder of one run: the only channel between a worker, the display and the tables.

    config.json env.json made.json history.csv checkpoint | weights.safetensors training.json | fitted.safetensors
    values/*.safetensors metrics.json | *.png done

`made.json` says with what data and by what sources the run is made, and `plugin/` has a plug-in's own files, which it
vouches for. `checkpoint` exists while training goes on;
`lease.json` says who carries the run out now (`lease.py`),
`training.json` that training has ended and how. `metrics.json` grows metric by metric; `values` has what estimates are
the means of, image by image. `done` is written last and names what was evaluated; whatever is there without it is taken
up again.

Every file appears whole or not at all (write, rename), so that whoever is killed loses nothing that was written. On the
disk, where a crash of the machine leaves them, all files are before `done` is written, and others at most SETTLED
seconds before the next one: waiting for the disk file by file took a quarter of a short run. JSON carries a seal of its
content, its name and its run's, a checkpoint the digest of its bytes, and `training.json`, `metrics.json` and `done`
vouch for the files written before them: what was cut, edited or taken from another run is noticed (`damage.py` says
what is then done).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch

from benchmarks.common.errors import UsageError
from benchmarks.common.files import digest_of, settle, write_atomically
from benchmarks.common.started import program
from benchmarks.config.settings import Run
from benchmarks.runner import lease
from benchmarks.runner.lease import Lease, Lost

SEAL = ',\n "seal": "'
"""What stands between a JSON file's content and its seal."""

SETTLED = 2.0
"""Seconds after which files wait for the disk, with the next one that is written."""

TOLD = 1.0
"""Seconds between two words of one stage to the display, at least: a file that takes another's place waits for the disk
on some file systems, milliseconds each time."""

_unsettled: dict[Path, set[Path]] = {}
"""Files of a run that need not be on the disk yet."""

_settled: dict[Path, float] = {}
"""When all of a run's were."""

_told: dict[Path, tuple[str, float]] = {}
"""A run's last word to the display: its stage, and when."""

_claims: dict[Path, Lease] = {}
"""The lease of a run that is held by this process, or by one that it was forked from."""


class Damaged(UsageError):
    """A record's file is not what was written. `name` is the file's, `why` what is wrong with it."""

    def __init__(self, path: Path, why: str):
        self.name, self.why = path.name, why
        super().__init__(f"{path} {why}: `{program('run')}` on its suite makes it anew.")


class Seal(NamedTuple):
    """A file as it was written. One of the same size and time is taken to be the same until it is read."""

    size: int
    time: int
    sha256: str


NONE = Seal(-1, 0, "")
"""Of a file that nothing vouches for."""


@dataclass(frozen=True)
class Record:
    """One run's folder."""

    folder: Path

    @property
    def label(self) -> str:
        """`smoke/moons-gaussian-s0-1a2b3c4d`: the suite and the run, for people."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    def done(self, run: Run, metrics: Sequence[str]) -> bool:
        """The run has ended, and the estimates of these metrics are there. Raises Damaged."""
        marker = self.read("done")
        return marker is not None and marker["evaluation"] == run.evaluation and {*metrics} <= {*marker["metrics"]}

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Holds the run for this process, until it ends however it does. Raises lease.Held at once where another has
        it, and Lost later, where it was taken over by another while this process was stopped."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (lease.FILE, lease.GUARD):
            self.make_way(name)
        held = lease.take(self.folder)
        _claims[self.folder], _settled[self.folder] = held, time.monotonic()
        try:
            yield
        except Exception as error:
            if self.lost():
                raise Lost(str(error)) from error  # what it missed was taken away by the new holder
            raise
        finally:
            self.leave_to_its_owner()
            self.settle()
            for known in (_claims, _settled, _unsettled, _told):
                known.pop(self.folder, None)
            held.release()

    def holder(self) -> str | None:
        """`process 123 on node7`: who carries the run out now, if somebody does."""
        found = lease.holder(self.folder) if self.folder.is_dir() else None
        return str(found.holder or "another process") if found else None

    def lost(self) -> bool:
        """Was the run taken over from this process, which held it?"""
        held = _claims.get(self.folder)
        return held is not None and not held.own()

    def leave_to_its_owner(self) -> None:
        """Ends a copy of the process that holds the run: what a run forks does not go on with it a second time."""
        held = _claims.get(self.folder)
        if held and held.process != os.getpid():
            os._exit(0)

    def check_hold(self) -> None:
        """Raises Lost where this process held the run and another does now."""
        if held := _claims.get(self.folder):
            held.check()

    # JSON

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """JSON with sorted keys and a seal."""
        self.put(name, lambda file: file.write(self.text(name, content).encode()))

    def text(self, name: str, content: Mapping[str, Any]) -> str:
        """What `write` writes."""
        text = json.dumps(content, indent=1, sort_keys=True).removesuffix("\n}")
        return f'{text}{SEAL}{self.seal(name, text)}"\n}}\n'

    def read(self, name: str) -> Any:
        """The JSON file's content, or None where there is none; Damaged where it is not what `write` wrote."""
        path = self.folder / name
        try:
            text, _, seal = path.read_text(encoding="utf-8").rpartition(SEAL)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise Damaged(path, f"cannot be read ({type(error).__name__})") from None
        if seal != f'{self.seal(name, text)}"\n}}\n':
            raise Damaged(path, "is not as it was written")
        return json.loads(text + "\n}")

    def seal(self, name: str, text: str) -> str:
        """SHA-256 of a file's content with its name and its run's: another run's file is none of this one."""
        return hashlib.sha256(f"{self.folder.name}/{name}\n{text}".encode()).hexdigest()

    # Files that JSON vouches for

    def vouch(self, *patterns: str) -> dict[str, Seal]:
        """The seals of the files that are there, by name below the folder."""
        paths = sorted({path for pattern in patterns for path in self.folder.glob(pattern)})
        return {str(path.relative_to(self.folder)): sealed(path) for path in paths}

    def check(self, name: str, seal: Sequence[Any], read: bool = False) -> None:
        """Raises Damaged where a file is not the one that the seal is of. read: its bytes count, not its time."""
        path, expected = self.folder / name, Seal(*seal)
        try:
            now = path.stat()
            if now.st_size != expected.size:
                raise Damaged(path, f"has {now.st_size} bytes and was written with {expected.size}")
            if (read or now.st_mtime_ns != expected.time) and digest_of(path) != expected.sha256:
                raise Damaged(path, "is not as it was written")
        except FileNotFoundError:
            raise Damaged(path, "is missing") from None
        except OSError as error:
            raise Damaged(path, f"cannot be read ({type(error).__name__})") from None

    def verified(self, name: str, voucher: str) -> Path:
        """The path of a file that is the one that `voucher` vouches for, to its last byte. Otherwise it is put aside,
        so that the next run makes it anew, and Damaged is raised."""
        try:
            self.check(name, (self.read(voucher) or {}).get("files", {}).get(name, NONE), read=True)
        except Damaged:
            self.put_aside(name)
            raise
        return self.folder / name

    # Checkpoints

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Tensors and plain values, for `restore`."""
        content = io.BytesIO()
        torch.save(state, content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        self.put(name, lambda file: (file.write(f"{digest}\n".encode()), file.write(content.getbuffer())))

    def restore(self, name: str, device: torch.device | str) -> dict[str, Any] | None:
        """What `save` kept, or None where nothing is there; Damaged."""
        path = self.folder / name
        try:
            digest, _, content = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(path, f"cannot be read ({type(error).__name__})") from None
        if hashlib.sha256(content).hexdigest().encode() != digest:
            raise Damaged(path, "is not as it was written")
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)

    # Any file

    def put(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        """The file whole or not at all, from the process that holds the run."""
        self.leave_to_its_owner()
        self.make_way(name)
        held = self.folder in _claims

        def write_held(file: BinaryIO) -> None:
            write(file)
            self.check_hold()  # last of all, as it may have taken long

        write_atomically(self.folder / name, write_held, durable=not held)
        if held:
            _unsettled.setdefault(self.folder, set()).add(self.folder / name)
            if time.monotonic() - _settled[self.folder] > SETTLED:
                self.settle()

    def settle(self, whole: bool = False) -> None:
        """All that this process put here is on the disk from now on. whole: and what an earlier one left."""
        files = {path for path in self.folder.rglob("*") if path.is_file()} if whole else set()
        settle(_unsettled.pop(self.folder, set()) | files)
        _settled[self.folder] = time.monotonic()

    def remove(self, *names: str) -> None:
        self.check_hold()
        for name in names:
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    def make_way(self, name: str) -> None:
        """For a file, where a folder of its name is in the way."""
        if (self.folder / name).is_dir():
            self.remove(name)

    def put_aside(self, name: str) -> None:
        """Keeps a file out of the way, in the folder `damaged`, in the place of an earlier one of its name."""
        self.check_hold()
        aside = self.folder / "damaged" / name
        if not (self.folder / "damaged").is_dir():
            self.remove("damaged")
        aside.parent.mkdir(parents=True, exist_ok=True)
        self.remove(f"damaged/{name}")
        with suppress(FileNotFoundError, NotADirectoryError):
            os.replace(self.folder / name, aside)

    # What a person sees

    def report(self, **status: Any) -> None:
        """What the display shows of this run, once a second at most. Of no use after a crash: never settled."""
        self.leave_to_its_owner()
        if (held := _claims.get(self.folder)) and held.lost:
            held.check()
        stage, last = str(status.get("stage")), _told.get(self.folder)
        if last and last[0] == stage and time.monotonic() - last[1] < TOLD:
            return
        if self.folder in _claims:
            _told[self.folder] = stage, time.monotonic()
        part = self.folder / "status.part"
        with suppress(OSError):
            part.write_text(json.dumps(status), encoding="utf-8")
            os.replace(part, self.folder / "status.json")

    def reported(self) -> dict[str, Any] | None:
        """What `report` told last, or None."""
        try:
            told = json.loads((self.folder / "status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) and "stage" in told else None

    def fail(self, note: str, details: str = "") -> None:
        """Says why the run has failed: first a line for the table, then what helps to find the mistake. A full disk
        keeps neither."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / "error.txt", lambda file: file.write(f"{note}\n\n{details}".encode()))
            self.report(stage="failed", note=note)

    def failed_at(self) -> int | None:
        """The time of the last failure, by the disk's clock; None where it has not failed."""
        try:
            return (self.folder / "error.txt").stat().st_mtime_ns
        except OSError:
            return None

    def failure(self) -> str | None:
        """Why the run has failed, if it has."""
        try:
            text = (self.folder / "error.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        return text.partition("\n")[0] or "for a reason that was lost"


def sealed(path: Path) -> Seal:
    """The file as it is now."""
    now = path.stat()
    return Seal(now.st_size, now.st_mtime_ns, digest_of(path))
