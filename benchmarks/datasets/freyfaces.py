"""Frey Faces: grey video frames of one face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks.datasets.base import DataError, Options, Source, register, split_off
from benchmarks.datasets.files import expect, obtain
from benchmarks.datasets.matlab import matrices

URL = "https://cs.nyu.edu/~roweis/data/frey_rawface.mat"
SHA256 = "8d50beb780ab2ab6c72397f93b096620405ad5eb428e8ab97f61b4ecf3305504"
PUBLISHED = 1965
HELD_OUT = 200
SEED = 42


@register("freyfaces", "1965 video frames of a face, 1x28x20 grey, 1565/200/200, not binarised")
def load(folder: Path, options: Options) -> Source:
    """Brendan Frey's face, published by Roweis: FreyFaces/frey_rawface.mat, matrix 'ff' (560, 1965) of bytes.

    A column is a face of 28 rows and 20 columns, row by row. Frames follow each other in time, so they are shuffled
    once before the split; the parts are therefore close to each other, here as in the literature. The order is that of
    Takahashi et al.'s (2019) released code, so the test set is theirs, which matters: with 200 test images another
    split moves the log-likelihood by more than ten nats.

    An element is byte / 256, as in that code, and not byte / 255: a density on [0, 1] moves by
    560 ln(256 / 255) = 2.2 nats an image between the two.
    """
    path = obtain(folder / "FreyFaces" / "frey_rawface.mat", URL, "freyfaces", options, "1 MB", SHA256)
    (faces,) = matrices(path, "freyfaces", {"ff": 560})
    if faces.dtype != "uint8":
        raise DataError(f"Data set 'freyfaces': {path} holds {faces.dtype} and not bytes; delete it and get it again.")
    expect(faces.shape[1], PUBLISHED, "freyfaces", path, options)
    order = np.random.RandomState(SEED).permutation(faces.shape[1])
    images = torch.from_numpy(faces.T[order]).view(-1, 1, 28, 20)
    held_out = len(images) * HELD_OUT // PUBLISHED
    sizes = (len(images) - 2 * held_out, held_out, held_out)
    return Source(*split_off(images, sizes), scale=1 / 256, levels=256)
