"""Runs that differ in the seed alone, trained together: which are, and the work itself.

It comes before the runs and takes the place of none. Every run finds its training done, or its checkpoint, and is
carried out as always; whatever goes wrong here costs the time since the last checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import torch
from torch import nn

from benchmarks.common.errors import Stop
from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset
from benchmarks.runner.build import build, register
from benchmarks.runner.damage import damages
from benchmarks.runner.ensemble.course import train
from benchmarks.runner.ensemble.refusal import Unstackable
from benchmarks.runner.ensemble.stack import refuse_slow
from benchmarks.runner.execute import alarm
from benchmarks.runner.lease import Held, Lost
from benchmarks.runner.lifecycle import made_with, take_up
from benchmarks.runner.machine import reset_peak_memory
from benchmarks.runner.progress import TRAINED
from benchmarks.runner.record import Damaged
from benchmarks.runner.stages import conclude
from benchmarks.runner.train import Diverged, Progress, Trainer
from benchmarks.runner.workspace import Workspace
from priors.wording import in_one_line

STEPS = 4000
"""Fewest steps of a training at which preparing several together is repaid: it takes a second or two a player."""

LARGEST = 2**16
"""Most numbers of a parameter at which "auto" trains together on a CPU: larger products keep a processor busy by
themselves, one seed's at a time, and only what is between them is saved."""


# Which


def groups(runs: Sequence[Run], workspace: Workspace, workers: int) -> list[tuple[Run, ...]]:
    """The runs in their order, those together that may be trained together, in as many parts as there are workers.

    Where there are fewer parts than workers, the largest are halved: with "auto" as far as there are workers, as two
    seeds side by side are faster than together; with "on" never into single ones. Workers that share a GPU count once.
    """
    together: dict[str, list[Run]] = {}
    for run in runs:
        key = run.model_dump_json(exclude={"seed"}) if may_join(run, workspace) else run.name
        together.setdefault(key, []).append(run)
    parts = [tuple(part) for part in together.values()]
    least = 4 if workspace.stack == "on" else 2
    while len(parts) < processors(workspace.device, workers):
        largest = max(parts, key=len, default=())
        if len(largest) < least:
            break
        at, half = parts.index(largest), (len(largest) + 1) // 2
        parts[at : at + 1] = [largest[:half], largest[half:]]
    return parts


def processors(device: str, workers: int) -> int:
    """How many of so many workers do not wait for each other's device."""
    if torch.device(device).type != "cuda":
        return workers
    return min(workers, max(1, torch.cuda.device_count()) if device == "cuda" else 1)


def may_join(run: Run, workspace: Workspace) -> bool:
    """Is it still to be trained, and long enough? Its networks are looked at later."""
    if workspace.stack == "off" or run.prior is None:
        return False
    with suppress(Exception):  # the run meets the same error, and tells it
        long = workspace.stack == "on" or steps(run, workspace.on_cpu.dataset(run)) >= STEPS
        return long and workspace.record(run).read("training.json") is None
    return False


def steps(run: Run, data: Dataset) -> int:
    """Of its training, if no patience ends it."""
    return run.training.epochs * math.ceil(len(data.train) / run.training.batch_size)


# The work


def train_together(runs: Sequence[Run], workspace: Workspace) -> str:
    """Trains what can be of these runs, each into its own record, and tells why it could not; empty where all was well.

    Never raises for what goes wrong: the runs go on alone, and meet it again where it was not of being together.
    """
    try:
        with ExitStack() as held, alarm(len(runs) * workspace.seconds):
            register(workspace)
            train(trainers(claimed(runs, workspace, held), workspace), leave)
    except Lost as reason:
        return in_one_line(reason)
    except (KeyboardInterrupt, Stop):
        raise
    except Unstackable as reason:
        return str(reason)
    except BaseException as error:
        return in_one_line(error)
    return ""


def claimed(runs: Sequence[Run], workspace: Workspace, held: ExitStack) -> list[Run]:
    """Those that no other process holds and that are as they should be; they are held from now on."""
    found = []
    for run in runs:
        record = workspace.record(run)
        with suppress(Held, Damaged):
            held.enter_context(record.claim())
            untrained = record.read("training.json") is None and not damages(record)
            if untrained and made_with(record, workspace.dataset(run)):
                found.append(run)
    return found


def trainers(runs: Sequence[Run], workspace: Workspace) -> list[Trainer]:
    """Of every run, in a record that is ready; Unstackable where they are not worth it."""
    made: list[Trainer] = []
    if len(runs) < 2:
        return made
    for run in runs:
        data, record = workspace.dataset(run), workspace.record(run)
        model, prior = build(run, data)
        if not made:
            refuse_slow(model, prior)
            if workspace.stack == "auto":
                refuse_large(nn.ModuleList([model, prior]))
            reset_peak_memory(data.train.stored.device)
        take_up(run, workspace, record, data)
        made.append(Trainer(model, prior, data, run.training, run.seed, record, workspace.capture))
    return made


def refuse_large(both: nn.Module) -> None:
    """Unstackable for networks with which a CPU is busy as it is."""
    largest = max((one.numel() for one in both.parameters() if one.device.type == "cpu"), default=0)
    if largest > LARGEST:
        raise Unstackable(f"a layer of {largest:,} numbers is as fast alone on a CPU")


def leave(trainer: Trainer, how: Progress | Diverged) -> None:
    """What a run finds that is carried out later."""
    conclude(trainer, how)
    trainer.record.report(stage=TRAINED)
