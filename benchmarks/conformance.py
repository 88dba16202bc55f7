"""The command `python -m benchmarks.conformance`: the contract's laws, tried on a prior or on another part.

The laws of priors are in `priors.conformance`, but for two that need the harness, in `benchmarks.laws.training`. All of
them are imported by the functions that try them, so that `--help` waits for neither torch nor pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from benchmarks.cli import DATA, STOPPED, Several, load_plugins, named, parse, status
from benchmarks.common.errors import UsageError
from benchmarks.common.screen import Screen


@dataclass(frozen=True)
class Command:
    """Tries the contract's laws on a prior, a metric or a data set and says what it may be used for.

    For example:
      python -m benchmarks.conformance --plugin myprior.py
      python -m benchmarks.conformance --prior vampprior
      python -m benchmarks.conformance --prior two-stage --set prior.two-stage.steps=50
      python -m benchmarks.conformance --metric nll --dataset digits
      python -m benchmarks.conformance --new mylaw
    """

    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers parts: all of them are tried unless other flags name some. May be repeated."""
    prior: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Registered priors, this project's or those of installed packages."""
    metric: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Registered metrics."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Registered data sets."""
    set: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """A setting other than the default: --set prior.mixture.components=5. May be repeated."""
    data: Path = DATA
    """Folder of the data sets (environment: PRIORBENCH_DATA)."""
    new: Annotated[str | None, named("NAME")] = None
    """Write NAME.py, a small prior that keeps every law, to begin one of your own with; nothing is tried."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 no law is broken, 1 one is, 2 wrong usage, 130 stopped by Ctrl-C."""
    return status(lambda: try_all(parse(Command, arguments, "conformance"), Screen()), STOPPED)


def try_all(command: Command, console: Console) -> int:
    """1 where any of the parts breaks a law, or ends the process that tries it."""
    if command.new is not None:
        return begin(command, command.new, console)
    from benchmarks.runner import apart

    try:
        return apart.done(lambda console, ease: tried(command, console), console)
    except apart.Ended as reason:
        print(f"error: No verdict on what is tried: {reason}.", file=sys.stderr)
        return 1


def tried(command: Command, console: Console) -> int:
    """The same, in the process that the parts may do anything to."""
    import torch

    from benchmarks.laws.examination import examinations, show

    torch.set_num_threads(1)  # all tensors are small: more threads would wait for each other
    return max(show(one, console) for one in examinations(asked(command), command.set, command.data))


def begin(command: Command, name: str, console: Console) -> int:
    """Writes the file that a prior begins with into the current folder, and says what comes next."""
    from benchmarks.laws import beginning

    if command.plugin or command.prior or command.metric or command.dataset or command.set:
        raise UsageError("--new writes a file and tries nothing: leave out the other flags.")
    for line in beginning.next_steps(beginning.begin(name, Path()), name):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def asked(command: Command) -> list[tuple[str, str]]:
    """The parts that flags name, or else all that plug-ins register, by kind and name."""
    added = load_plugins(command.plugin)
    flags = {"prior": command.prior, "metric": command.metric, "data set": command.dataset}
    parts = [(kind, name) for kind, names in flags.items() for name in names] or [*added]
    if not parts:
        raise UsageError(
            "Nothing to try: pass --plugin FILE, or --prior, --metric or --dataset NAME for what is registered."
        )
    return parts


if __name__ == "__main__":
    sys.exit(main())
