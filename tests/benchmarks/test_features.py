"""Feature networks: what they see, what they give, what is kept on disk, and the FID family through Inception."""

from __future__ import annotations

import hashlib
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import skew
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks import datasets
from benchmarks.datasets.vision import torchvision
from benchmarks.estimators.frechet import frechet, moments
from benchmarks.estimators.kernel import kernel_distance
from benchmarks.features import Features, Network, cached, features_of, inception, pictures, stretched
from benchmarks.features.base import read
from benchmarks.features.classifier import SHIPPED, Classifier, classifier, train
from benchmarks.features.inception import WeightsError
from benchmarks.features.ship import NAMES, main, make


def one_sentence(error: pytest.ExceptionInfo[ValueError], *parts: str) -> bool:
    """A single line with all of the parts."""
    text = str(error.value)
    return "\n" not in text and all(part in text for part in parts)


# What the networks see


def test_grey_levels_are_kept() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(pictures(levels / 255), levels)
    assert torch.equal(pictures(levels.double() * (1 / 255)), levels)


def test_pictures_are_rounded_and_clamped() -> None:
    x = torch.tensor([-3.0, -1e-9, 0.4 / 255, 0.6 / 255, 254.4 / 255, 254.6 / 255, 1.001, math.inf])
    assert pictures(x).tolist() == [0, 0, 0, 1, 254, 255, 255, 255]


def test_nan_is_no_picture() -> None:
    with pytest.raises(ValueError, match="x has 2 pixels that are nan"):
        pictures(torch.tensor([0.5, math.nan, math.nan]))


def test_each_picture_is_stretched_on_its_own() -> None:
    seen = torch.randint(40, 180, (5, 3, 6, 4), dtype=torch.uint8)
    seen[1] = 7
    for x, found in zip(seen.double().numpy(), stretched(seen).numpy(), strict=True):
        flat = x.max() == x.min()
        assert np.array_equal(found, x if flat else np.rint(np.interp(x, (x.min(), x.max()), (0, 255))))


# Features in chunks


def linear(name: str = "linear") -> Network:
    """A network whose features are easily told: the pixels, and their sum."""

    def extract(pictures: Tensor) -> Features:
        points = pictures.flatten(1).float()
        return Features(points, points.sum(1, keepdim=True))

    return Network(name, "12345678", "for tests", extract)


def noise(n: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8)


def test_chunks_keep_the_order_and_tell_their_progress() -> None:
    seen, done = noise(10, 1, 2, 2), []
    found = features_of(linear(), seen, rows=4, progress=done.append)
    assert torch.equal(found.points, seen.flatten(1).float())
    assert torch.equal(found.logits, seen.sum((1, 2, 3)).float()[:, None])
    assert done == [4, 8, 10]


def test_the_size_of_a_chunk_is_rounding() -> None:
    network = Network("random", "", "", Classifier((1, 28, 28), 10).eval())
    seen = noise(20, 1, 28, 28)
    whole, single = features_of(network, seen, rows=20), features_of(network, seen, rows=1)
    for a, b in zip(whole, single, strict=True):
        assert not a.requires_grad
        assert (a - b).abs().max() < 1e-5 * a.abs().max()


def test_features_are_not_in_tf32() -> None:
    """The flag counts on a GPU alone; its value before the call is the user's."""
    during = []

    def extract(pictures: Tensor) -> Features:
        during.append(torch.backends.cudnn.allow_tf32)
        return linear().extract(pictures)

    with torch.backends.cudnn.flags(allow_tf32=True):
        features_of(Network("spy", "", "", extract), noise(2, 1, 2, 2))
        assert (during, torch.backends.cudnn.allow_tf32) == ([False], True)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (torch.rand(4, 1, 8, 8), "not torch.float32 of shape (4, 1, 8, 8)"),
        (noise(4, 8, 8), "not torch.uint8 of shape (4, 8, 8)"),
        (noise(4, 2, 8, 8), "not torch.uint8 of shape (4, 2, 8, 8)"),
    ],
)
def test_what_is_no_picture_is_named(wrong: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match="pictures must be uint8") as error:
        features_of(linear(), wrong)
    assert one_sentence(error, told)


# What is kept on disk


class Counted:
    """Features by a network, and how often they were computed."""

    def __init__(self, network: Network, seen: Tensor) -> None:
        self.network, self.seen, self.times = network, seen, 0

    def __call__(self) -> Features:
        self.times += 1
        return features_of(self.network, self.seen)


def same(a: Features, b: Features) -> bool:
    return all(map(torch.equal, a, b))


def test_features_are_computed_once(tmp_path: Path) -> None:
    seen = noise(6, 1, 3, 3)
    compute = Counted(linear(), seen)
    first = cached(tmp_path, linear(), seen, compute)
    again = cached(tmp_path, linear(), seen.clone(), compute)
    assert compute.times == 1
    assert same(first, again)
    assert same(again, features_of(linear(), seen))


def test_other_pictures_and_other_networks_have_other_files(tmp_path: Path) -> None:
    seen = noise(6, 1, 2, 8)
    changed = seen.clone()
    changed[5, 0, 1, 7] ^= 1
    turned = seen.reshape(6, 1, 8, 2)  # the same bytes
    other = Network("linear", "87654321", "", linear().extract)
    for network, content in ((linear(), seen), (linear(), changed), (linear(), turned), (other, seen)):
        compute = Counted(network, content)
        assert same(cached(tmp_path, network, content, compute), features_of(network, content))
        assert compute.times == 1


@pytest.mark.parametrize("damage", ["empty", "short", "text", "one bit"])
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: str) -> None:
    seen = noise(6, 1, 3, 3)
    first = cached(tmp_path, linear(), seen, Counted(linear(), seen))
    (path,) = tmp_path.glob("*.safetensors")
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes({"empty": b"", "short": content[:-9], "text": b"not found" * 9, "one bit": flipped}[damage])
    compute = Counted(linear(), seen)
    assert same(cached(tmp_path, linear(), seen, compute), first)
    assert (compute.times, path.read_bytes()) == (1, content)


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    seen = noise(6, 1, 3, 3)

    def fail() -> Features:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, linear(), seen, fail)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]
    assert len(cached(tmp_path, linear(), seen, Counted(linear(), seen)).points) == 6


def test_one_of_several_computes_and_the_others_wait(tmp_path: Path) -> None:
    seen, started = noise(6, 1, 3, 3), []

    def slow() -> Features:
        started.append(time.monotonic())
        time.sleep(0.2)
        return features_of(linear(), seen)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cached(tmp_path, linear(), seen, slow), range(4)))
    assert len(started) == 1
    assert all(same(found[0], other) for other in found)


# The classifier

Labelled = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def digits() -> Labelled:
    """scikit-learn's digits: 1197 for training, 600 for the test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    seen, labels = pictures(torch.from_numpy(data.images) / 16).unsqueeze(1), torch.from_numpy(data.target)
    train_set, test = order.split([1197, 600])
    return seen[train_set], labels[train_set], seen[test], labels[test]


@pytest.fixture(scope="module")
def trained(digits: Labelled, tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Path]:
    folder = tmp_path_factory.mktemp("classifier")
    return classifier("digits", *digits, folder=folder), folder


@pytest.mark.long
def test_the_digits_are_told_apart(trained: tuple[Network, Path], digits: Labelled) -> None:
    network, _ = trained
    test, labels = digits[2:]
    found = features_of(network, test)
    share = (found.logits.argmax(1) == labels).double().mean().item()
    assert share > 0.95
    assert network.name == "classifier"
    assert network.note == f"a classifier trained on digits, test accuracy {share:.3f}, weights {network.digest}"
    assert found.points.shape == (600, 64)
    assert (found.points.dtype, found.logits.dtype, found.logits.shape) == (torch.float32, torch.float32, (600, 10))


@pytest.mark.long
def test_the_points_are_what_a_normal_law_fits_better(trained: tuple[Network, Path], digits: Labelled) -> None:
    """Standardised over the training set, none of them 0, and less skewed than after the ReLU."""
    points = features_of(trained[0], digits[0]).points
    assert points.mean(0).abs().max() < 0.2
    assert (points.var(0) - 1).abs().max() < 0.3
    assert (points != 0).all()
    before, after = (np.abs(skew(x.numpy())).mean() for x in (points, points.relu()))
    assert before < 0.8 * after


@pytest.mark.long
def test_the_distance_grows_with_the_noise(trained: tuple[Network, Path], digits: Labelled) -> None:
    train_set, test = digits[0], digits[2]
    disturbed = [(test + sd * torch.randn(test.shape)).clamp(0, 255).to(torch.uint8) for sd in (0, 40, 80)]
    reference, *others = (moments(features_of(trained[0], x).points) for x in (train_set, *disturbed))
    clean, little, much = (frechet(other, reference) for other in others)
    assert 2 * clean < little < much / 2


@pytest.mark.long
def test_a_classifier_is_trained_once(trained: tuple[Network, Path], digits: Labelled) -> None:
    network, folder = trained
    state = torch.get_rng_state()
    again = classifier("digits", *digits, folder=folder, progress=lambda done: pytest.fail("it is trained again"))
    assert torch.equal(torch.get_rng_state(), state)
    assert (again.digest, again.note) == (network.digest, network.note)
    assert same(features_of(again, digits[2]), features_of(network, digits[2]))


def test_the_projects_own_classifiers_are_small_and_whole() -> None:
    """As their files' hashes say; together below two megabytes."""
    files = sorted(SHIPPED.glob("*.safetensors"))
    assert len(files) == len(NAMES)
    assert all(read(file) is not None for file in files)
    assert sum(file.stat().st_size for file in files) < 2_000_000


def test_the_digits_classifier_comes_with_the_project(tmp_path: Path) -> None:
    """It is found by its data, and nothing is trained; what its note tells is so."""
    note = make("digits", tmp_path, tmp_path)
    assert not [*tmp_path.iterdir()]
    assert note.startswith("a classifier trained on digits, test accuracy 0.99")


def test_what_the_shipped_ones_lack_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("benchmarks.features.ship.NAMES", ("mnist",))
    monkeypatch.setattr("sys.argv", ["ship", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "error: Data set 'mnist' needs" in capsys.readouterr().err


@pytest.mark.long
def test_a_shipped_classifier_is_what_its_recipe_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same accuracy anywhere; the same weights on the kind of machine that it was made on."""
    monkeypatch.setattr("benchmarks.features.classifier.SHIPPED", tmp_path / "none")
    note = make("digits", tmp_path, tmp_path)
    assert float(note.split("accuracy ")[1].split(",")[0]) > 0.98


def test_training_depends_on_its_seed_alone(digits: Labelled) -> None:
    """Not on torch's random state, which it leaves, nor on the caller's gradient mode."""
    state = torch.get_rng_state()
    first = train(*digits[:2], steps=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    with torch.no_grad():
        again = train(*digits[:2], steps=3)
    other = train(*digits[:2], seed=1, steps=3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


@pytest.mark.long
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 20), (3, 64, 64)])
def test_pictures_of_many_sizes_are_learned(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Dark noise against bright noise, a few small steps, after which the logits order them."""
    monkeypatch.setattr("benchmarks.features.classifier.BATCH", 20)
    bright = torch.arange(40) % 2
    seen = noise(40, *shape) // 2 + 127 * bright.to(torch.uint8).view(-1, 1, 1, 1)
    done: list[int] = []
    model = train(seen, bright, steps=8, progress=done.append)
    points, logits = features_of(Network("", "", "", model), seen)
    assert (points.shape, logits.shape, done) == ((40, 64), (40, 2), list(range(1, 9)))
    brighter = logits[:, 1] - logits[:, 0]
    assert brighter[bright == 1].min() > brighter[bright == 0].max()


def test_labels_are_one_a_picture(digits: Labelled, tmp_path: Path) -> None:
    seen, labels, test, test_labels = digits
    with pytest.raises(ValueError, match=r"^labels must be one a picture, but there are 5 for 1197 pictures$"):
        classifier("digits", seen, labels[:5], test, test_labels, tmp_path)
    with pytest.raises(ValueError, match=r"^test_labels must be one a picture, but there are 5 for 600 test_pictures$"):
        classifier("digits", seen, labels, test, test_labels[:5], tmp_path)


# Inception


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the published one, of a network drawn so that activations neither vanish nor explode."""
    torchvision()
    from torch_fidelity import FeatureExtractorInceptionV3

    class Drawn(FeatureExtractorInceptionV3):
        def load_state_dict(self, state: object) -> None:
            """Nothing is loaded."""

    path = tmp_path_factory.mktemp("weights") / "drawn.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    network = Drawn("drawn", ["2048"], path)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    network.fc.weight.mul_(30)  # so that the classes differ between pictures
    torch.save(network.state_dict(), path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def drawn(weights: Path) -> Network:
    return inception.load(weights, sha256=sha256(weights))


class Images(Dataset):
    """What torch-fidelity takes as a data set."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() < 1e-5 * a.abs().max())


@pytest.mark.slow
def test_inception_is_torch_fidelitys(drawn: Network, weights: Path, tmp_path: Path) -> None:
    """Features of grey and colour pictures, and FID, KID and IS from them, are those of torch-fidelity's own run."""
    import torch_fidelity
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    brightness = torch.linspace(0.2, 1, 4).view(-1, 1, 1, 1)
    sets = {"generated": brightness * noise(4, 1, 28, 28), "real": brightness.flip(0) * noise(4, 3, 28, 28)}
    sets = {name: x.to(torch.uint8) for name, x in sets.items()}
    ours = {name: features_of(drawn, x, rows=3) for name, x in sets.items()}
    options = {"isc_splits": 2, "kid_subsets": 1, "kid_subset_size": 4, "verbose": False}
    expected = torch_fidelity.calculate_metrics(
        input1=Images(sets["generated"].expand(-1, 3, -1, -1)),
        input2=Images(sets["real"]),
        feature_extractor_weights_path=str(weights),
        **{"fid": True, "kid": True, "isc": True, **options},
        **{"batch_size": 3, "cuda": False, "save_cpu_ram": True},
        **{"cache_root": str(tmp_path), "input1_cache_name": "generated", "input2_cache_name": "real"},
    )
    for name, features in ours.items():
        for layer, found in zip(("2048", "logits_unbiased"), features, strict=True):
            theirs = torch.load(tmp_path / f"{name}-inception-v3-compat-features-{layer}.pt", weights_only=True)
            assert torch.equal(found, theirs)
    assert close(features_of(drawn, sets["real"][:3], rows=1).points, ours["real"].points[:3])

    points = ours["generated"].points, ours["real"].points
    found = kid_features_to_metric(*points, **options) | isc_features_to_metric(ours["generated"].logits, splits=2)
    fid = expected.pop("frechet_inception_distance")
    assert found == pytest.approx(expected, rel=1e-6)
    # Theirs has float32 means and kernels, and roots of 2,000 eigenvalues that are 0 but for rounding.
    assert frechet(*map(moments, points)) == pytest.approx(fid, rel=1e-4)
    assert kernel_distance(*points).value == pytest.approx(found["kernel_inception_distance_mean"], rel=1e-3)


@pytest.mark.long
def test_a_network_says_which_weights_it_has(drawn: Network, weights: Path) -> None:
    assert (drawn.name, drawn.digest) == ("inception-v3-compat", sha256(weights)[:8])
    assert drawn.note == f"Inception-v3 of 2015, weights {drawn.digest}, which are not the published ones"


def test_the_published_file_is_torch_fidelitys() -> None:
    torchvision()
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    assert inception.URL == URL_INCEPTION_V3
    assert inception.FILE.endswith(f"-{inception.PUBLISHED_SHA256[:8]}.pth")
    assert inception.URL in inception.HOW
    assert "--inception-weights FILE" in inception.HOW


def test_weights_are_found_where_torch_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    usual = tmp_path / "hub" / "checkpoints" / inception.FILE
    assert inception.find(None) is None
    usual.parent.mkdir(parents=True)
    usual.touch()
    own = tmp_path / "own.pth"
    with pytest.raises(WeightsError) as error:
        inception.find(own)
    assert one_sentence(error, f"{own}: there is no such file", inception.REMEDY)
    own.touch()
    assert (inception.find(None), inception.find(own)) == (usual, own)


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (None, "there is no such file"),
        (1_000, "are truncated: 1,000 bytes, where the published ones have 95,628,359"),
        (inception.PUBLISHED_BYTES, "are damaged or others: SHA-256"),
    ],
)
def test_wrong_weights_are_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None, told: str
) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it is unpickled"))
    path = tmp_path / "weights.pth"
    if size is not None:
        path.touch()
        os.truncate(path, size)
    with pytest.raises(WeightsError) as error:
        inception.load(path)
    assert one_sentence(error, str(path), told, inception.REMEDY)


@pytest.mark.parametrize("content", ["no pickle", "other weights"])
def test_what_are_no_weights_of_inception_is_told(tmp_path: Path, content: str) -> None:
    path, state = tmp_path / "weights.pth", torch.get_rng_state()
    torch.save({"weight": torch.zeros(2)}, path)
    if content == "no pickle":
        path.write_text(content)
    with pytest.raises(WeightsError) as error:
        inception.load(path, sha256=sha256(path))
    assert one_sentence(error, str(path), "cannot be loaded", inception.REMEDY)
    assert torch.equal(torch.get_rng_state(), state)


# The real data sets, where they are at hand

DATA = os.environ.get("PRIORBENCH_DATA", "")


@pytest.mark.realdata
@pytest.mark.skipif(not DATA, reason="PRIORBENCH_DATA names no folder with real data")
@pytest.mark.parametrize(
    ("name", "folder", "least"),
    [("mnist", "MNIST", 0.985), ("fashion-mnist", "FashionMNIST", 0.88)],
)
def test_real_pictures_are_told_apart(name: str, folder: str, least: float, tmp_path: Path) -> None:
    """Their training, test and label files; minutes on one thread."""
    data, raw = datasets.load(name, Path(DATA), binarisation="none"), Path(DATA) / folder / "raw"
    read = torchvision().datasets.mnist.read_label_file
    labels, test_labels = (read(raw / f"{part}-labels-idx1-ubyte") for part in ("train", "t10k"))
    start = time.monotonic()
    network = classifier(name, data.train.stored, labels[:50_000], data.test.stored, test_labels, tmp_path)
    print(network.note, f"{time.monotonic() - start:.0f} s")
    found = features_of(network, data.test.stored, rows=500).logits.argmax(1)
    assert (found == test_labels).double().mean() > least
