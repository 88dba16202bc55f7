"""scikit-learn's digits: a data set that needs no download."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.datasets.base import Options, Source, register, split_off

SIZES = (1197, 300, 300)
SEED = 42


@register("digits", "1797 digits of scikit-learn, 1x8x8 grey, dynamic; comes with the package")
def load(folder: Path, options: Options) -> Source:
    """The test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998).

    1797 images of 8 x 8 values 0 to 16 (each counts the inked pixels of a 4 x 4 block), split 1197 / 300 / 300 after
    one seeded shuffle, because neighbours come from the same writer. An element is value / 16.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
    labels = split_off(torch.from_numpy(digits.target).long(), SIZES, SEED)
    splits = split_off(images, SIZES, SEED)
    return Source(*splits, scale=1 / 16, binarisation="dynamic", levels=17, labels=labels)
