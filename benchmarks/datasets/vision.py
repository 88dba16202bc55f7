"""torchvision, imported where it is needed: it knows where several data sets lie and which MD5 their files have."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.datasets.base import DataError, Options

_kept: list[torch.library.Library] = []
"""Operators vanish with the Library that declared them, so it is kept."""


def torchvision() -> ModuleType:
    """The module torchvision, also where its compiled part does not fit the installed torch.

    Package indices easily give a CUDA build of torchvision beside a CPU build of torch. Its compiled operators then
    fail to load, which torchvision tolerates, but it goes on to describe the operator `nms` and stops with "operator
    torchvision::nms does not exist". Nothing here detects objects: declaring the two operators that it describes
    unconditionally, without an implementation, is enough for its data sets. A fitting torchvision is left alone.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise DataError("This data set needs torchvision: install it with `pip install torchvision`.") from error
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    for module in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[module]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)
    return importlib.import_module("torchvision")


def check_md5(path: Path, md5: str, name: str, options: Options) -> None:
    """Raises DataError unless the file's MD5 is the one that torchvision knows (or options.any_checksum)."""
    if not options.any_checksum and not torchvision().datasets.utils.check_integrity(path, md5):
        raise DataError(
            f"Data set '{name}': {path} has not the published MD5 {md5}: it is corrupt or another version; delete it "
            "and get it again, or pass --any-checksum to use it as it is."
        )
