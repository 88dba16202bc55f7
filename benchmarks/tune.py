"""The command `python -m benchmarks.tune`: the best settings of a method, found on validation images.

What does the work is imported by the functions that do it, so that `--help` waits for neither torch nor Optuna.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from rich.console import Console

from benchmarks.cli import (
    Selection,
    Several,
    Work,
    check_least,
    check_writable,
    load_plugins,
    named,
    parse,
    status,
    workspace_of,
)
from benchmarks.common.errors import UsageError, find
from benchmarks.common.screen import Screen
from benchmarks.tuning import SAMPLES

if TYPE_CHECKING:
    from benchmarks.tuning.plan import Plan
    from benchmarks.tuning.validation import ValidationWorkspace

PLANNED = ("dataset", "method", "objective", "trials", "space", "seeds", "samples", "preset", "set", "name", "storage")
"""Flags that a plan takes as they are."""


@dataclass(frozen=True)
class Command(Work):
    """Tunes methods of a suite on its validation images; test images take no part.

    What is searched: the ranges that the method's prior and regularisers declare, but for what makes the method what it
    is (the catalogue's settings, the suite's [method.NAME], and what --set gives). The first trial is the suite's own
    settings. One objective: unpromising trials are cut short where the validation loss tells. Two: the trials that no
    other beats in both, and none is cut short.

    RESULTS/studies/SUITE-DATASET-METHOD.toml is a suite with the best settings, for `python -m benchmarks.run --suite`;
    beside it are the trials (.csv), their history and the settings' importance (.png), and the study itself (.db).
    After Ctrl-C or a crash the same command goes on. Copies of it, on any machine that reaches the --storage, join in.

    For example:
      python -m benchmarks.tune --suite quickstart --method vampprior
      python -m benchmarks.tune --suite quickstart --method vampprior mixture --trials 50 --workers 2
      python -m benchmarks.tune --suite table1 --dataset mnist --workers 8 --executor slurm --gpus 1
      python -m benchmarks.tune --suite quickstart --method pullback --objective nll fd --set training.epochs=50
      python -m benchmarks.tune --suite quickstart --method gaussian --space training.lr=1e-4:1e-2:log
    """

    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Methods, tuned in turn, each by equally many trials (default: all of the suite's that have something to tune)."""
    dataset: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Data sets, each with a study of its own (default: the suite's)."""
    objective: Annotated[tuple[str, ...], named("NAME ...")] = ("nll",)
    """nll: -ln p(x) in nats an image. fd: Frechet distance of generated images in a classifier's features. Or both."""
    trials: Annotated[int, named("N")] = 30
    """Trials of the whole study, those of earlier commands included; what fails counts."""
    space: Annotated[tuple[str, ...], Several, named("KEY=LOW:HIGH")] = ()
    """Search this too, or in this range: --space prior.vampprior.components=10:500:log, --space training.lr=1e-4:1e-2,
    --space prior.pullback.penalty=wgan-gp,wgan-div-1. May be repeated."""
    seeds: Annotated[tuple[int, ...], named("SEED ...")] = ()
    """Seeds whose mean estimate is a trial's (default: the suite's first)."""
    samples: Annotated[int, named("K")] = SAMPLES
    """Importance samples an image of the objective nll."""
    preset: Annotated[str | None, named("NAME")] = None
    """A smaller budget that the suite offers."""
    set: Annotated[tuple[str, ...], Several, named("KEY=VALUE")] = ()
    """Fix a setting for all trials: --set training.epochs=50. What is fixed is not searched. May be repeated."""
    name: Annotated[str | None, named("NAME")] = None
    """Begins the studies' names, in the place of the suite's."""
    storage: Annotated[str | None, named("URL")] = None
    """A database for studies that several machines share, as postgresql://HOST/NAME (default: a SQLite file each)."""
    executor: Annotated[str, named("NAME")] = ""
    """What carries out the runs of trials (docs/clusters.md): serial, in this process, which is the default with one
    worker; local, a process a run, the default with several; slurm; ray; or one that a plug-in registers."""
    workers: int = 1
    """Trials at once: so many are asked for, carried out, and told together. With as many the trials are the same each
    time."""

    @property
    def carried_out_by(self) -> str:
        """The executor's name."""
        return self.executor or ("serial" if self.workers == 1 else "local")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 every study has a best trial, 1 one has none, 2 wrong usage, 130 stopped by Ctrl-C."""
    return status(lambda: tune(parse(Command, arguments, "tune"), Screen()))


def tune(command: Command, console: Console) -> int:
    """One study after another, each written when it ends; then the methods of a data set as one suite."""
    from benchmarks.tables import table
    from benchmarks.tuning.campaign import carry_out_all

    plan = planned(command)
    return carry_out_all(plan, command.carried_out_by, command.resources(), console, table.write)


def planned(command: Command) -> Plan:
    """What is to be tuned, after all checks that need no run."""
    from benchmarks.config import suite
    from benchmarks.tuning.plan import Plan, check_objectives

    chosen = suite.read(command.suite)
    check_numbers(command)
    check_objectives(command.objective)
    plugins = load_plugins(command.plugin)
    how = {name: getattr(command, name) for name in PLANNED}
    return Plan(chosen, workspace(command), plugins, **how, places=places(command))


def places(command: Command) -> tuple[str, ...]:
    """The flags that a command on the tuned suite needs, to find what this one did: those that were given."""
    flags = [word for path in command.plugin for word in ("--plugin", str(path))]
    for name in ("data", "results", "device"):
        if getattr(command, name) != getattr(Selection, name):
            flags += [f"--{name}", str(getattr(command, name))]
    return tuple(flags)


def check_numbers(command: Command) -> None:
    """Raises UsageError for a number, an executor or a database that cannot be."""
    from benchmarks.runner.executors import EXECUTORS

    check_least(command, 1, "trials", "workers", "samples")
    command.resources()
    find(EXECUTORS, command.carried_out_by)
    if (command.storage or "").rstrip("/") == "sqlite:":
        raise UsageError(f"--storage {command.storage}: name the file, such as sqlite:///FILE.")


def workspace(command: Command) -> ValidationWorkspace:
    """Where trials happen: in a folder of their own, on validation images."""
    from benchmarks.tuning.validation import ValidationWorkspace

    usual = workspace_of(command)
    check_writable(command.results)
    return ValidationWorkspace(command.results / "studies", usual.data, usual.device, usual.options, usual.plugins)


if __name__ == "__main__":
    sys.exit(main())
