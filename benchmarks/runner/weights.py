"""A run's tensors on the disk: kept as safetensors files beside its record, and recalled from there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import nn

from benchmarks.runner.record import Record


def keep(tensors: Mapping[str, torch.Tensor], record: Record, name: str) -> None:
    """Tensors as a safetensors file; those that share memory are written apart, as the format wants them."""
    state = {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    record.put(name, lambda file: file.write(safetensors_bytes(state)))


def recall_weights(both: nn.ModuleDict, record: Record) -> None:
    """The weights that training ended with, on the modules' own device; Damaged where they are not these."""
    both.load_state_dict(load_file(record.verified("weights.safetensors", "training.json")))
    both.eval()
