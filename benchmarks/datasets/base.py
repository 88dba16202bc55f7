"""What a data set is: three splits as tensors, a binarisation rule, and a checksum of where they came from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from priors.registry import Registry, UnknownName
from priors.wording import Mistake

Binarisation = Literal["dynamic", "static", "expected", "none"]
"""Of x ~ Bernoulli(e), e the grey image: drawn afresh for every training batch; once; never in training, where e stands
for its expectation, and once for the test images, which the encoder sees as e; or no draw at all."""

FIXED_DRAW = 777
"""Seed of the one Bernoulli draw that validation and test images get: the same for every run and every method."""


class DataError(Mistake):
    """A data set that is unknown, missing, corrupt or unusable; the message is one sentence with the fix."""


@dataclass(frozen=True)
class Options:
    """How a loader may behave.

    download: fetch what is missing. any_checksum: take files whose checksum is not the published one.
    size: side of the square that images are cropped and scaled to (None: as stored).
    """

    download: bool = False
    any_checksum: bool = False
    size: int | None = None


@dataclass(frozen=True)
class Source:
    """What a loader returns: the three splits as stored, (N, *shape), uint8 or float, before any binarisation.

    An element is `stored * scale`. `binarisation` is the rule of the field for this data set, which a suite may change.
    `bounded` says that elements lie in [0, 1]; `levels` is the number of grey levels on that grid (None: continuous).
    `log_prob` is the exact log p(x) in nats, (B, *shape) -> (B,), where the data's law is known.
    `labels` are the classes of the three splits, (N,) each, where the data set has any. `stamp` is what else the digest
    is to depend on: of labels that a user may change, while the images stay as they are. `remark` is what every
    estimate on these files is to be read with, where they are not the published ones.
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    scale: float = 1.0
    binarisation: Binarisation = "none"
    bounded: bool = True
    levels: int | None = None
    log_prob: Callable[[Tensor], Tensor] | None = None
    labels: tuple[Tensor, Tensor, Tensor] | None = None
    stamp: str = ""
    remark: str = ""


def drawn(grey: Tensor) -> Tensor:
    """x ~ Bernoulli(grey), each number by itself: by comparison with uniform ones, in half of `torch.bernoulli`'s time,
    which a small network's step would notice."""
    return (torch.rand_like(grey) < grey).to(grey.dtype)


@dataclass(frozen=True)
class Split:
    """One split, resident on a device as stored. `split.batch(index)` or `split[index]` gives x as floating point.

    grey: where the images were drawn once as 0 and 1, those that they were drawn from.
    """

    stored: Tensor
    scale: float
    draws: bool = False  # a fresh Bernoulli draw for every batch
    grey: Split | None = None
    encoded_grey: bool = False  # the encoder sees the grey images, the likelihood scores the drawn ones

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, index: Tensor | slice | int, dtype: torch.dtype = torch.float32) -> Tensor:
        chosen = self.stored.index_select(0, index) if isinstance(index, Tensor) else self.stored[index]
        x = chosen.to(dtype) * self.scale
        return drawn(x) if self.draws else x

    def with_grey(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """x, and the grey images that it was drawn from, the same rows; None where it was not drawn."""
        if self.draws:
            grey = self.original.batch(index)
            return drawn(grey), grey
        return self.batch(index), None if self.grey is None else self.grey.batch(index)

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        return self.batch(index)

    @property
    def original(self) -> Split:
        """The images before any binarisation, which metrics and critics hold a model's pictures against."""
        return self.grey or replace(self, draws=False)

    @property
    def seen(self) -> Split:
        """What the encoder sees."""
        return self.original if self.encoded_grey else self

    def to(self, device: torch.device | str) -> Split:
        return replace(self, stored=self.stored.to(device), grey=self.grey and self.grey.to(device))


@dataclass(frozen=True)
class Dataset:
    """A data set ready for use. Under dynamic binarisation `train` draws afresh; the others never change."""

    name: str
    train: Split
    validation: Split
    test: Split
    binarisation: Binarisation
    bounded: bool
    levels: int | None
    log_prob: Callable[[Tensor], Tensor] | None
    digest: str
    labels: tuple[Tensor, Tensor, Tensor] | None = None
    remark: str = ""

    @property
    def step(self) -> float:
        """Between two grey levels of x, on a grid that starts at 0: 1/255 of most pictures, 1 where x is 0 or 1.

        It is the scale of whole numbers, which need not be 1 / (levels - 1): Frey faces are k / 256. Floats that are on
        a grid end at 1; where they are on none it is 1/255, into which a discrete likelihood moves them.
        """
        if self.levels == 2:  # what is drawn as 0 and 1 may be stored grey
            return 1.0
        return 1 / ((self.levels or 256) - 1) if self.train.stored.is_floating_point() else self.train.scale

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.train.stored.shape[1:])

    @property
    def of_pictures(self) -> bool:
        """Are these images with elements in [0, 1]?"""
        return self.bounded and len(self.shape) == 3

    def to(self, device: torch.device | str) -> Dataset:
        splits = {name: getattr(self, name).to(device) for name in ("train", "validation", "test")}
        return replace(self, **splits)


Loader = Callable[[Path, Options], Source]


@dataclass(frozen=True)
class Entry:
    """A data set by name. summary: what `list` prints of it. resizable: its loader heeds `Options.size`."""

    load: Loader
    summary: str
    resizable: bool


DATASETS: Registry[Entry] = Registry(
    "data set",
    ("benchmarks.datasets",),
    lambda part: isinstance(part, Entry) and callable(part.load),
    "a function (folder, options) -> Source",
    '@datasets.register("name", "summary")',
)


def register(name: str, summary: str, resizable: bool = False) -> Callable[[Loader], Loader]:
    """Names a loader. `summary` is what `list` prints of it; a `resizable` one heeds `Options.size`."""

    def keep(load: Loader) -> Loader:
        DATASETS.add(name, Entry(load, summary, resizable), load)
        return load

    return keep


def short_name(name: str) -> str:
    """What a data set is called where its path is nobody's business: the last folder of `folder:PATH`.

    >>> short_name("folder:/home/ann/flowers/"), short_name("digits")
    ('flowers', 'digits')
    """
    loader, _, path = name.partition(":")
    return (Path(os.path.abspath(Path(path).expanduser())).name or loader) if path else name


def check(name: str) -> Entry:
    """The data set's entry; DataError for a name that none has, with the near one."""
    try:
        return DATASETS[name.partition(":")[0]]
    except UnknownName as error:
        raise DataError(str(error)) from None


def load(name: str, folder: Path, options: Options = Options(), binarisation: Binarisation | None = None) -> Dataset:
    """The data set `name`, or `folder:PATH` for a user's own images, which are called by their folder's name, read
    below `folder`.

    Raises DataError where it is unknown, missing, corrupt, or cannot be binarised as asked.
    """
    entry, path = check(name), name.partition(":")[2]
    if options.size and not entry.resizable:
        raise DataError(f"Data set '{name}' has one size only: leave out protocol.size.")
    try:
        source = entry.load(Path(path) if path else folder, options)
    except OSError as error:  # no leave to read, or a path that is too long
        raise DataError(f"Data set '{name[:100]}' cannot be read: {error.strerror or error}.") from None
    return prepared(short_name(name), source, binarisation)


def prepared(name: str, source: Source, binarisation: Binarisation | None = None) -> Dataset:
    """The data set of a source, whoever loaded it. Raises DataError where it cannot be binarised as asked."""
    rule = binarisation or source.binarisation
    if rule != "none" and not source.bounded:
        raise DataError(f"Data set '{name}' has values outside [0, 1]: binarisation must be 'none', not '{rule}'.")
    train = Split(source.train, source.scale, draws=rule == "dynamic")
    validation, test = (Split(part, source.scale) for part in (source.validation, source.test))
    if rule in ("dynamic", "static"):
        validation, test = draw_once(validation, FIXED_DRAW), draw_once(test, FIXED_DRAW + 1)
    if rule == "expected":
        test = replace(draw_once(test, FIXED_DRAW + 1), encoded_grey=True)
    if rule == "static":
        train = draw_once(train, FIXED_DRAW + 2)
    return Dataset(
        name=name,
        train=train,
        validation=validation,
        test=test,
        binarisation=rule,
        bounded=source.bounded,
        levels=source.levels if rule == "none" else 2,
        log_prob=source.log_prob,
        digest=digest(source),
        labels=source.labels,
        remark=source.remark,
    )


def draw_once(split: Split, seed: int) -> Split:
    """x ~ Bernoulli(grey), drawn once, kept as 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    grey = split.stored.to(torch.float32) * split.scale
    return Split(torch.bernoulli(grey, generator=generator).to(torch.uint8), 1.0, grey=split)


def digest(source: Source) -> str:
    """SHA-256 of the images as loaded (values, shapes, types, scale) and of the source's stamp, which goes into every
    estimate's protocol."""
    total = hashlib.sha256(f"{source.scale!r}{source.stamp}".encode())
    for part in (source.train, source.validation, source.test):
        total.update(f"{tuple(part.shape)}{part.dtype}".encode())
        total.update(part.contiguous().numpy().data)
    return total.hexdigest()


def require(path: Path, name: str, how: str) -> Path:
    """The path, or DataError with how to get the file."""
    if not path.is_file():
        raise DataError(f"Data set '{name}' needs {path}, which is missing: {how}")
    return path


def verify(path: Path, name: str, sha256: str, options: Options) -> None:
    """Raises DataError unless the file's SHA-256 is the published one (or options.any_checksum)."""
    if options.any_checksum:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise DataError(
            f"Data set '{name}': {path} has SHA-256 {found[:12]}..., the published file {sha256[:12]}...: it is "
            "corrupt or another version; delete it and get it again, or pass --any-checksum to use it as it is."
        )


def split_off(images: Tensor, sizes: tuple[int, int, int], seed: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Train, validation and test of the given sizes, in the stored order or shuffled once by `seed`."""
    if sum(sizes) > len(images):
        raise DataError(f"{len(images)} examples cannot be split into {sizes[0]} + {sizes[1]} + {sizes[2]}.")
    if seed is not None:
        images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))]
    train, validation, test = images[: sum(sizes)].split(sizes)
    return train, validation, test
