"""MNIST and Fashion-MNIST, which share one format: the images of an idx file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from benchmarks.datasets.base import DataError, Options, Source, digest, register, require, verify
from benchmarks.datasets.files import downloading, expect, reading
from benchmarks.datasets.vision import torchvision

PUBLISHED = {"train-images-idx3-ubyte": 60_000, "t10k-images-idx3-ubyte": 10_000}
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
}


FIRST_CLASSES = (9, 0, 0, 3, 0, 2, 7, 2, 5, 5), (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)
"""Of Fashion-MNIST's training and test images, as they are published."""


@register("mnist", "70,000 handwritten digits, 1x28x28 grey, 50k/10k/10k, dynamic")
def mnist(folder: Path, options: Options) -> Source:
    """LeCun et al. (1998), in MNIST/raw; the raw files are held against their SHA-256."""
    return _images("mnist", "MNIST", "11 MB", MNIST_SHA256, folder, options)


@register("fashion-mnist", "70,000 articles of clothing, 1x28x28 grey, 50k/10k/10k, dynamic")
def fashion_mnist(folder: Path, options: Options) -> Source:
    """Xiao et al. (2017, arXiv:1708.07747), in FashionMNIST/raw, 50k / 10k / 10k in the stored order.

    The known checksums are MD5s of the compressed files, which torchvision compares on download. The raw files are
    checked for their format and the number of images; the digest in the protocol tells one version from another. Files
    in another order have another split: by their labels they are told, and every estimate on them says so.
    """
    source = _images("fashion-mnist", "FashionMNIST", "30 MB", {}, folder, options)
    return replace(source, remark=other_order(source))


def other_order(source: Source) -> str:
    """What is to be said of files whose first classes are not those of the published ones; empty where they are, or
    where there are no labels."""
    if not source.labels:
        return ""
    first = tuple(tuple(source.labels[split][:10].tolist()) for split in (0, 2))
    if first == FIRST_CLASSES:
        return ""
    return f"not in the published order of Fashion-MNIST, so another split (images {digest(source)[:8]})"


def _images(name: str, kind: str, size: str, sha256: Mapping[str, str], folder: Path, options: Options) -> Source:
    """uint8 (N, 1, 28, 28), with labels where their files are there."""
    raw = folder / kind / "raw"
    if options.download and not all((raw / file).is_file() for file in PUBLISHED):
        _download(name, kind, folder)
    for file in PUBLISHED:
        how = f"add --download to fetch it ({size}), or put the uncompressed {file} there."
        require(raw / file, name, how)
        if file in sha256:
            verify(raw / file, name, sha256[file], options)
    train, test = (read_idx(raw / file, name, count, options) for file, count in PUBLISHED.items())
    splits, labels = hold_out(train, test), read_labels(raw, name, (len(train), len(test)))
    return Source(*splits, scale=1 / 255, binarisation="dynamic", levels=256, labels=labels and hold_out(*labels))


def hold_out(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Train, validation and test: the last sixth of the training part (10,000 of 60,000) is for validation."""
    held_out = len(train) // 6
    rest, validation = train.split([len(train) - held_out, held_out])
    return rest, validation, test


def _download(name: str, kind: str, folder: Path) -> None:
    dataset = getattr(torchvision().datasets, kind)
    with downloading(name, dataset.mirrors[0], folder / kind / "raw"):
        dataset(folder, download=True)


def read_labels(raw: Path, name: str, counts: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    """Classes of the training and test images; None where a file is missing: only the classifier needs them."""
    paths = [raw / file.replace("images-idx3", "labels-idx1") for file in PUBLISHED]
    if not all(path.is_file() for path in paths):
        return None
    train, test = (_labels(path, name, count) for path, count in zip(paths, counts, strict=True))
    return train, test


def _labels(path: Path, name: str, images: int) -> Tensor:
    with reading(name, path):
        labels: Tensor = torchvision().datasets.mnist.read_label_file(path)
    if len(labels) != images:
        raise DataError(f"Data set '{name}': {path} holds {len(labels)} labels of {images} images: get both again.")
    return labels


def read_idx(path: Path, name: str, published: int, options: Options) -> Tensor:
    """The images of an idx file (a magic number, the sizes, the bytes), uint8 (N, 1, 28, 28)."""
    read = torchvision().datasets.mnist.read_image_file
    with reading(name, path):
        images: Tensor = read(path)
    if images.shape[1:] != (28, 28):
        raise DataError(
            f"Data set '{name}': {path} holds images of {tuple(images.shape[1:])} and not (28, 28): it is another "
            "file; delete it and get it again."
        )
    expect(len(images), published, name, path, options)
    return images.unsqueeze(1)
