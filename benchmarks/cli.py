"""What the commands share: how they end, which runs a person means, and where these are.

A command's flags need nothing that takes seconds to import (torch, pandas), so that `--help` answers at once: what does
the work is imported by the functions that do it.
"""

from __future__ import annotations

import inspect
import io
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from benchmarks.common import flags
from benchmarks.common.errors import Mistake, UsageError, cut
from benchmarks.common.escape import in_line
from benchmarks.common.files import digest_of, try_writing
from benchmarks.common.names import check_flag
from benchmarks.common.settings import digest
from benchmarks.common.started import as_started, program
from benchmarks.common.stopping import exit_status, raised
from priors.plugins import Added, PluginWarning, load_entry_points, load_plugin
from priors.wording import in_one_line

if TYPE_CHECKING:
    from benchmarks.config.suite import Request, Suite
    from benchmarks.runner.executors import Resources
    from benchmarks.runner.workspace import Workspace

Several: Any = tyro.conf.UseAppendAction
DATA = Path(os.environ.get("PRIORBENCH_DATA", "data"))
"""Folder of the data sets, unless a command is told another."""

STYLE = (tyro.conf.FlagCreatePairsOff,)

STOPPED = "Stopped."
"""What Ctrl-C is answered by a command that does not go on where it stopped."""


C = TypeVar("C")


def parse(command: type[C], arguments: Sequence[str] | None, name: str) -> C:
    """The arguments of `python -m benchmarks.NAME`, those of the process where none are given; UsageError."""
    text = as_started(inspect.getdoc(command) or "")
    given = sys.argv[1:] if arguments is None else arguments
    flags.check(command, given)
    with flags.told_in_a_sentence(program(name)):
        return tyro.cli(command, args=given, prog=program(name), description=text, config=STYLE)


def named(metavar: str) -> Any:
    """How --help calls a flag's value. A default that is nothing is not told: the flag's text says what it means."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=hint)


def hint(default: str) -> str:
    """What ends a flag's text in --help, of its default as tyro words it."""
    return {"": "", "None": "", "MISSING": "(required)"}.get(default, f"(default: {default})")


def status(work: Callable[[], int], stopped: str = "Stopped. The same command goes on from here.") -> int:
    """The exit status of a command's work: 2 with one sentence for a user's mistake, 130 for Ctrl-C, 143 for SIGTERM,
    129 for SIGHUP.

    1 with one sentence where the system refuses a file, as on a full disk, and without any where nobody reads on.
    """
    prepare_streams()
    try:
        try:
            with raised(stopped), warnings_told():
                return work()
        finally:
            sys.stdout.flush()  # what cannot be written is told here, not when Python ends
    except Mistake as error:
        print(f"error: {sentence(in_line(str(error)))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        hush()
        return 1
    except OSError as error:
        hush()
        print(f"error: {refused(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        with suppress(OSError):  # of a terminal that was closed
            print("\n" + " ".join((stopped, *getattr(stop, "__notes__", ()))), file=sys.stderr)
        return exit_status(stop)


def sentence(text: str) -> str:
    """The text with a full stop, where it ends without."""
    return text if text.endswith((".", "!", "?", "`")) else f"{text}."


@contextmanager
def warnings_told() -> Iterator[None]:
    """Within, an installed package that fails is told in a sentence, and not as Python does, with a line of ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=PluginWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, PluginWarning):
                print(f"warning: {in_line(str(message))}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


def prepare_streams() -> None:
    """What a stream's encoding lacks is written as its nearest, and what is closed (`>&-`) swallows all."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="nearest")


def hush() -> None:
    """Sends what is still to be written nowhere, if the stream's own end cannot take it."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # of a stream that is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refused(error: OSError) -> str:
    """What the system would not do, in one sentence with what to do."""
    where = f" ({cut(str(error.filename))})" if error.filename else ""
    reason = error.strerror or in_one_line(error)
    return in_line(
        f"A file cannot be read or written: {reason}{where}. What is finished is kept: once there is room and leave "
        "to write, or with another --results, the same command goes on."
    )


@dataclass(frozen=True)
class Selection:
    """Which runs, and where they are."""

    suite: Annotated[str, named("NAME")]
    """Name of a suite, of those that `run list` tells, or path of a TOML file."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these data sets; one that the suite does not name runs with the suite's own settings."""
    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these methods; any registered prior's name is one."""
    seeds: Annotated[tuple[int, ...], named("SEED ...")] = ()
    """Only these seeds."""
    preset: Annotated[str | None, named("NAME")] = None
    """A smaller budget that the suite offers, such as 'laptop': every output is marked as a trial."""
    set: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """Override a setting: --set training.epochs=5. May be repeated; every output is marked as a trial."""
    name: Annotated[str | None, named("NAME")] = None
    """Name of the output's files (default: the suite's, with a hash where settings are overridden)."""
    data: Path = DATA
    """Folder of the data sets (environment: PRIORBENCH_DATA)."""
    results: Path = Path("results")
    """Folder of the results."""
    device: str = "auto"
    """cpu, cuda (all visible GPUs), cuda:1 (that one); auto takes the GPUs where there are any."""
    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers priors, whose names become methods, or any other parts. May be repeated."""
    download: bool = False
    """Fetch missing data sets."""
    any_checksum: bool = False
    """Accept data files that are not the published ones; the protocol column tells them apart."""

    def request(self) -> Request:
        """The runs as a suite is asked for them. Imports the plug-ins."""
        from benchmarks.config.suite import Request

        check_flag("--name", self.name)
        plugins = load_plugins(self.plugin)
        return Request(self.dataset, self.method, self.seeds, self.preset, self.set, plugins)

    def output(self, chosen: Suite) -> str:
        """Name of the output's files. Trials never take the place of the suite's own."""
        if self.name:
            return self.name
        parts = (chosen.name, self.preset, digest(sorted(self.set)) if self.set else None)
        return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class Work(Selection):
    """Runs, and what carries them out."""

    executor: Annotated[str, named("NAME")] = "local"
    """local: a process a run, several at once. serial: everything in this process, one run after another. slurm, ray:
    on a cluster (docs/clusters.md). Or one that a plug-in registers."""
    workers: int = 0
    """Processes at once; 0: one a core on a CPU, four on each GPU. With slurm jobs at once (0: as many as it lets
    run), with ray of the cluster that is started here."""
    threads: int = 0
    """Threads of a run; 0: one on a CPU, and beside GPUs the cores shared out."""
    runs_per_gpu: int = 0
    """Runs that share a GPU; 0: four."""
    gpus: int = 0
    """With slurm and ray: GPUs of a job, whose runs are then on them."""
    runs_a_job: int = 0
    """With slurm and ray: runs of a job; 0: as many as a job's minutes have room for, by what earlier runs took."""
    minutes_a_job: Annotated[float | None, named("MINUTES")] = None
    """With slurm and ray: how long a job is; with slurm its limit, after which it is requeued (default: 240)."""
    slurm: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """An option of sbatch, as partition=gpu; over those of the suite's table [slurm]. May be repeated."""
    address: Annotated[str, named("HOST:PORT")] = ""
    """With ray: a cluster that runs (auto: the one of this machine); without, one is started here."""

    def resources(self) -> Resources:
        """What the flags allow the runs, and what they tell the executors of clusters; UsageError."""
        from benchmarks.runner.executors import Resources

        counts = {name: getattr(self, name) for name in ("workers", "threads", "runs_per_gpu", "gpus", "runs_a_job")}
        check_least(self, 0, *counts)
        check_minutes(self, "minutes_a_job")
        options = {"slurm": self.sbatch(), "ray": {"address": self.address}}
        return Resources(**counts, minutes_a_job=self.minutes_a_job or 0.0, options=options)

    def sbatch(self) -> dict[str, str]:
        """Options of sbatch; UsageError for those that nobody would read."""
        pairs = {}
        for text in self.slurm:
            key, equals, pairs[key] = text.partition("=")
            if not (key and equals):
                raise UsageError(f"--slurm {text}: write it as KEY=VALUE, for example --slurm partition=gpu.")
            if self.executor != "slurm":
                raise UsageError(f"--slurm {text}: only --executor slurm takes it: add that, or leave it out.")
        return pairs


def workspace_of(where: Selection, weights: Path | None = None) -> Workspace:
    """The workspace that the flags name; UsageError for a device that cannot be used.

    weights: file of the Inception network, where another one than torch's cache is meant.
    """
    from benchmarks.datasets import Options
    from benchmarks.features import inception
    from benchmarks.runner.machine import device
    from benchmarks.runner.workspace import Workspace

    plugins = tuple(str(path.resolve()) for path in where.plugin)
    options = Options(where.download, where.any_checksum)
    return Workspace(where.results, where.data, device(where.device), options, plugins, inception.find(weights))


def load_plugins(paths: Sequence[Path]) -> dict[Added, str]:
    """Imports plug-ins; the SHA-256 of the file by the kind and name of every part that it registers."""
    load_entry_points()
    return {part: digest_of(path) for path in paths for part in load_plugin(path)}


def check_least(command: object, least: int, *flags: str) -> None:
    """Raises UsageError where one of these flags is given a smaller number."""
    for flag in flags:
        number = getattr(command, flag)
        if number is not None and number < least:
            raise UsageError(f"--{flag.replace('_', '-')} {number}: it is {least} or larger.")


def check_minutes(command: object, flag: str) -> None:
    """Raises UsageError for minutes that cannot be."""
    minutes = getattr(command, flag)
    if minutes is not None and not 0 < minutes < math.inf:
        raise UsageError(f"--{flag.replace('_', '-')} {minutes}: it is larger than 0.")


def check_folder(flag: str, path: Path | None) -> None:
    """Raises UsageError where a folder is to be and there is a file."""
    if path is not None and (path.is_file() or any(one.is_file() for one in path.parents)):
        raise UsageError(f"{flag} {path}: there is a file of that name; name a folder.")


def check_writable(folder: Path) -> None:
    """Raises UsageError where nothing can be written below the folder."""
    try:
        try_writing(folder / "runs")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"Results cannot be written to {folder}: {reason}; choose another with --results.") from None
