"""Frey Faces: grey video frames of one face."""

from __future__ import annotations

from pathlib import Path

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
    once by a seed before the split; the parts are therefore close to each other, here as in the literature.

    An element is byte / 256, as in the released code of Takahashi et al. (2019), and not byte / 255: a density on
    [0, 1] moves by 560 ln(256 / 255) = 2.2 nats an image between the two.
    """
    path = obtain(folder / "FreyFaces" / "frey_rawface.mat", URL, "freyfaces", options, "1 MB", SHA256)
    (faces,) = matrices(path, "freyfaces", {"ff": 560})
    if faces.dtype != "uint8":
        raise DataError(f"Data set 'freyfaces': {path} holds {faces.dtype} and not bytes; delete it and get it again.")
    expect(faces.shape[1], PUBLISHED, "freyfaces", path, options)
    images = torch.from_numpy(faces.T.copy()).view(-1, 1, 28, 20)
    held_out = len(images) * HELD_OUT // PUBLISHED
    sizes = (len(images) - 2 * held_out, held_out, held_out)
    return Source(*split_off(images, sizes, SEED), scale=1 / 256, levels=256)
