"""Every loader on small files made in its published format, and the errors that broken files give."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.stats
import torch
from PIL import Image

from benchmarks import datasets
from benchmarks.datasets import DataError, Options, cifar10, digits, freyfaces, gaussian, moons, vision
from benchmarks.datasets.base import drawn

ANY = Options(any_checksum=True)
RNG = np.random.default_rng(0)
SYNTHETIC = {"digits", "onehot", "moons", "gaussian", "synthetic", "synthetic-mog"}
FILES = {  # a file that each data set needs first
    "mnist": "MNIST/raw/train-images-idx3-ubyte",
    "fashion-mnist": "FashionMNIST/raw/train-images-idx3-ubyte",
    "static-mnist": "StaticMNIST/binarized_mnist_train.amat",
    "omniglot": "OMNIGLOT/chardata.mat",
    "freyfaces": "FreyFaces/frey_rawface.mat",
    "histopathology": "Histopathology/histopathology.pkl.tar.gz",
    "caltech101-silhouettes": "Caltech101Silhouettes/caltech101_silhouettes_28_split1.mat",
    "cifar10": "cifar-10-batches-py/data_batch_1",
    "svhn": "SVHN/train_32x32.mat",
    "celeba": "celeba/list_eval_partition.txt",
}


def fails(name: str, folder: Path, *words: object, options: Options = ANY) -> str:
    """The message of the DataError that loading raises: one line, with all `words`."""
    with pytest.raises(DataError) as caught:
        datasets.load(name, folder, options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message
    return message


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def form(data: datasets.Dataset) -> tuple[object, ...]:
    """What a loader says of its images: numbers a split, shape, binarisation, grey levels and their distance."""
    return sizes(data), data.shape, data.binarisation, data.levels, data.step


def sizes(data: datasets.Dataset) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


def rows(*splits: datasets.Split) -> list[bytes]:
    return [x.numpy().tobytes() for split in splits for x in split.stored]


def grey(n: int, height: int = 28, width: int = 28) -> np.ndarray:
    return RNG.integers(0, 256, (n, height, width), dtype=np.uint8)


# The registry


def test_registry_has_all_data_sets_with_a_line_each() -> None:
    assert set(datasets.DATASETS) == SYNTHETIC | FILES.keys() | {"folder", "npz"}
    assert all(one.summary and "\n" not in one.summary for one in datasets.DATASETS.values())


@pytest.mark.long
def test_import_is_cheap() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); from benchmarks.datasets import DATASETS; "
        "assert 'mnist' in DATASETS; "
        "print({m.partition('.')[0] for m in set(sys.modules) - before} & "
        "{'sklearn', 'scipy', 'torchvision', 'PIL', 'pooch', 'requests'})"
    )
    root = Path(datasets.__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_unknown_name_gives_the_near_one(tmp_path: Path) -> None:
    fails("minst", tmp_path, "Did you mean 'mnist'")


@pytest.mark.parametrize("name", sorted(FILES))
def test_missing_file_says_where_it_goes_and_how_to_get_it(name: str, tmp_path: Path) -> None:
    fails(name, tmp_path, tmp_path / FILES[name], "missing", "--download", options=Options())


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("content", [b"", b"\x00\x01garbage" * 99, b"<!DOCTYPE html><title>404</title>\n"])
def test_garbage_is_one_sentence_with_the_path(name: str, content: bytes, tmp_path: Path) -> None:
    for file in FILES[name], FILES[name].replace("train-", "t10k-"):
        put(tmp_path / file, content)
    (tmp_path / "celeba" / "img_align_celeba").mkdir(parents=True)
    fails(name, tmp_path, tmp_path / FILES[name], "again")


# Data sets that are made


def test_digits_are_all_there_once_and_upright() -> None:
    from sklearn.datasets import load_digits

    data = datasets.load("digits", Path())
    assert (sizes(data), data.shape) == ((1197, 300, 300), (1, 8, 8))
    source = digits.load(Path(), Options())
    assert (source.binarisation, source.levels, source.scale) == ("dynamic", 17, 1 / 16)
    stored = torch.cat([source.train, source.validation, source.test])
    original = [image.astype(np.uint8).tobytes() for image in load_digits().images]
    assert sorted(rows(datasets.Split(stored, 1.0))) == sorted(original)
    assert rows(datasets.Split(stored, 1.0)) != original  # shuffled
    assert int(stored.max()) == 16


def test_onehot_has_equal_parts() -> None:
    data = datasets.load("onehot", Path())
    assert (sizes(data), data.shape, data.binarisation, data.levels) == ((1000, 100, 1000), (4,), "none", 2)
    for split in (data.train, data.validation, data.test):
        x = split.batch(slice(None))
        assert torch.equal(x.sum(0), torch.full((4,), len(split) / 4))
        assert torch.equal(x.sum(1), torch.ones(len(split)))
    assert data.log_prob is not None
    cube = torch.cartesian_prod(*[torch.arange(2.0)] * 4)
    assert data.log_prob(cube).exp().tolist() == pytest.approx([0.25 * (row.sum().item() == 1) for row in cube])
    assert data.log_prob(torch.tensor([[0.5, 0.5, 0, 0]])).item() == -float("inf")


def test_moons_lie_on_two_half_circles() -> None:
    data = datasets.load("moons", Path())
    assert (sizes(data), data.shape) == ((4000, 1000, 1000), (2,))
    assert (data.bounded, data.levels, data.train.stored.dtype) == (False, None, torch.float32)
    x = data.train.batch(slice(None))
    from_upper = x.norm(dim=1) - 1
    from_lower = (x - torch.tensor([1.0, 0.5])).norm(dim=1) - 1
    off = torch.where(from_upper.abs() < from_lower.abs(), from_upper, from_lower)
    assert off.abs().max() < 6 * moons.NOISE
    assert off.std() == pytest.approx(moons.NOISE, rel=0.15)
    assert not set(rows(data.train)) & set(rows(data.validation, data.test))


def test_gaussian_log_prob_is_exact() -> None:
    data = datasets.load("gaussian", Path())
    assert (sizes(data), data.shape, data.bounded) == ((5000, 1000, 1000), (16,), False)
    assert data.train.stored.dtype == torch.float32
    w, b, s = (np.asarray(p) for p in gaussian.pca_parameters())
    law = scipy.stats.multivariate_normal(b, w @ w.T + s**2 * np.eye(16))
    x = data.test.stored
    assert data.log_prob is not None
    for typed in (x, x.double(), x.half()):
        found = data.log_prob(typed)
        assert (found.dtype, found.shape) == (torch.float64, (1000,))
        np.testing.assert_allclose(found, law.logpdf(typed.double().numpy()), rtol=0, atol=1e-9)


def test_gaussian_draws_follow_their_law() -> None:
    w, b, s = gaussian.pca_parameters()
    cov = w @ w.T + s**2 * torch.eye(16, dtype=torch.float64)
    x = datasets.load("gaussian", Path()).train.stored.double()
    assert (((x.mean(0) - b) / (cov.diag() / 5000).sqrt()).abs() < 5).all()
    spread = ((cov.diag()[:, None] * cov.diag() + cov**2) / 5000).sqrt()  # the standard error of each covariance
    assert (((x.T.cov() - cov) / spread).abs() < 5).all()


# What base.py makes of a source


def test_dynamic_draws_differ_and_held_out_ones_do_not() -> None:
    data, again = (datasets.load("digits", Path()) for _ in range(2))
    assert (data.binarisation, data.levels) == ("dynamic", 2)
    first, second = (data.train.batch(slice(0, 100)) for _ in range(2))
    assert set(first.unique().tolist()) == {0, 1}
    assert not torch.equal(first, second)
    for part in ("validation", "test"):
        x = getattr(data, part).batch(slice(None))
        assert set(x.unique().tolist()) == {0, 1}
        assert torch.equal(x, getattr(data, part).batch(slice(None)))
        assert torch.equal(x, getattr(again, part).batch(slice(None)))


def test_draws_have_the_grey_value_as_mean() -> None:
    data, plain = datasets.load("digits", Path()), datasets.load("digits", Path(), binarisation="none")
    assert (plain.levels, float(plain.train.batch(slice(None)).max())) == (17, 1.0)
    torch.manual_seed(0)
    mean = torch.stack([data.train.batch(slice(0, 8)) for _ in range(2000)]).mean(0)
    assert (mean - plain.train.batch(slice(0, 8))).abs().max() < 5 * 0.5 / 2000**0.5


@pytest.mark.parametrize(
    ("name", "rule", "step"),
    [("digits", "none", 1 / 16)]
    + [("digits", rule, 1.0) for rule in ("dynamic", "static", "expected")]
    + [("onehot", "none", 1.0), ("moons", "none", 1 / 255)],
)
def test_step_is_between_the_levels_of_test_images(name: str, rule: str, step: float) -> None:
    """Where there are levels; where there are none it is that of pictures."""
    data = datasets.load(name, Path(), binarisation=rule)
    assert data.step == step
    levels = data.test.batch(slice(None)).unique()
    assert data.levels is None or levels.diff().min().item() == pytest.approx(step)


def test_static_binarisation_is_one_draw() -> None:
    data, again = (datasets.load("digits", Path(), binarisation="static") for _ in range(2))
    assert torch.equal(data.train.batch(slice(0, 50)), again.train.batch(slice(0, 50)))
    assert int(data.train.stored.max()) == 1


def test_unbounded_data_are_not_binarised() -> None:
    with pytest.raises(DataError, match="outside"):
        datasets.load("moons", Path(), binarisation="dynamic")


# MNIST and its kind


def idx(images: np.ndarray) -> bytes:
    return b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes()


def put_mnist(folder: Path, kind: str, train: np.ndarray, test: np.ndarray) -> Path:
    put(folder / kind / "raw" / "t10k-images-idx3-ubyte", idx(test))
    return put(folder / kind / "raw" / "train-images-idx3-ubyte", idx(train))


@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist(name: str, kind: str, tmp_path: Path) -> None:
    train, test = grey(12), grey(5)
    put_mnist(tmp_path, kind, train, test)
    data = datasets.load(name, tmp_path, ANY, "none")
    assert (sizes(data), data.shape, data.levels, data.step) == ((10, 2, 5), (1, 28, 28), 256, 1 / 255)
    assert rows(data.train, data.validation) == [x.tobytes() for x in train]  # the last sixth, in order
    assert rows(data.test) == [x.tobytes() for x in test]
    np.testing.assert_allclose(data.train.batch(slice(0, 1))[0, 0], train[0] / 255, rtol=1e-6)
    assert datasets.load(name, tmp_path, ANY).binarisation == "dynamic"


def test_mnist_checksum_and_number(tmp_path: Path) -> None:
    path = put_mnist(tmp_path, "MNIST", grey(12), grey(5))
    fails("mnist", tmp_path, path, "SHA-256", "--any-checksum", options=Options())
    path = put_mnist(tmp_path, "FashionMNIST", grey(12), grey(5))
    fails("fashion-mnist", tmp_path, path, "12 images", "60000", options=Options())


def test_mnist_truncated_or_of_another_shape(tmp_path: Path) -> None:
    path = put_mnist(tmp_path, "MNIST", grey(12), grey(5))
    path.write_bytes(path.read_bytes()[:-100])
    fails("mnist", tmp_path, path, "truncated")
    put_mnist(tmp_path, "MNIST", grey(12, 20, 30), grey(5))
    fails("mnist", tmp_path, path, "(20, 30)")


def test_one_pixel_changes_the_digest(tmp_path: Path) -> None:
    train, test = grey(12), grey(5)
    put_mnist(tmp_path, "FashionMNIST", train, test)
    before = datasets.load("fashion-mnist", tmp_path, ANY).digest
    assert datasets.load("fashion-mnist", tmp_path, ANY).digest == before
    test[4, 27, 27] ^= 1
    put_mnist(tmp_path, "FashionMNIST", train, test)
    assert datasets.load("fashion-mnist", tmp_path, ANY).digest != before


def amat(bits: np.ndarray) -> bytes:
    return "".join(" ".join(map(str, image.ravel())) + "\n" for image in bits).encode()


def test_static_mnist(tmp_path: Path) -> None:
    parts = {part: grey(n) // 128 for part, n in (("train", 6), ("valid", 3), ("test", 4))}
    for part, bits in parts.items():
        put(tmp_path / "StaticMNIST" / f"binarized_mnist_{part}.amat", amat(bits))
    data = datasets.load("static-mnist", tmp_path, ANY)
    assert (sizes(data), data.shape, data.binarisation, data.levels) == ((6, 3, 4), (1, 28, 28), "none", 2)
    for split, bits in zip((data.train, data.validation, data.test), parts.values(), strict=True):
        np.testing.assert_array_equal(split.batch(slice(None))[:, 0], bits)
    path = tmp_path / FILES["static-mnist"]
    fails("static-mnist", tmp_path, path, "6 images", "50000", options=Options())
    path.write_bytes(path.read_bytes()[:-4])
    fails("static-mnist", tmp_path, path, "784")
    path.write_bytes(amat(parts["train"]).replace(b"1", b"2", 1))
    fails("static-mnist", tmp_path, path, "784")


# MATLAB files


def column_major(images: np.ndarray) -> np.ndarray:
    """(N, 784), each image pixel column by pixel column, as MATLAB's A(:)' gives it."""
    return np.stack([image.ravel(order="F") for image in images])


def put_mat(path: Path, **matrices: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, matrices, do_compression=True)
    return path


def test_omniglot(tmp_path: Path) -> None:
    images, test = RNG.random((36, 28, 28)), RNG.random((5, 28, 28))
    path = put_mat(tmp_path / FILES["omniglot"], data=column_major(images).T, testdata=column_major(test).T)
    data = datasets.load("omniglot", tmp_path, ANY, "none")
    assert (sizes(data), data.shape, data.levels) == ((35, 1, 5), (1, 28, 28), None)
    np.testing.assert_array_equal(data.test.stored[:, 0], test.astype(np.float32))
    assert sorted(rows(data.train, data.validation)) == sorted(x.tobytes() for x in images.astype(np.float32))
    assert datasets.load("omniglot", tmp_path, ANY).binarisation == "dynamic"
    fails("omniglot", tmp_path, path, "36 images", "24345", options=Options())


def test_omniglot_broken(tmp_path: Path) -> None:
    images = column_major(RNG.random((20, 28, 28))).T
    path = put_mat(tmp_path / FILES["omniglot"], data=images, testdata=images * 255)
    fails("omniglot", tmp_path, path, "[0, 1]")
    put_mat(path, data=images)
    fails("omniglot", tmp_path, path, "'testdata'")
    put_mat(path, data=images.T, testdata=images)
    fails("omniglot", tmp_path, path, "'data'", "784 x N")
    put_mat(path, data=images, testdata=images)
    path.write_bytes(path.read_bytes()[:-5000])
    fails("omniglot", tmp_path, path, "truncated")


def test_freyfaces(tmp_path: Path) -> None:
    faces = grey(30, 28, 20)
    path = put_mat(tmp_path / FILES["freyfaces"], ff=faces.reshape(30, 560).T)
    data = datasets.load("freyfaces", tmp_path, ANY)
    assert (sizes(data), data.shape, data.binarisation, data.levels) == ((24, 3, 3), (1, 28, 20), "none", 256)
    found = rows(data.train, data.validation, data.test)
    assert sorted(found) == sorted(x.tobytes() for x in faces)
    assert found != [x.tobytes() for x in faces]  # frames follow each other, so the split must shuffle
    assert data.train.scale == data.step == 1 / 256
    fails("freyfaces", tmp_path, path, "SHA-256", options=Options())
    put_mat(path, ff=faces.reshape(30, 560).T / 255)
    fails("freyfaces", tmp_path, path, "float64")


def test_caltech(tmp_path: Path) -> None:
    parts = {part: grey(n) // 128 for part, n in (("train_data", 6), ("val_data", 3), ("test_data", 4))}
    path = tmp_path / FILES["caltech101-silhouettes"]
    put_mat(path, **{part: column_major(bits) for part, bits in parts.items()})
    data = datasets.load("caltech101-silhouettes", tmp_path, ANY)
    assert (sizes(data), data.shape, data.binarisation, data.levels) == ((6, 3, 4), (1, 28, 28), "none", 2)
    for split, bits in zip((data.train, data.validation, data.test), parts.values(), strict=True):
        np.testing.assert_array_equal(split.batch(slice(None))[:, 0], 1 - bits)
    fails("caltech101-silhouettes", tmp_path, path, "6 images", "4100", options=Options())
    put_mat(path, **{part: column_major(bits * 255) for part, bits in parts.items()})
    fails("caltech101-silhouettes", tmp_path, path, "0 and 1")


def test_svhn(tmp_path: Path) -> None:
    images = {part: RNG.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8) for part, n in (("train", 30), ("test", 4))}
    for part, x in images.items():
        path = put_mat(tmp_path / "SVHN" / f"{part}_32x32.mat", X=x.transpose(2, 3, 1, 0), y=np.ones((len(x), 1)))
    data = datasets.load("svhn", tmp_path, ANY)
    assert (sizes(data), data.shape, data.levels, data.step) == ((28, 2, 4), (3, 32, 32), 256, 1 / 255)
    assert rows(data.train, data.validation) == [x.tobytes() for x in images["train"]]
    assert rows(data.test) == [x.tobytes() for x in images["test"]]
    fails("svhn", tmp_path, tmp_path / FILES["svhn"], "MD5", options=Options())
    put_mat(path, X=images["test"])
    fails("svhn", tmp_path, path, "'X'")


# Pickles


def python2_array(x: np.ndarray) -> bytes:
    """The opcodes with which Python 2 and an old NumPy pickled a float64 array, without the final stop."""
    shape = b"".join(b"I%d\n" % n for n in x.shape)
    raw = x.astype("<f8").tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(" + shape + b"t"
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
        b"T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    )


def python2_dict(parts: dict[str, np.ndarray]) -> bytes:
    return b"(d" + b"".join(b"S'%s'\n" % k.encode() + python2_array(x) + b"s" for k, x in parts.items()) + b"."


def tissue() -> dict[str, np.ndarray]:
    parts = {part: RNG.random((n, 28, 28)) for part, n in (("training", 6), ("validation", 3), ("test", 4))}
    parts["training"][0, 0, :2] = 0, 1
    return parts


class Harmful:
    """Unpickled by pickle.load, this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["python 2", "python 3", "lists", "tar"])
def test_histopathology(kind: str, tmp_path: Path) -> None:
    parts = tissue()
    content = python2_dict(parts) if kind == "python 2" else pickle.dumps(parts, 2)
    if kind == "lists":
        content = pickle.dumps({part: list(x) for part, x in parts.items()}, 4)
    path = tmp_path / "Histopathology" / "histopathology.pkl"
    if kind == "tar":
        path = path.with_name("histopathology.pkl.tar.gz")
        member = tarfile.TarInfo("./histopathology.pkl")
        member.size = len(content)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.addfile(member, io.BytesIO(content))
        content = packed.getvalue()
    put(path, content)
    data = datasets.load("histopathology", tmp_path, ANY)
    assert form(data) == (
        (6, 3, 4),
        (1, 28, 28),
        "none",
        256,
        1 / 255,
    )
    np.testing.assert_allclose(data.train.stored[:, 0], parts["training"].clip(1 / 512, 1 - 1 / 512), rtol=1e-6)
    np.testing.assert_allclose(data.test.stored[:, 0], parts["test"].clip(1 / 512, 1 - 1 / 512), rtol=1e-6)
    fails("histopathology", tmp_path, path, "6 images", "6800", options=Options())
    path.write_bytes(content[: len(content) // 2])
    fails("histopathology", tmp_path, path, "truncated")


def test_histopathology_refuses_code_and_other_content(tmp_path: Path) -> None:
    path, made = tmp_path / "Histopathology" / "histopathology.pkl", tmp_path / "made"
    put(path, pickle.dumps(Harmful(made)))
    fails("histopathology", tmp_path, path, "mkdir", "could run code")
    assert not made.exists()
    pickle.loads(path.read_bytes())
    assert made.exists()  # the pickle does run code where it is let
    put(path, pickle.dumps({"training": np.zeros((2, 28, 28))}))
    fails("histopathology", tmp_path, path, "validation")
    put(path, pickle.dumps({part: x * 255 for part, x in tissue().items()}))
    fails("histopathology", tmp_path, path, "[0, 1]")


def put_cifar(folder: Path, n: int = 4) -> np.ndarray:
    """Six batches of n images; returns (6, n, 3, 32, 32)."""
    images = RNG.integers(0, 256, (6, n, 3, 32, 32), dtype=np.uint8)
    files = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for file, x in zip(files, images, strict=True):
        batch = {"data": x.reshape(n, 3072), "labels": [0] * n, "batch_label": file, "filenames": ["a.png"] * n}
        put(folder / "cifar-10-batches-py" / file, pickle.dumps(batch, 2))
    return images


def test_cifar10(tmp_path: Path) -> None:
    images = put_cifar(tmp_path)
    data = datasets.load("cifar10", tmp_path, ANY)
    assert form(data) == (
        (18, 2, 4),
        (3, 32, 32),
        "none",
        256,
        1 / 255,
    )
    assert rows(data.train, data.validation, data.test) == [x.tobytes() for x in images.reshape(-1, 3, 32, 32)]
    path = tmp_path / FILES["cifar10"]
    fails("cifar10", tmp_path, path, "MD5", options=Options())
    content = path.read_bytes()
    path.write_bytes(content[:5000])
    fails("cifar10", tmp_path, path, "truncated")
    path.write_bytes(pickle.dumps(Harmful(tmp_path / "made")))
    fails("cifar10", tmp_path, path, "could run code")
    assert not (tmp_path / "made").exists()
    path.write_bytes(pickle.dumps({"data": np.zeros((4, 3072))}))
    fails("cifar10", tmp_path, path, "3072 bytes")


def test_cifar10_takes_files_with_the_known_md5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_cifar(tmp_path)
    known, place = vision.torchvision().datasets.CIFAR10, tmp_path / "cifar-10-batches-py"
    for part in ("train_list", "test_list"):
        md5 = [[f, hashlib.md5((place / f).read_bytes()).hexdigest()] for f, _ in getattr(known, part)]
        monkeypatch.setattr(known, part, md5)
    monkeypatch.setattr(cifar10, "PUBLISHED", (20, 4))
    assert sizes(datasets.load("cifar10", tmp_path)) == (18, 2, 4)


# Image files


def save(path: Path, pixels: np.ndarray, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)
    return path


def put_celeba(folder: Path) -> Path:
    """Eight faces: grey i * 30 in the crop, white outside. Written as PNG, which Pillow recognises by content."""
    lines = []
    for i in range(8):
        pixels = np.full((218, 178, 3), 255, np.uint8)
        pixels[40:188, 15:163] = i * 30
        save(folder / "celeba" / "img_align_celeba" / f"{i:06d}.jpg", pixels, format="PNG")
        lines.append(f"{i:06d}.jpg {(0, 0, 0, 0, 1, 2, 2, 1)[i]}\n")
    return put(folder / FILES["celeba"], "".join(lines).encode())


def test_celeba_crops_splits_and_keeps_a_cache(tmp_path: Path) -> None:
    path = put_celeba(tmp_path)
    data = datasets.load("celeba", tmp_path, ANY)
    assert form(data) == (
        (4, 2, 2),
        (3, 64, 64),
        "none",
        256,
        1 / 255,
    )
    for split, greys in ((data.train, (0, 30, 60, 90)), (data.validation, (120, 210)), (data.test, (150, 180))):
        expected = torch.tensor(greys, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 64, 64)
        assert torch.equal(split.stored, expected)  # no white from outside the box
    assert datasets.load("celeba", tmp_path, Options(any_checksum=True, size=32)).shape == (3, 32, 32)
    assert sorted(p.name for p in path.parent.glob("*.pt")) == ["priorbench_32.pt", "priorbench_64.pt"]
    path.unlink()
    assert datasets.load("celeba", tmp_path, ANY).digest == data.digest
    fails("celeba", tmp_path, "4 images", "162770", options=Options())
    cache = put(path.parent / "priorbench_64.pt", b"half a file")
    fails("celeba", tmp_path, cache, "delete it")


def test_celeba_broken(tmp_path: Path) -> None:
    path = put_celeba(tmp_path)
    fails("celeba", tmp_path, path, "MD5", options=Options())
    image = put(path.parent / "img_align_celeba" / "000003.jpg", b"no image")
    fails("celeba", tmp_path, image, "cannot be read")
    image.unlink()
    fails("celeba", tmp_path, image, "missing")
    path.write_text("../000001.jpg 0\n")
    fails("celeba", tmp_path, path, "../000001.jpg")
    assert not list(path.parent.glob("*priorbench*"))


def put_images(
    folder: Path, n: int, channels: int = 3, side: tuple[int, int] = (6, 8), suffix: str = "png"
) -> list[Path]:
    shape = (*side, channels) if channels > 1 else side
    paths = [folder / ("deep/er" if i % 2 else ".") / f"{i:03d}.{suffix}" for i in range(n)]
    return [save(path, RNG.integers(0, 256, shape, dtype=np.uint8)) for path in paths]


def test_folder_of_any_depth_is_split_by_a_seed(tmp_path: Path) -> None:
    paths = sorted(put_images(tmp_path, 20, side=(6, 8)))
    put(tmp_path / "._000.png", b"what a Mac leaves")
    put(tmp_path / "notes.txt", b"no image")
    data = datasets.load(f"folder:{tmp_path}", Path("unused"))
    assert form(data) == (
        (16, 2, 2),
        (3, 6, 8),
        "none",
        256,
        1 / 255,
    )
    expected = [np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in paths]
    found = rows(data.train, data.validation, data.test)
    assert sorted(found) == sorted(expected)
    assert found != expected  # file names often sort by class
    assert data.digest == datasets.load(f"folder:{tmp_path}", Path("unused")).digest


def test_folder_grey_unless_one_is_in_colour(tmp_path: Path) -> None:
    put_images(tmp_path, 11, channels=1, suffix="bmp")
    assert datasets.load(f"folder:{tmp_path}", Path()).shape == (1, 6, 8)
    save(tmp_path / "colour.WEBP", grey(3, 6, 8).transpose(1, 2, 0))
    assert datasets.load(f"folder:{tmp_path}", Path()).shape == (3, 6, 8)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["train"], (24, 3, 3)),
        (["train", "test"], (27, 3, 12)),
        (["train", "valid"], (27, 12, 3)),
        (["train", "validation", "test"], (30, 12, 12)),
        (["train", "val", "test"], (30, 12, 12)),
    ],
)
def test_folder_with_splits(folders: list[str], expected: tuple[int, int, int], tmp_path: Path) -> None:
    for folder in folders:
        put_images(tmp_path / folder, 30 if folder == "train" else 12)
    put_images(tmp_path / "elsewhere", 5)
    data = datasets.load(f"folder:{tmp_path}", Path())
    assert sizes(data) == expected
    found = rows(data.train, data.validation, data.test)
    assert len(set(found)) == len(found) == sum(expected)
    if "test" in folders:
        given = sorted(p for p in (tmp_path / "test").rglob("*.png"))
        assert rows(data.test) == [np.asarray(Image.open(p)).transpose(2, 0, 1).tobytes() for p in given]


def test_folder_crops_the_centre_and_scales(tmp_path: Path) -> None:
    for i in range(10):
        pixels = np.full((20, 40 + i), 255, np.uint8)
        left = (20 + i) // 2
        pixels[:, left : left + 20] = 10 * (np.arange(20) % 2)  # columns of 0 and 10, whose local mean is 5
        save(tmp_path / f"{i}.png", pixels)
    data = datasets.load(f"folder:{tmp_path}", Path(), Options(size=5))
    assert data.shape == (1, 5, 5)
    x = data.train.stored.int()
    assert x.max() <= 7  # no white: the centre
    assert x.min() >= 3  # neither 0 nor 10: antialiased


def test_folder_turns_photographs_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: to be turned clockwise by 90 degrees
    pixels = grey(1, 4, 6)[0]
    for i in range(10):
        save(tmp_path / f"{i}.png", pixels, exif=exif)
    x = datasets.load(f"folder:{tmp_path}", Path()).train.stored[0, 0]
    np.testing.assert_array_equal(x, np.rot90(pixels, -1))


def test_folder_errors(tmp_path: Path) -> None:
    fails(f"folder:{tmp_path / 'nowhere'}", tmp_path, tmp_path / "nowhere", "not a folder")
    paths = put_images(tmp_path, 9)
    fails(f"folder:{tmp_path}", tmp_path, tmp_path, "9 images", "10")
    fails("folder", tmp_path, tmp_path, "9 images")
    other = save(tmp_path / "zz.png", grey(3, 5, 5).transpose(1, 2, 0))
    fails(f"folder:{tmp_path}", tmp_path, other, "5 x 5", paths[0], "8 x 6", "--set protocol.size=32")
    other.write_bytes(b"no image")
    fails(f"folder:{tmp_path}", tmp_path, other, "cannot be read")
    whole = paths[0].read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    fails(f"folder:{tmp_path}", tmp_path, other, "truncated")
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(other)
    fails(f"folder:{tmp_path}", tmp_path, other, "8 bits")


def test_folder_with_an_empty_split(tmp_path: Path) -> None:
    put_images(tmp_path / "train", 12)
    (tmp_path / "test").mkdir()
    fails(f"folder:{tmp_path}", tmp_path, tmp_path / "test", "0 images")


# Downloads and torchvision


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A web server of tmp_path / "served" on this machine, as its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "served").mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(Quiet, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_download_fetches_only_what_is_missing(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = put_mat(tmp_path / "served" / "frey.mat", ff=grey(30, 28, 20).reshape(30, 560).T)
    monkeypatch.setattr(freyfaces, "URL", server + "frey.mat")
    options = Options(download=True, any_checksum=True)
    digest = datasets.load("freyfaces", tmp_path, options).digest
    assert [p.name for p in (tmp_path / "FreyFaces").iterdir()] == ["frey_rawface.mat"]
    served.unlink()
    assert datasets.load("freyfaces", tmp_path, options).digest == digest


def test_failed_download_leaves_nothing_behind(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server + "frey.mat"
    monkeypatch.setattr(freyfaces, "URL", url)
    fails("freyfaces", tmp_path, url, tmp_path / FILES["freyfaces"], "HTTPError", options=Options(download=True))
    assert not list((tmp_path / "FreyFaces").iterdir())


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "svhn", "celeba"])
def test_failed_download_by_torchvision(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **options: object) -> None:
        raise OSError("no network")

    known = vision.torchvision().datasets
    for kind in (known.MNIST, known.CIFAR10, known.SVHN, known.CelebA):
        monkeypatch.setattr(kind, "download", no_network)
    place = (tmp_path / FILES[name]).parent
    fails(name, tmp_path, "http", place, "could not be downloaded", options=Options(download=True))


def test_mnist_download_unpacks_what_torchvision_fetches(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = vision.torchvision().datasets.FashionMNIST
    content = {"train-images-idx3": idx(grey(12)), "train-labels-idx1": idx_labels(range(12))}
    content |= {"t10k-images-idx3": idx(grey(5)), "t10k-labels-idx1": idx_labels(range(5))}
    packed = {f"{file}-ubyte.gz": gzip.compress(raw) for file, raw in content.items()}
    for file, raw in packed.items():
        put(tmp_path / "served" / file, raw)
    monkeypatch.setattr(known, "mirrors", [server])
    monkeypatch.setattr(known, "resources", [(f, hashlib.md5(raw).hexdigest()) for f, raw in packed.items()])
    data = datasets.load("fashion-mnist", tmp_path, Options(download=True, any_checksum=True))
    assert sizes(data) == (10, 2, 5)
    assert [part.tolist() for part in data.labels] == [list(range(10)), [10, 11], list(range(5))]
    assert data.remark == f"not in the published order of Fashion-MNIST, so another split (images {data.digest[:8]})"


def idx_labels(labels: Iterable[int]) -> bytes:
    """An idx file of labels."""
    return b"\0\0\x08\x01" + len(content := bytes(labels)).to_bytes(4, "big") + content


def test_labels_are_read_where_they_are(tmp_path: Path) -> None:
    """Split as the images are; without their files the data set has none, and a wrong number is told."""
    raw = tmp_path / "FashionMNIST" / "raw"
    for file, content in {"train-images-idx3": idx(grey(12)), "t10k-images-idx3": idx(grey(5))}.items():
        put(raw / f"{file}-ubyte", content)
    options = Options(any_checksum=True)
    assert datasets.load("fashion-mnist", tmp_path, options).labels is None
    put(raw / "train-labels-idx1-ubyte", idx_labels(range(12)))
    put(raw / "t10k-labels-idx1-ubyte", idx_labels(range(4)))
    with pytest.raises(DataError, match="4 labels of 5 images"):
        datasets.load("fashion-mnist", tmp_path, options)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"no labels")
    with pytest.raises(DataError, match="cannot be read"):
        datasets.load("fashion-mnist", tmp_path, options)


def test_labels_of_digits_go_with_their_images() -> None:
    from sklearn.datasets import load_digits

    digits, data = load_digits(), datasets.load("digits", Path())
    known = {image.astype("uint8").tobytes(): label for image, label in zip(digits.images, digits.target, strict=True)}
    for split, labels in zip((data.train, data.validation, data.test), data.labels, strict=True):
        stored = split.original.stored
        assert [known[image.numpy().tobytes()] for image in stored] == labels.tolist()


def test_originals_are_the_images_before_any_draw() -> None:
    plain = datasets.load("digits", Path(), binarisation="none")
    for rule in ("dynamic", "static", "expected"):
        drawn = datasets.load("digits", Path(), binarisation=rule)
        for name in ("train", "validation", "test"):
            assert torch.equal(getattr(drawn, name).original[:], getattr(plain, name)[:])
        assert drawn.test[:].unique().tolist() == [0, 1]


@pytest.mark.parametrize("rule", ["dynamic", "static", "expected", "none"])
def test_grey_images_come_with_the_same_draw(rule: str) -> None:
    train, index = datasets.load("digits", Path(), binarisation=rule).train, torch.tensor([7, 3, 7])
    torch.manual_seed(0)
    plain = train.batch(index)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    x, grey = train.with_grey(index)
    assert torch.equal(x, plain)
    assert torch.equal(torch.get_rng_state(), state)
    if rule in ("dynamic", "static"):
        assert torch.equal(grey, train.original[index])
    else:
        assert grey is None


def test_torchvision_is_usable_and_other_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vision.torchvision().datasets.MNIST.resources

    def broken(name: str) -> None:
        raise RuntimeError("another fault")

    monkeypatch.setattr(vision.importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="another fault"):
        vision.torchvision()


# The real files, where they are at hand

DATA = os.environ.get("PRIORBENCH_DATA", "")


@pytest.mark.realdata
@pytest.mark.skipif(not DATA, reason="PRIORBENCH_DATA names no folder with real data")
@pytest.mark.parametrize(
    ("name", "expected", "shape", "mean"),
    [
        ("mnist", (50_000, 10_000, 10_000), (1, 28, 28), 0.1307),
        ("fashion-mnist", (50_000, 10_000, 10_000), (1, 28, 28), 0.2860),
        ("freyfaces", (1565, 200, 200), (1, 28, 20), 0.6057),
        (f"folder:{DATA}/cifar10-4k", (2700, 300, 1000), (3, 32, 32), 0.4734),
    ],
)
def test_real_files(name: str, expected: tuple[int, int, int], shape: tuple[int, ...], mean: float) -> None:
    data = datasets.load(name, Path(DATA), binarisation="none")
    assert (sizes(data), data.shape) == (expected, shape)
    assert data.train.batch(slice(None)).mean().item() == pytest.approx(mean, abs=0.005)
    found = rows(data.train, data.validation, data.test)
    assert len(set(found)) >= 0.95 * len(found)


@pytest.mark.realdata
@pytest.mark.skipif(not DATA, reason="PRIORBENCH_DATA names no folder with real data")
def test_real_faces_are_upright() -> None:
    """The forehead is brighter than the eyes below it, and the upper face than the background on both sides."""
    face = datasets.load("freyfaces", Path(DATA)).train.batch(slice(None)).mean(0)[0]
    assert face[2:5, 5:15].mean() > face[6:9, 5:15].mean() + 0.1  # forehead and eyes
    assert face[:8, 5:15].mean() > face[:8, [0, 19]].mean() + 0.1  # face and background


def test_draws_are_bernoullis():
    """0 and 1 stay, and a grey of a quarter is 1 a quarter of the time: within five standard errors of 40,000 draws."""
    grey = torch.tensor([0.0, 1.0, 0.25]).repeat(40_000, 1)
    x = drawn(grey)
    assert x.unique().tolist() == [0, 1]
    zero, one, quarter = x.mean(0).tolist()
    assert (zero, one) == (0, 1)
    assert quarter == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 40_000) ** 0.5)
