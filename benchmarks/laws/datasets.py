"""Laws of a data set: what its loader gives, and what it says where its files are not there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from benchmarks import datasets
from benchmarks.datasets.base import Binarisation, DataError, Dataset, Entry, Options, Source
from benchmarks.laws.training import described
from priors.conformance.law import Broken, NotApplicable, demand, law

SPLITS = ("train", "validation", "test")

NOT_HERE = "its files are not here"

ROUNDING = 1e-6
"""Of elements of x in float32."""


@dataclass(frozen=True)
class DatasetTrial:
    """A registered data set, read below a folder. name: as suites have it, `folder:PATH` for one with a path."""

    name: str
    folder: Path
    options: Options = field(default_factory=Options)

    @property
    def entry(self) -> Entry:
        """DataError with the near name for an unknown one."""
        return datasets.check(self.name)

    @property
    def kind(self) -> Any:
        """The loader."""
        return self.entry.load

    @property
    def title(self) -> str:
        return self.entry.summary

    @cached_property
    def read(self) -> Source | DataError:
        """What the loader gives, or its word on what is missing."""
        path = self.name.partition(":")[2]
        try:
            return self.entry.load(Path(path) if path else self.folder, self.options)
        except DataError as error:
            return error

    @property
    def source(self) -> Source:
        """What the loader gives; NotApplicable where its files are not here."""
        if isinstance(self.read, DataError):
            raise NotApplicable(NOT_HERE)
        return self.read

    @property
    def splits(self) -> dict[str, Tensor]:
        """The three as stored."""
        return {name: getattr(self.source, name) for name in SPLITS}

    def seeded_digest(self, seed: int) -> str:
        """Of the images, read anew at another random state; NotApplicable where they are not here."""
        if isinstance(self.read, DataError):
            raise NotApplicable(NOT_HERE)
        torch.manual_seed(seed)
        return self.load("none").digest

    def load(self, rule: Binarisation | None = None) -> Dataset:
        return datasets.load(self.name, self.folder, self.options, rule)


@law(after=(described,))
def missing(trial: DatasetTrial) -> None:
    """Where its folder is empty it needs none, or says in one sentence what is missing."""
    with tempfile.TemporaryDirectory() as folder:
        name = f"{trial.name.partition(':')[0]}:{folder}" if ":" in trial.name else trial.name
        try:
            datasets.load(name, Path(folder))
        except DataError as error:
            told = str(error).strip()
            fix = "say in one sentence how to get the files"
            demand(bool(told) and "\n" not in told, f"it says {told!r}"[:150], fix)


@law(after=(described,))
def reads(trial: DatasetTrial) -> None:
    """Its loader gives a Source where its files are there."""
    if isinstance(trial.read, DataError):
        raise NotApplicable(str(trial.read))
    demand(isinstance(trial.read, Source), f"it gives {trial.read!r}"[:150], "return datasets.Source(...)")


@law(after=(reads,))
def splits(trial: DatasetTrial) -> None:
    """Training, validation and test are tensors (N, *shape) of one shape and type, of finite numbers, none empty."""
    for name, part in trial.splits.items():
        sound = isinstance(part, Tensor) and part.dim() > 1 and len(part) > 0
        demand(sound, f"{name} is {tuple(part.shape) if isinstance(part, Tensor) else part!r}", "give (N, *shape)")
        fix = "store uint8 with a scale, or float32"
        demand(part.dtype == torch.uint8 or part.is_floating_point(), f"{name} is {part.dtype}", fix)
        demand(bool(part.isfinite().all()), f"{name} has numbers that are not finite", "leave such rows out")
    forms = {(tuple(part.shape[1:]), part.dtype) for part in trial.splits.values()}
    demand(len(forms) == 1, f"they differ: {forms}", "give all three one shape and one type")


@law(after=(splits,))
def bounds(trial: DatasetTrial) -> None:
    """Where it is `bounded`, x lies in [0, 1]."""
    if not trial.source.bounded:
        raise NotApplicable("it is not `bounded`")
    for name, part in trial.splits.items():
        low, high = (end.item() * trial.source.scale for end in part.aminmax())
        sound = low >= -ROUNDING and high <= 1 + ROUNDING
        demand(sound, f"{name} lies in [{low:.4g}, {high:.4g}]", "scale it, or say bounded=False")


@law(after=(bounds,))
def grid(trial: DatasetTrial) -> None:
    """Where it has `levels`, x is whole steps from 0: of its scale or, stored as floats, of 1/(levels-1)."""
    levels = trial.source.levels
    if levels is None:
        raise NotApplicable("it has no grey levels")
    for name, part in trial.splits.items():
        step = 1 / (levels - 1) if part.is_floating_point() else trial.source.scale
        number = part.to(torch.float64) * (trial.source.scale / step)
        off = (number - number.round()).abs().max().item()
        demand(off < 1e-3, f"{name} is off its grid by {off:.2g} steps", "say levels=None for what is on no grid")
        highest = number.max().item()
        demand(highest < levels - 0.5, f"{name} has level {highest:.0f}", f"levels={levels} is too few")


@law(after=(splits,))
def again(trial: DatasetTrial) -> None:
    """Read twice it is the same, by its digest: a split or a draw of its own has a seed of its own."""
    first, second = (trial.seeded_digest(seed) for seed in (1, 2))
    fix = "draw by a torch.Generator with a fixed seed; sort the names of files"
    demand(first == second, f"the digests are {first[:8]} and {second[:8]}", fix)


@law(after=(splits,))
def labels(trial: DatasetTrial) -> None:
    """Where it has labels, each split has one whole number for every example."""
    if trial.source.labels is None:
        raise NotApplicable("it has no labels")
    for (name, part), found in zip(trial.splits.items(), trial.source.labels, strict=True):
        sound = tuple(found.shape) == (len(part),) and not found.is_floating_point()
        demand(sound, f"of {name}: {found.dtype} {tuple(found.shape)} for {len(part)}", "one whole number an example")


@law(after=(bounds,))
def binarisation(trial: DatasetTrial) -> None:
    """Its own rule and all others can be applied, and draw 0 and 1; without bounds the rule is none."""
    rules = get_args(Binarisation)
    own = trial.source.binarisation
    demand(own in rules, f"binarisation = {own!r}", f"one of {', '.join(rules)}")
    if not trial.source.bounded:
        demand(own == "none", f"its rule is {own!r}, and x may lie outside [0, 1]", "say binarisation='none'")
        raise NotApplicable("it is not `bounded`: it is never drawn")
    for rule in rules:
        data = trial.load(rule)
        drawn = {"dynamic": (data.train, data.test), "static": (data.train, data.test), "expected": (data.test,)}
        for split in drawn.get(rule, ()):
            x = split[:100]
            if not ((x == 0) | (x == 1)).all():
                raise Broken(f"{rule} gives other numbers than 0 and 1", "check scale and bounds")


@law(after=(splits,))
def exact(trial: DatasetTrial) -> None:
    """Where it knows the exact log p(x), that is a finite number for every row."""
    if trial.source.log_prob is None:
        raise NotApplicable("its law is not known")
    x = trial.load("none").test[:50]
    found = trial.source.log_prob(x)
    sound = tuple(found.shape) == (len(x),) and bool(found.isfinite().all())
    demand(
        sound, f"{tuple(found.shape)} for {len(x)} rows, finite: {bool(found.isfinite().all())}", "(B, *shape) -> (B,)"
    )


LAWS_OF_DATASETS = (described, missing, reads, splits, bounds, grid, again, labels, binarisation, exact)
