"""Image files through Pillow: decoded, turned upright, cropped, scaled, as uint8 (C, H, W)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.datasets.base import DataError
from benchmarks.datasets.files import reading

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
"""Left, upper, right, lower, as Pillow has it."""

REMEDY = "replace it or take it away"


def mode(path: Path, name: str) -> str:
    """Pillow's mode of the image ("L", "RGB", ...), from its header. Raises DataError above 8 bits a channel."""
    from PIL import Image

    with reading(name, path, REMEDY), Image.open(path) as image:
        found: str = image.mode
    if found[0] in "IF":
        raise DataError(
            f"Data set '{name}': {path} has more than 8 bits a channel (mode {found}): convert it to 8-bit grey or RGB."
        )
    return found


def picture(path: Path, name: str, grey: bool, side: int | None = None, box: Box | None = None) -> Tensor:
    """The image as uint8 (1 or 3, H, W), scaled to `side` x `side` if given, from `box` or else the central square."""
    import numpy as np
    from PIL import Image, ImageOps

    with reading(name, path, REMEDY), Image.open(path) as image:
        # Cameras store how the image is to be turned beside the pixels.
        upright = ImageOps.exif_transpose(image).convert("L" if grey else "RGB")
        if side is not None:
            # Cropped first: resize(box=...) would blend in what lies just outside the box. Pillow's filters widen with
            # the factor when scaling down, which is the antialiasing.
            square = upright.crop(box or central_square(upright))
            upright = square.resize((side, side), Image.Resampling.BILINEAR)
        pixels = np.array(upright, dtype=np.uint8)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous()


def central_square(image: Image) -> Box:
    """The largest square in the middle of the image."""
    side = min(image.size)
    left, upper = (image.width - side) // 2, (image.height - side) // 2
    return left, upper, left + side, upper + side
