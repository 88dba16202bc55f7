"""The Inception network of FID, KID and IS, as torch-fidelity has it, under the published weights."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.common.errors import UsageError
from benchmarks.datasets.vision import torchvision
from benchmarks.features.base import Features, Network

if TYPE_CHECKING:
    from torch_fidelity import FeatureExtractorInceptionV3

NAME = "inception-v3-compat"
FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
PUBLISHED_BYTES = 95_628_359

REMEDY = (
    f"get {URL} (91 MiB) and put it into torch.hub's folder, usually ~/.cache/torch/hub/checkpoints, or name it with "
    "--inception-weights FILE"
)

HOW = f"Inception's weights are not at hand: {REMEDY}"
"""Why an estimate that needs them is not computed."""


class WeightsError(UsageError):
    """Weights that are missing, damaged or not the published ones; the message is one sentence with the fix."""


def find(path: Path | None) -> Path | None:
    """The file that was named, or else the one in torch.hub's folder of checkpoints; None where there is none.

    Raises WeightsError where a file was named that does not exist.
    """
    if path is not None:
        return existing(path)
    usual = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    return usual if usual.is_file() else None


def existing(path: Path) -> Path:
    """The path of a file, or WeightsError."""
    if not path.is_file():
        raise WeightsError(f"Inception's weights {path}: there is no such file; {REMEDY}.")
    return path


def load(path: Path, sha256: str = PUBLISHED_SHA256, device: torch.device | str = "cpu") -> Network:
    """The network under the weights in `path`: points (N, 2048) after the last pooling, logits (N, 1008) without bias.

    Grey pictures are seen with three equal channels, and all are enlarged to 299 x 299 as TensorFlow 1 did it (Szegedy
    et al. 2016; Heusel et al. 2017). The file is a pickle, which can run code: nothing of it is unpickled before its
    SHA-256 is found to be `sha256`, and what is unpickled are the very bytes that were checked.

    Raises WeightsError where the file is missing, has another SHA-256 or holds no weights of this network. There is no
    network with random weights.
    """
    content = existing(path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise WeightsError(f"Inception's weights {path} {difference(len(content), digest, sha256)}; {REMEDY}.")
    extractor = build(content, path).to(device)
    others = "" if sha256 == PUBLISHED_SHA256 else ", which are not the published ones"

    def extract(pictures: Tensor) -> Features:
        return Features(*extractor(pictures.to(device).expand(-1, 3, -1, -1)))

    return Network(NAME, digest[:8], f"Inception-v3 of 2015, weights {digest[:8]}{others}", extract)


def difference(size: int, found: str, expected: str) -> str:
    """What is wrong with a file of another SHA-256."""
    if size < PUBLISHED_BYTES:
        return f"are truncated: {size:,} bytes, where the published ones have {PUBLISHED_BYTES:,}"
    return f"are damaged or others: SHA-256 {found[:12]}... instead of {expected[:12]}..."


def build(content: bytes, path: Path) -> FeatureExtractorInceptionV3:
    """torch-fidelity's network with the weights that `content` pickles. Leaves the random state as it is."""
    torchvision()  # torch-fidelity imports it too
    from torch_fidelity import FeatureExtractorInceptionV3

    try:
        with torch.random.fork_rng(devices=[]):  # weights are first drawn, then replaced
            return FeatureExtractorInceptionV3(NAME, ["2048", "logits_unbiased"], io.BytesIO(content))
    except Exception as error:  # unpickling and load_state_dict raise nearly anything
        raise WeightsError(
            f"Inception's weights {path} have the SHA-256 asked for, but cannot be loaded ({type(error).__name__}): "
            f"they are no weights of this network; {REMEDY}."
        ) from error
