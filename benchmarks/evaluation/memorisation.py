"""Whether a model repeats its training images: distances to the nearest one, in pixels and in Inception's features."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from benchmarks.evaluation.features import features
from benchmarks.evaluation.metric import mean_figure, metric
from benchmarks.evaluation.subject import Subject
from benchmarks.metrics.figure import Figure
from benchmarks.metrics.memorisation import authentic, data_copying
from benchmarks.metrics.neighbours import nearest
from priors.base import Unsupported

USUAL = 10_000
"""Images a side in FlexAE's Table 4: the scores fall as sets grow."""

LEVELS = 255.0

Points = Callable[[str], Tensor]
"""A set of images by its name (`Subject.images`), as points (n, *shape)."""


def pixels(subject: Subject) -> Points:
    """The sets as elements on the scale of the data: in [0, 1] for pictures."""
    scale = LEVELS if subject.data.of_pictures else 1.0
    return lambda which: subject.images(which) / scale


def inception(subject: Subject) -> Points:
    """The sets as Inception's features."""
    return lambda which: features(subject, "inception", which).points


def score(name: str, a: Tensor, b: Tensor, note: str = "") -> Figure:
    """Mean Euclidean distance of a point of `a` to its nearest in `b`, (N, *shape) each (FlexAE, section 4, Table 4).

    Of pixels in [0, 1] this is the pixel memorisation score (PMS), of Inception's features IMS; its error is over `a`,
    for this `b`. It falls as `b` grows: only scores of sets of one size compare. Raises Unsupported where they differ.
    """
    if len(a) != len(b):
        raise Unsupported(f"the score needs sets of one size, and these have {len(a)} and {len(b)} images")
    small = f"of {len(a)} images a side: not comparable with scores of {USUAL}" if len(a) < USUAL else ""
    return mean_figure(name, f"nn-{len(a)}", nearest(a, b).distance, "none", "none", note or small)


def of_model(measure: str, sets: Points) -> list[Figure]:
    """The scores of generated images, the test set's own, and their ratio."""
    generated, test, training = (sets(which) for which in ("generated", "test", "training"))
    ours = score(f"{measure}_generated_train", generated, training)
    floor = score(f"{measure}_test_train", test, training)
    note = "well below 1 where training images are repeated, and where images lack the data's detail"
    ratio = Figure(f"{measure}_ratio", ours.estimator, ours.value / floor.value, "none", "none", note=note)
    return [ours, score(f"{measure}_generated_test", generated, test), floor, ratio]


@metric("pms")
def pms(subject: Subject) -> list[Figure]:
    """Distance in pixels from generated images to the nearest training image, beside the test images' own (FlexAE)."""
    return of_model("pms", pixels(subject))


@metric("pms_train_train", of_data=True)
def pms_train_train(subject: Subject) -> list[Figure]:
    """Distance in pixels from training images to the nearest of other training images: no model (FlexAE, Table 4)."""
    return [score("pms_train_train", *map(pixels(subject), ("held-out", "training")))]


@metric("pms_train_test", of_data=True)
def pms_train_test(subject: Subject) -> list[Figure]:
    """Distance in pixels from training images to the nearest test image: no model (FlexAE, Table 4)."""
    return [score("pms_train_test", *map(pixels(subject), ("training", "test")))]


@metric("ims", inception=True)
def ims(subject: Subject) -> list[Figure]:
    """Distance in Inception's features from generated images to the nearest training image, beside the test images'."""
    return of_model("ims", inception(subject))


@metric("ims_train_train", of_data=True, inception=True)
def ims_train_train(subject: Subject) -> list[Figure]:
    """Distance in Inception's features from training images to the nearest of other training images: no model."""
    return [score("ims_train_train", *map(inception(subject), ("held-out", "training")))]


@metric("ims_train_test", of_data=True, inception=True)
def ims_train_test(subject: Subject) -> list[Figure]:
    """Distance in Inception's features from training images to the nearest test image: no model."""
    return [score("ims_train_test", *map(inception(subject), ("training", "test")))]


@metric("copying")
def copying(subject: Subject) -> list[Figure]:
    """Authentic share and C_T of generated images against the training set, beside the test images' own share."""
    train, n = subject.all_training, subject.count
    ours, theirs = (nearest(points, train) for points in (subject.generated, subject.test))
    own, reference = (authentic(found, train).double() for found in (ours, theirs))
    note = "a standard normal where generated and test images are equally close to training ones; far below 0: copies"
    if len(train) < len(subject.data.train):
        note += f"; against the first {len(train)} training images"
    return [
        mean_figure("authentic_share", f"pixels-{n}", own, "none", "share", "above the test images': off the data"),
        mean_figure("authentic_share", f"pixels-{n}-test", reference, "none", "share", "the test images' own"),
        Figure("data_copying", f"c_t-{n}", data_copying(ours, theirs), "none", "none", note=note),
    ]
