"""Model and prior of a run, built before hours of work, so that all that cannot be is told at once in one sentence."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from benchmarks.common.errors import UsageError
from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset
from benchmarks.runner.blame import advice, place
from benchmarks.runner.build import build
from benchmarks.runner.limited import Large, Limited
from models.base import Autoencoder
from priors.base import Prior, Unsupported
from priors.wording import in_one_line

COPIES = 4
"""Of the weights that training needs: themselves, their gradients and Adam's two moments."""

SMALL = 64
"""Of the machine's memory, the part that networks may take without being weighed first."""

GROUP = Path("/sys/fs/cgroup/memory.max")
"""What a container may take, on Linux."""


def rehearse(run: Run, data: Dataset) -> None:
    """Builds a run's model and prior, so that what cannot be built is told at once.

    A pair that is undefined is not a mistake: its run says so in the table.
    """
    if run.prior is None:
        return
    with suppress(Unsupported):
        built(run, data)


def built(run: Run, data: Dataset) -> tuple[Autoencoder, Prior]:
    """Model and prior; Unsupported for a pair that is undefined, UsageError for all else that goes wrong.

    A constructor may be anyone's, and raise anything.
    """
    where = f"{run.suite} ({run.method} on {run.dataset})"
    try:
        return built_within(run, data, where)
    except (Unsupported, UsageError):
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{where}: {told(error).rstrip('.')}{place(error, run)}.{advice(run)}") from None


def built_within(run: Run, data: Dataset, where: str) -> tuple[Autoencoder, Prior]:
    """Model and prior, which are weighed first where they are not small.

    Without numbers torch computes only after it has imported its compiler, which takes two seconds.
    """
    with suppress(Large), Limited(memory() / SMALL):
        return build(run, data)
    refuse_oversized(run, data, where)
    return build(run, data)


def told(error: BaseException) -> str:
    """A ValueError is a sentence for people; of others the type tells more than the text."""
    return str(error) if type(error) is ValueError and str(error) else in_one_line(error)


def refuse_oversized(run: Run, data: Dataset, where: str) -> None:
    """Raises UsageError for networks that need more memory than there is, without taking any: where a system promises
    more than it has, it kills the process that uses it."""
    need, have = COPIES * weight(run, data), memory()
    if need > have:
        raise UsageError(
            f"{where}: training needs {need / 2**30:,.1f} GiB for the weights alone and this machine has "
            f"{have / 2**30:,.1f}: make model.latent_dim, model.widths or the prior's own settings smaller."
        )


def weight(run: Run, data: Dataset) -> int:
    """Bytes of the weights of model and prior, which are built without numbers; 0 where one needs numbers to be built,
    or cannot be: then it is built in earnest, and says why."""
    with suppress(Exception, SystemExit), torch.device("meta"):
        model, prior = build(run, data.to("meta"))
        both = nn.ModuleDict({"model": model, "prior": prior})
        return sum(one.numel() * one.element_size() for one in (*both.parameters(), *both.buffers()))
    return 0


def memory() -> float:
    """Bytes that this machine, or container, has; infinite where the system does not tell."""
    with suppress(ValueError, OSError, AttributeError):  # no such name; not on Windows
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        with suppress(ValueError, OSError):  # "max"
            return min(whole, int(GROUP.read_text(encoding="ascii")))
        return whole
    return float("inf")
