"""`npz:FILE`: a user's own arrays."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import datasets
from benchmarks.datasets import DataError, Dataset
from benchmarks.run import main
from workbench import TINY, Workbench


def loaded(folder: Path, **arrays: Any) -> Dataset:
    np.savez(folder / "own.npz", **arrays)
    return datasets.load(f"npz:{folder / 'own.npz'}", folder)


def counts(n: int = 50, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).poisson(3.0, (n, *(shape or (4,))))


def test_counts_stay_what_they_are(tmp_path: Path):
    data = loaded(tmp_path, x=counts())
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 5, 5)
    assert (data.bounded, data.levels, data.step, data.binarisation) == (False, counts().max() + 1, 1.0, "none")
    every = torch.cat([split.batch(slice(None)) for split in (data.train, data.validation, data.test)])
    assert sorted(every.flatten().tolist()) == sorted(counts().flatten().tolist())
    assert data.name == "own.npz"


def test_splits_are_taken_as_they_are(tmp_path: Path):
    parts = {name: counts(n) for name, n in (("train", 30), ("test", 7), ("validation", 8))}
    data = loaded(tmp_path, **parts)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 8, 7)
    data = loaded(tmp_path, train=parts["train"], test=parts["test"])
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 7)


@pytest.mark.parametrize(
    ("array", "bounded", "levels", "step"),
    [
        (counts(20, 1, 4, 4).astype(np.uint8), True, 256, 1 / 255),
        (counts(20, 5).astype(np.uint8), False, counts(20, 5).max() + 1, 1.0),
        (counts(20) > 3, True, 2, 1.0),
        (np.random.default_rng(0).random((20, 3)), True, None, 1 / 255),
        (np.random.default_rng(0).normal(size=(20, 3)), False, None, 1 / 255),
        (counts(20) - 2, False, None, 1.0),
    ],
)
def test_numbers_are_taken_for_what_they_look_like(
    array: Any, bounded: bool, levels: int | None, step: float, tmp_path: Path
):
    data = loaded(tmp_path, x=array)
    assert (data.bounded, data.levels) == (bounded, levels)
    assert data.step == pytest.approx(step)


def test_classes_come_along(tmp_path: Path):
    classes = np.arange(50) % 3
    data = loaded(tmp_path, x=np.repeat(classes[:, None], 4, 1), labels=classes)
    assert data.labels is not None
    for split, labels in zip((data.train, data.validation, data.test), data.labels, strict=True):
        assert torch.equal(split.batch(slice(None))[:, 0].long(), labels)
    assert data.digest != loaded(tmp_path, x=np.repeat(classes[:, None], 4, 1)).digest


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": counts()}, "holds 'y', and it may hold"),
        ({"test": counts()}, "needs either 'x' or 'train'"),
        ({"x": counts(), "train": counts()}, "needs either 'x' or 'train'"),
        ({"x": counts(5)}, "5 training examples, and 10 are needed"),
        ({"x": np.zeros(50)}, r"shape \(50,\)"),
        ({"x": np.array([["a"] * 3] * 20)}, "numbers are needed"),
        ({"x": np.full((20, 2), np.nan)}, "not finite"),
        ({"x": np.full((20, 2), 2**40)}, "whole numbers above"),
        ({"x": np.full((20, 2), 1e39)}, "numbers beyond float32's"),
        ({"train": counts(), "test": counts(9, 5)}, "differ in shape or type"),
        ({"x": counts(), "labels": np.arange(3)}, "other numbers of classes"),
        ({"x": counts(), "labels": np.full(50, -1)}, "none of 0, 1, 2"),
        ({"x": counts(), "labels": np.full(50, 2**63, np.uint64)}, "none of 0, 1, 2"),
        ({"x": counts(), "labels": np.zeros(50)}, "must be whole numbers"),
        ({"x": np.array([None] * 20, dtype=object)}, "holds objects and not numbers"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arrays: dict[str, Any], words: str, tmp_path: Path):
    with pytest.raises(DataError, match=words):
        loaded(tmp_path, **arrays)


def test_what_is_no_such_file(tmp_path: Path):
    with pytest.raises(DataError, match="there is no file"):
        datasets.load(f"npz:{tmp_path / 'none.npz'}", tmp_path)
    np.savez_compressed(tmp_path / "whole.npz", x=counts())
    whole, one = (tmp_path / "whole.npz").read_bytes(), io.BytesIO()
    np.save(one, counts())
    damaged = whole[:100] + bytes(20) + whole[120:]
    for content in (b"nonsense", pickle.dumps([1]), one.getvalue(), whole[:-100], damaged, archived(HUGE)):
        (tmp_path / "own.npz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            datasets.load(f"npz:{tmp_path / 'own.npz'}", tmp_path)
    (tmp_path / "own.npz").write_bytes(archived(b"nonsense"))
    with pytest.raises(DataError, match="is no array"):
        datasets.load(f"npz:{tmp_path / 'own.npz'}", tmp_path)


HUGE = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 4), }"
"""The head of an array that no machine has the memory for."""


def archived(member: bytes) -> bytes:
    """An archive with these bytes in the place of the array x."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("x.npy", member.ljust(127) + b"\n")
    return whole.getvalue()


@pytest.mark.long
def test_a_suite_on_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.savez(tmp_path / "cells.npz", x=counts(60, 6))
    text = TINY.replace('"onehot"', f'"npz:{tmp_path / "cells.npz"}"').replace('["nll"]', '["nll", "bits_per_dim"]')
    bench = Workbench(tmp_path, capsys, text.replace("[model]", '[model]\nlikelihood = "negative-binomial"'))
    assert bench.ask(main, *bench.about("tiny.toml"), "--device", "cpu", "--workers", "1").status == 0
    table = pd.read_csv(bench.results / "tiny.csv")
    assert set(table["status"]) == {"ok"}
    assert set(table["dataset"]) == {"cells.npz"}
