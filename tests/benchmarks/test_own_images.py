"""A user's own images: what they are called, their classes, and what is wrong with a folder, in a sentence."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks import datasets, run, tune
from benchmarks.config import suite
from benchmarks.config.labels import called
from benchmarks.config.suite import Request, Suite
from benchmarks.datasets import DataError
from benchmarks.metrics.sliced import patches
from workbench import TINY, Workbench, write

EXAMPLES = Path(__file__).parents[2] / "examples"


def images(folder: Path, names: list[str], colour: bool = True, seed: int = 0) -> Path:
    """Files of noise, each of its own."""
    draws = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shape = (8, 8, 3) if colour else (8, 8)
        Image.fromarray(draws.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    return folder


def numbered(count: int, *classes: str) -> list[str]:
    """`cat/00.png`, ... with the classes in turn."""
    return [f"{classes[i % len(classes)]}/{i:02}.png" for i in range(count)]


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workbench:
    return Workbench(tmp_path, capsys)


# Names


def labels(own: list[str], *more: str) -> list[str]:
    return [one.label for one in called(own, more)]


def test_a_folder_is_called_by_its_last_part():
    assert labels(["digits", "folder:/home/ann/flowers/", "folder:~/cats", "folder"]) == [
        "digits", "flowers", "cats", "folder"
    ]  # fmt: skip
    assert labels(["folder:."]) == [Path.cwd().name]


def test_two_folders_of_one_name_are_told_apart():
    one, other = labels(["folder:a/x", "folder:b/x"])
    assert one.startswith("x-")
    assert other.startswith("x-")
    assert one != other
    assert labels(["folder:b/x/", "folder:a/x"]) == [other, one], "by the path alone"
    assert labels(["folder:a/x"], "folder:b/x") == ["x", other], "the suite's own keeps its name"
    assert labels(["folder:a b", "folder:c/a_b"])[0] != "a b", "they would share their files"
    assert labels(["folder:a/digits"])[0].startswith("digits-"), "digits are others"


def small(*names: str, **more: object) -> Suite:
    return Suite(name="mine", title="Mine", datasets=names, methods=("gaussian",), seeds=(0,), **more)


def test_settings_keep_the_path_and_all_else_the_name():
    found = suite.expand(small("folder:a/flowers", dataset={"flowers": {"training": {"epochs": 3}}}))[0]
    assert (found.dataset, found.source, found.loader) == ("flowers", "folder:a/flowers", "folder")
    assert found.name.startswith("flowers-gaussian-s0-")
    assert found.training.epochs == 3, "a section has either name"
    again = suite.expand(small("folder:a/flowers", dataset={"folder:a/flowers": {"training": {"epochs": 3}}}))[0]
    assert again.name == found.name
    assert suite.expand(small("folder:b/flowers"))[0].name != suite.expand(small("folder:a/flowers"))[0].name
    assert suite.expand(small("digits"))[0].source == ""


def test_a_command_names_a_folder_by_its_name():
    chosen = small("folder:a/flowers", "digits")
    by_name, by_path = (suite.expand(chosen, Request((name,))) for name in ("flowers", "folder:a/flowers"))
    assert [one.name for one in by_name] == [one.name for one in by_path]
    assert suite.expand(chosen, Request(("flowers", "folder:a/flowers/"))) == by_name, "one folder, once"
    with pytest.raises(DataError, match="Unknown data set 'flower'"):
        suite.expand(chosen, Request(("flower",)))


# Classes


def classes(folder: Path) -> list[list[int]] | None:
    found = datasets.load(f"folder:{folder}", Path()).labels
    return found and [one.tolist() for one in found]


def test_subfolders_are_classes(tmp_path: Path):
    found = datasets.load(f"folder:{images(tmp_path, numbered(20, 'cat', 'dog'))}", Path())
    assert found.labels is not None
    assert [len(one) for one in found.labels] == [16, 2, 2]
    shown = {path: np.asarray(Image.open(path)).transpose(2, 0, 1) for path in tmp_path.rglob("*.png")}
    for split, numbers in zip((found.train, found.validation, found.test), found.labels, strict=True):
        for x, number in zip(split.stored.numpy(), numbers.tolist(), strict=True):
            path = next(path for path, pixels in shown.items() if (pixels == x).all())
            assert path.parent.name == ("cat", "dog")[number]


def test_what_is_no_class(tmp_path: Path):
    assert classes(images(tmp_path / "one", numbered(12, "photos"))) is None
    assert classes(images(tmp_path / "flat", [f"{i}.png" for i in range(12)])) is None
    assert classes(images(tmp_path / "partly", [*numbered(12, "cat", "dog"), "other.png"])) is None


def test_classes_within_splits(tmp_path: Path):
    for split in ("train", "test"):
        images(tmp_path / split, numbered(10, "cat", "dog"), seed=len(split))
    found = classes(tmp_path)
    assert found is not None
    assert found[2] == [0] * 5 + [1] * 5
    assert [len(one) for one in found] == [9, 1, 10]


def test_a_table_of_classes(tmp_path: Path):
    names = [f"{i:02}.png" for i in range(10)]
    images(tmp_path, names)
    before = datasets.load(f"folder:{tmp_path}", Path())
    write(tmp_path / "labels.csv", "file,label\n" + "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names)))
    found = datasets.load(f"folder:{tmp_path}", Path())
    assert found.labels is not None
    assert sorted(torch.cat(found.labels).tolist()) == [0] * 5 + [1] * 5
    assert found.digest != before.digest, "other classes are other data"
    assert torch.equal(found.train.stored, before.train.stored)


ROWS = "".join(f"{i:02}.png,{'ab'[i % 2]}\n" for i in range(10))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (f"file,label\n{ROWS}nowhere.png,a\n", "names nowhere.png, which is no image there"),
        (f"file,label\n{ROWS.partition(chr(10))[2]}", "has no row for 00.png"),
        (f"file,label\n{ROWS}00.png,b\n", "names 00.png twice"),
        (f"file,label\n{ROWS.replace(',b', ',a')}", "has one class only"),
        (f"name,class\n{ROWS}", "line 2 of .* its columns are `file,label`"),
        ("file,label\n00.png,\n", "line 2 of .* has no file or no label"),
        ("file,label\n", "has no rows"),
        ("", "has no rows"),
        ("file,label\n\udcff", "is no CSV in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_table_of_classes(table: str, words: str, tmp_path: Path):
    images(tmp_path, [f"{i:02}.png" for i in range(10)])
    (tmp_path / "labels.csv").write_bytes(table.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=words) as error:
        datasets.load(f"folder:{tmp_path}", Path())
    assert "\n" not in str(error.value)


# From folders to tables


@pytest.mark.long
def test_images_without_classes_have_a_sample_metric(bench: Workbench):
    folder = images(bench.folder / "secret" / "flowers", numbered(40, "photos"))
    metrics = '["sliced_pixels", "sliced_patches", "fd_classifier"]'
    bench.suite(TINY.replace('"onehot"', f'"folder:{folder}"').replace('["nll"]', metrics))
    answer = bench.ask(run.main, *bench.about("tiny.toml"), "--executor", "serial")
    assert answer.status == 0, answer.err
    frame = pd.read_csv(bench.results / "tiny.csv")
    assert {*frame["dataset"]} == {"flowers"}
    ours = frame[frame["metric"].isin(("sliced_pixels", "sliced_patches"))]
    assert (ours["status"] == "ok").all()
    assert len(ours) == 8, "two methods, two metrics, each with its floor"
    assert frame[frame["metric"] == "fd_classifier"]["note"].str.contains("flowers has none").all()
    for path in (bench.results / "tiny.csv", bench.results / "tiny-cost.csv"):
        assert "secret" not in path.read_text()
    assert not [path for path in bench.results.rglob("*") if "secret" in path.name]
    kept = json.loads(next(bench.results.glob("runs/tiny/*/config.json")).read_text())
    assert kept["source"] == f"folder:{folder}"
    assert "2 already done" in bench.ask(run.main, *bench.about("tiny.toml"), "--dataset", "flowers").out


@pytest.mark.long
@pytest.mark.usefixtures("cheap_metrics")
def test_images_with_classes_have_a_frechet_distance(bench: Workbench):
    folder = images(bench.folder / "pets", numbered(40, "cat", "dog"))
    bench.suite(TINY.replace('"onehot"', f'"folder:{folder}"').replace('["nll"]', '["fd_classifier"]'))
    answer = bench.ask(run.main, *bench.about("tiny.toml"), "--executor", "serial", "--method", "gaussian")
    assert answer.status == 0, answer.err
    frame = pd.read_csv(bench.results / "tiny.csv").query("method == 'gaussian'")
    assert frame["status"].eq("ok").all()
    assert frame["note"].str.contains("a classifier trained on pets").all()


@pytest.mark.long
def test_a_folder_is_tuned_on(bench: Workbench):
    folder = images(bench.folder / "secret" / "pets", numbered(40, "cat", "dog"), colour=False)
    bench.suite(TINY.replace('"onehot"', f'"folder:{folder}"'))
    answer = bench.ask(tune.main, *bench.about("tiny.toml"), "--method", "vampprior", "--trials", "1", "--samples", "5")
    assert answer.status == 0, answer.err
    assert "vampprior on pets" in answer.out
    written = tomllib.loads(next((bench.results / "studies").glob("tiny-pets-vampprior*.toml")).read_text())
    assert written["datasets"] == [f"folder:{folder}"]


def test_the_example_is_a_suite():
    chosen = suite.read(str(EXAMPLES / "own-images.toml"))
    assert {one.dataset for one in suite.expand(chosen)} == {"my-images"}


def test_patches_have_no_mean():
    x = torch.rand(3, 2, 9, 12, dtype=torch.float64)
    found = patches(x)
    assert found.shape == (48, 2 * 7 * 7)
    torch.testing.assert_close(found.unflatten(1, (2, 49)).mean(2), torch.zeros(48, 2, dtype=torch.float64))
    assert patches(torch.rand(2, 1, 5, 5)).shape == (32, 25), "no smaller than an image"
    torch.manual_seed(0)
    one = patches(x)
    torch.manual_seed(0)
    torch.testing.assert_close(patches(x + 0.3), one, msg="brightness does not count")
