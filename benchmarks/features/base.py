"""What a feature network is, what it sees, and how its features are computed in chunks and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

from benchmarks.common.files import write_atomically
from priors import sizes

ROWS = 16
"""Pictures at a time on a CPU. Inception is a third faster with 16 than with 64, in 0.4 GiB instead of 0.9."""

NUMBERS = 2**19
"""That Inception computes for a picture at once, about."""


class Features(NamedTuple):
    """What a network makes of pictures: points (N, F), on which distances are taken, and logits (N, C), float32."""

    points: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Network:
    """A feature network with fixed weights.

    name: as in an estimate's estimator ("inception-v3-compat", "classifier"). digest: the first eight hexadecimal
    digits of its weights' SHA-256. note: what a reader must know of it. extract: uint8 pictures (B, 1 or 3, H, W) on
    any device -> Features, on the network's own.
    """

    name: str
    digest: str
    note: str
    extract: Callable[[Tensor], Features]


@torch.no_grad()
def features_of(
    network: Network,
    pictures: Tensor,
    rows: int | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> Features:
    """Features of uint8 pictures (N, 1 or 3, H, W), on the CPU, `rows` pictures at a time where not as many as usual.

    The size of a chunk changes rounding alone. TF32, which keeps three digits, is off for the convolutions.
    progress: is told how many pictures are under way. Raises ValueError for another type or shape.
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        given = f"{pictures.dtype} of shape {tuple(pictures.shape)}"
        raise ValueError(f"pictures must be uint8 of shape (N, 1 or 3, H, W), not {given}")
    chunks, rows = [], rows or sizes.rows(pictures.device, NUMBERS, ROWS)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for start in range(0, len(pictures), rows):
            found = network.extract(pictures[start : start + rows])
            chunks.append(found)
            progress(start + len(found.points))
    return Features(*(torch.cat(parts).cpu() for parts in zip(*chunks, strict=True)))


# What the networks see


def pictures(x: Tensor) -> Tensor:
    """round(255 x) as uint8 with x clamped to [0, 1], of any shape; grey levels k / 255 give k again.

    Raises ValueError where a pixel is nan, which would silently become a grey level.
    """
    if x.isnan().any():
        raise ValueError(f"x has {int(x.isnan().sum())} pixels that are nan: it is no picture")
    return (255 * x.clamp(0, 1)).round().to(torch.uint8)


def stretched(pictures: Tensor) -> Tensor:
    """round(255 (x - min) / (max - min)), the extremes each picture's own, (N, C, H, W) uint8; a constant one stays.

    FlexAE's released code does so with the generated pictures before its FID, and not with the real ones: this is for
    estimates to be held against the paper's, which are marked, and for no others.
    """
    x = pictures.flatten(1).float()
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    scaled = (255 * (x - low) / (high - low)).round()
    return torch.where(high > low, scaled, x).to(torch.uint8).view_as(pictures)


# What is computed once and kept on disk


class Kept(NamedTuple):
    """Tensors by name, and words about them."""

    tensors: dict[str, Tensor]
    facts: dict[str, str]


def cached(folder: Path, network: Network, pictures: Tensor, compute: Callable[[], Features]) -> Features:
    """The network's features of a reference set: from `folder`, or else from `compute`, and kept there.

    The file's name has the digests of the network and of the pictures, so that neither can change unseen.
    """
    name = f"{network.name}-{network.digest}-{sha256(pictures=pictures)[:16]}.safetensors"
    return Features(**once(folder / name, lambda: Kept(compute()._asdict(), {})).tensors)


def once(path: Path, compute: Callable[[], Kept]) -> Kept:
    """The file's content; where it is missing or damaged, what `compute` gives, which is then written there.

    Of several processes one computes and the others wait for it. What fails is not kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        kept = read(path)
        if kept is None:
            tensors, facts = compute()
            kept = Kept(tensors, facts | {"sha256": sha256(**tensors)})
            content = safetensors.torch.save(*kept)
            write_atomically(path, lambda file: file.write(content))
    return kept


def read(path: Path) -> Kept | None:
    """What `once` wrote, or None where there is no such file or its values are not those that were written."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
            facts = file.metadata() or {}
    except (FileNotFoundError, SafetensorError):
        return None
    return Kept(tensors, facts) if facts.get("sha256") == sha256(**tensors) else None


def sha256(**tensors: Tensor) -> str:
    """SHA-256 of tensors: their names, types, shapes and values."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.cpu().contiguous().numpy().data)
    return total.hexdigest()
