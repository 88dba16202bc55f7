"""Makes the classifiers that come with the project, by the recipe that any other data set's is made by.

    python -m benchmarks.features.ship --data DIR

Files that are there stay: delete one to have it made anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks import datasets
from benchmarks.features.base import pictures
from benchmarks.features.classifier import SHIPPED, classifier

NAMES = ("digits", "mnist", "fashion-mnist")


def make(name: str, data: Path, folder: Path = SHIPPED) -> str:
    """Trains the data set's classifier into the folder, unless it is there; its note."""
    found = datasets.load(name, data)
    if found.labels is None:
        raise datasets.DataError(f"Data set '{name}' has no labels in {data}: put their files there.")
    train, test = (pictures(split.original.batch(slice(None))) for split in (found.train, found.test))
    return classifier(name, train, found.labels[0], test, found.labels[2], folder).note


def main() -> None:
    """All of NAMES; exit status 2 with a sentence where a data set's files are not there."""
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features.ship", description=about)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets (default: data)")
    where = parser.parse_args().data
    torch.set_num_threads(1)
    try:
        for name in NAMES:
            print(make(name, where))
    except datasets.DataError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
