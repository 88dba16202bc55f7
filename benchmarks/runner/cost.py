"""What a run's training took."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.estimators.estimate import Estimate
from benchmarks.estimators.estimator import SHARE, Estimator
from benchmarks.runner.machine import peak_memory
from benchmarks.runner.train import Progress
from priors.base import parameter_count


def cost(both: nn.Module, progress: Progress, device: torch.device) -> list[Estimate]:
    """What training took; but for the parameters it differs from machine to machine and from time to time.

    Seconds by the clock are longer where other programs share the machine; those of the processor are not, and are the
    host's alone where an accelerator computes. Of a training that was computed together with others, "shared": its
    seconds are an equal share of theirs, and the memory is that of all.
    """
    how = SHARE if progress.shared else ""
    memory = Estimator("process" if device.type == "cpu" else "device", variant=how)
    clock = Estimator("wall-clock", variant=how)
    return [
        Estimate("parameters", Estimator("exact"), parameter_count(both), "count", "lower"),
        Estimate("training_time", clock, round(progress.seconds, 3), "s", "lower"),
        Estimate("processor_time", Estimator("process", variant=how), round(progress.worked, 3), "s", "lower"),
        Estimate("training_time_an_epoch", clock, progress.seconds / max(1, progress.epoch), "s", "lower"),
        Estimate("training_memory", memory, round(peak_memory(device), 1), "MiB", "lower"),
    ]
