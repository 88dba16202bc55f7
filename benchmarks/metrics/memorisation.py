"""Whether a model repeats its training images: distances to the nearest one, in pixels and in Inception's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.estimators.copying import KIN, authentic, copies, data_copying, excess_p, least_share
from benchmarks.estimators.estimate import Estimate, remarks
from benchmarks.estimators.estimator import Estimator
from benchmarks.estimators.feature_likelihood import likelihood_gap
from benchmarks.estimators.neighbours import Neighbours, nearest, nearest_few
from benchmarks.metrics.base import Deciding, Sees, mean_estimate, measured_estimate, metric, metric_of_data
from benchmarks.metrics.controls import Harm
from benchmarks.metrics.evaluated import Evaluated, Material
from benchmarks.metrics.feature_sets import features, network_of
from priors.base import Unsupported

USUAL = 10_000
"""Images a side in FlexAE's Table 4: the scores fall as sets grow."""

LEVELS = 255.0

COPIED: tuple[Harm, ...] = ("memorisation",)
"""What all of these are to see, and nothing else."""

Points = Callable[[str], Tensor]
"""A set of images by its name (`Evaluated.images`), as points (n, *shape)."""


def pixels(material: Material) -> Points:
    """The sets as elements on the scale of the data: in [0, 1] for pictures."""
    scale = LEVELS if material.data.of_pictures else 1.0
    return lambda which: material.images(which) / scale


def inception(material: Material) -> Points:
    """The sets as Inception's features."""
    return lambda which: features(material, "inception", which).points


def score(name: str, a: Tensor, b: Tensor) -> Estimate:
    """Mean Euclidean distance of a point of `a` to its nearest in `b`, (N, *shape) each (FlexAE, section 4, Table 4).

    Of pixels in [0, 1] this is the pixel memorisation score (PMS), of Inception's features IMS; its error is over `a`,
    for this `b`. It falls as `b` grows: only scores of sets of one size compare. Raises Unsupported where they differ.
    """
    if len(a) != len(b):
        raise Unsupported(f"the score needs sets of one size, and these have {len(a)} and {len(b)} images")
    small = f"of {len(a)} images a side: not comparable with scores of {USUAL}" if len(a) < USUAL else ""
    return mean_estimate(name, Estimator("nn", draws=(len(a),)), nearest(a, b).distance, "none", "none", small)


def scores(measure: str) -> tuple[str, ...]:
    """The rows of `of_model`."""
    return tuple(f"{measure}_{which}" for which in ("generated_train", "generated_test", "test_train", "ratio"))


def of_model(measure: str, sets: Points) -> list[Estimate]:
    """The scores of generated images, the test set's own, and their ratio."""
    generated, test, training = (sets(which) for which in ("generated", "test", "training"))
    ours = score(f"{measure}_generated_train", generated, training)
    floor = score(f"{measure}_test_train", test, training)
    told = remarks("well below 1 where training images are repeated, and where images lack the data's detail")
    ratio = Estimate(f"{measure}_ratio", ours.estimator, ours.value / floor.value, "none", "none", remarks=told)
    return [ours, score(f"{measure}_generated_test", generated, test), floor, ratio]


@metric("pms", draws=True, rows=scores("pms"), sees=(Sees("pms_ratio", COPIED, worse="lower"),))
def pms(evaluated: Evaluated) -> list[Estimate]:
    """Distance in pixels from generated images to the nearest training image, beside the test images' own (FlexAE)."""
    return of_model("pms", pixels(evaluated))


@metric_of_data("pms_train_train")
def pms_train_train(material: Material) -> list[Estimate]:
    """Distance in pixels from training images to the nearest of other training images: no model (FlexAE, Table 4)."""
    return [score("pms_train_train", *map(pixels(material), ("held-out", "training")))]


@metric_of_data("pms_train_test")
def pms_train_test(material: Material) -> list[Estimate]:
    """Distance in pixels from training images to the nearest test image: no model (FlexAE, Table 4)."""
    return [score("pms_train_test", *map(pixels(material), ("training", "test")))]


@metric("ims", inception=True, draws=True, rows=scores("ims"), sees=(Sees("ims_ratio", COPIED, worse="lower"),))
def ims(evaluated: Evaluated) -> list[Estimate]:
    """Distance in Inception's features from generated images to the nearest training image, beside the test images'."""
    return of_model("ims", inception(evaluated))


@metric_of_data("ims_train_train", inception=True)
def ims_train_train(material: Material) -> list[Estimate]:
    """Distance in Inception's features from training images to the nearest of other training images: no model."""
    return [score("ims_train_train", *map(inception(material), ("held-out", "training")))]


@metric_of_data("ims_train_test", inception=True)
def ims_train_test(material: Material) -> list[Estimate]:
    """Distance in Inception's features from training images to the nearest test image: no model."""
    return [score("ims_train_test", *map(inception(material), ("training", "test")))]


def gap_estimates(evaluated: Evaluated, name: str, network: str) -> list[Estimate]:
    """The likelihood's gap under generated images, and under reconstructions of unseen ones."""
    names = ("generated", "reconstruction", "all-training", "test")
    generated, decoded, training, test = (features(evaluated, network, which).points for which in names)
    how = Estimator(network_of(evaluated, network).name, draws=(len(generated),))
    told = "above the reconstructions' gap: likelier training images than new images make"
    ours, beside = (likelihood_gap(points, training, test) for points in (generated, decoded))
    return [
        measured_estimate(name, how, ours, "none", "nats", told),
        measured_estimate(name, replace(how, of="reconstruction"), beside, "none", "nats", SMOOTH),
    ]


@metric("fld_gap", inception=True, draws=True, sees=(Sees("fld_gap", COPIED, worse="higher"),))
def fld_gap(evaluated: Evaluated) -> list[Estimate]:
    """How much likelier training images than test images are under a mixture around generated ones, by Inception."""
    return gap_estimates(evaluated, "fld_gap", "inception")


@metric("fld_gap_classifier", draws=True, sees=(Sees("fld_gap_classifier", COPIED, worse="higher"),))
def fld_gap_classifier(evaluated: Evaluated) -> list[Estimate]:
    """How much likelier training than test images are under a mixture around generated ones (Jiralerspong et al. 2023).

    In the classifier's features, which has been trained on the training images: part of the gap is its own, and
    `-reconstruction` has it too.
    """
    return gap_estimates(evaluated, "fld_gap_classifier", "classifier")


SMOOTH = "of E[x|z] at codes of images not trained on"
BESIDE = "below 0: nearer to training images than test images are, as copies and smooth images are; above 0: further"
AGAINST = "about 0 where draws decode as codes of unseen images do; below: nearer to training images; above: further"


@metric(
    "copying",
    draws=True,
    rows=("authentic_share", "data_copying", "copies", "copies_p"),
    deciding=Deciding("copying", "data_copying", "c_t", "against-reconstructions"),
    sees=(
        Sees("authentic_share", COPIED, worse="lower"),
        Sees("data_copying", COPIED, worse="lower"),
        Sees("data_copying", COPIED, of="against-reconstructions", worse="lower"),
        Sees("copies", COPIED, worse="higher"),
        Sees("copies_p", COPIED, worse="lower", log=True),
    ),
)
def copying(evaluated: Evaluated) -> list[Estimate]:
    """Whether training images are repeated: as a whole and image by image, beside reconstructions of unseen images.

    E[x|z] is smoother than data, and smooth images are closer to the training images without being copies. How much
    closer is told by what has been through the same decoder: reconstructions of images not trained on.
    """
    found = {name: near(images, evaluated.all_training) for name, images in compared(evaluated).items()}
    found.setdefault("many", found["generated"])
    return [*authentic_shares(evaluated, found), *as_a_whole(evaluated, found), *one_by_one(found)]


def compared(evaluated: Evaluated) -> dict[str, Tensor]:
    """What is held against the training images, by name; "many" where there are more generated images than those."""
    sets = {
        "generated": evaluated.generated,
        "reconstruction": evaluated.reconstructed,
        "test": evaluated.test,
        "validation": evaluated.validation,
    }
    more = evaluated.many_generated
    return sets if more is evaluated.generated else {**sets, "many": more}


def near(images: Tensor, training: Tensor) -> Neighbours:
    """The KIN nearest training images of every image, or as many as there are."""
    return nearest_few(images, training, min(KIN, len(training)))


def authentic_shares(evaluated: Evaluated, found: Mapping[str, Neighbours]) -> list[Estimate]:
    """That of generated images, beside those of test images and of their reconstructions."""
    estimates = []
    for which, of, told in (
        ("generated", "", "below the reconstructions' share: nearer to training images than those; above: further"),
        ("reconstruction", "reconstruction", SMOOTH),
        ("test", "test", "the test images' own, which are sharper than E[x|z]"),
    ):
        own = authentic(found[which].first, evaluated.all_training).double()
        how = Estimator("pixels", draws=(len(own),), of=of)
        estimates.append(mean_estimate("authentic_share", how, own, "none", "share", told))
    return estimates


def as_a_whole(evaluated: Evaluated, found: Mapping[str, Neighbours]) -> list[Estimate]:
    """C_T of generated images and of reconstructions, against test images, and of generated against reconstructions."""
    few, estimates = len(evaluated.all_training) < len(evaluated.data.train), []
    cut = f"; against the first {len(evaluated.all_training)} training images" if few else ""
    for ours, theirs, of, told in (
        ("generated", "test", "", BESIDE),
        ("reconstruction", "test", "reconstruction", f"{SMOOTH}: what smoothness alone does"),
        ("generated", "reconstruction", "against-reconstructions", AGAINST),
    ):
        z, how = data_copying(found[ours].first, found[theirs].first), Estimator("c_t", draws=(evaluated.count,), of=of)
        estimates.append(Estimate("data_copying", how, z, "none", "none", remarks=remarks(told + cut)))
    return estimates


def one_by_one(found: Mapping[str, Neighbours]) -> list[Estimate]:
    """The share of generated images that repeat a training image, beside those of reconstructions and of unseen images,
    with an exact test of the excess over either.

    Smoothness makes no image a copy by this count, so that real images may be the yardstick: of test and validation
    images both, and for more generated ones, since the numbers limit how small a share can be found. Reconstructions
    are only the second one, since a decoder that knows nothing but training images makes copies of unseen ones too.
    """
    ours, decoded = copies(found["many"]), copies(found["reconstruction"])
    unseen = torch.cat([copies(found["test"]), copies(found["validation"])])
    return [
        share_of_copies(ours, "", f"within a third of the distance to the {KIN}th nearest training image"),
        share_of_copies(decoded, "reconstruction", SMOOTH),
        share_of_copies(unseen, "unseen", "of test and validation images, which are no copies"),
        excess(ours, unseen, "", "repeat training images more often than unseen images do"),
        excess(ours, decoded, "against-reconstructions", "do so more often than unseen images that were decoded"),
    ]


def share_of_copies(repeating: Tensor, of: str, told: str) -> Estimate:
    """The share of images that repeat a training image."""
    how = Estimator("third", draws=(len(repeating),), of=of)
    return mean_estimate("copies", how, repeating.double(), "none", "share", told)


def excess(ours: Tensor, theirs: Tensor, of: str, what: str) -> Estimate:
    """The p-value of more copies among ours, with the share from which on it would tell."""
    n, m = len(ours), len(theirs)
    least = least_share(n, m)
    power = f"below 0.01 from a share of {least:.2g} on" if least <= 1 else "too few images to tell"
    told = remarks(f"p-value: small where generated images {what}", power)
    how = Estimator("fisher", draws=(n, m), of=of)
    return Estimate("copies_p", how, excess_p(ours, theirs), "none", "none", remarks=told)
