"""The quality of images: how far sets of them lie from real ones in a feature network's space.

With Inception's weights the figures have their usual names (FID, KID). With the small classifier that is trained on the
data set's own labels they are called fd_classifier and kd_classifier: they compare methods on one data set, and nothing
with a paper. The reference is the first test images; `-floor` is the figure that as many training images get.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from benchmarks.datasets.vision import torchvision
from benchmarks.evaluation.features import STRETCHED, features, network_of
from benchmarks.evaluation.metric import Metric, finite, metric, register
from benchmarks.evaluation.subject import Subject
from benchmarks.metrics.figure import Direction, Figure
from benchmarks.metrics.frechet import frechet, moments
from benchmarks.metrics.kernel import kernel_distance
from benchmarks.metrics.manifold import manifold_means
from benchmarks.metrics.prd import precision_recall
from benchmarks.seeds import seed_for

SPLITS = 10
"""Parts of the images whose inception scores are averaged."""

USUAL = 10_000
"""Images a side of a figure that papers can be held against."""

SETS = {
    "generated": ("", "generated images"),
    "reconstruction": ("_reconstruction", "reconstructions"),
    "low-posterior": ("_low_posterior", "the prior's draws that the posterior covers least"),
    "high-posterior": ("_high_posterior", "the codes that the prior is least likely to draw"),
    "generated-stretched": ("_stretched", "generated images, each stretched to the full range as FlexAE's code does,"),
}
"""What is held against the test images: the ending of the metric's name, and in words."""


class Space:
    """A network's features of the subject's sets, with what every figure of them says."""

    def __init__(self, subject: Subject, network: str):
        self.subject, self.network = subject, network
        one = network_of(subject, network)
        small = f"of {subject.count} images: biased, compare equal numbers alone" if subject.count < USUAL else ""
        self.estimator = f"{one.name}-{subject.count}"
        self.note = "; ".join(filter(None, (one.note, small)))

    def points(self, which: str) -> Tensor:
        """(n, F), float32."""
        return features(self.subject, self.network, which).points

    def figure(
        self, name: str, value: float, direction: Direction, error: float | None = None, ending: str = ""
    ) -> Figure:
        """One that is computed from these features."""
        return Figure(name, self.estimator + ending, value, "none", direction, error, self.note)


def frechet_figures(subject: Subject, name: str, network: str, which: str) -> list[Figure]:
    """The Frechet distance of a set to the test images, and that of training images."""
    space = Space(subject, network)
    reference = moments(space.points("test"))
    distance = frechet(moments(space.points(which)), reference)
    if which.endswith(STRETCHED):
        return [space.figure(name, distance, "lower", ending="+stretched")]
    floor = frechet(moments(space.points("training")), reference)
    return [space.figure(name, distance, "lower"), space.figure(name, floor, "none", ending="-floor")]


def register_frechet(prefix: str, network: str) -> None:
    """A metric a set of SETS."""
    for which, (ending, words) in SETS.items():
        name = prefix if which.endswith(STRETCHED) else prefix + ending
        summary = f"Frechet distance of {words} to the test images, in {network}'s features."
        measure = partial(frechet_figures, name=name, network=network, which=which)
        of_draws = which not in ("reconstruction", "high-posterior")
        register(Metric(prefix + ending, summary, measure, inception=network == "inception", draws=of_draws))


register_frechet("fid", "inception")
register_frechet("fd_classifier", "classifier")


def kernel_figures(subject: Subject, name: str, network: str) -> list[Figure]:
    """The squared polynomial MMD of generated and test images, unbiased over all pairs, and that of training images."""
    space = Space(subject, network)
    figures = []
    for which, ending in (("generated", ""), ("training", "-floor")):
        value, error = kernel_distance(space.points(which), space.points("test"))
        figures.append(space.figure(name, value, "none" if ending else "lower", error, ending))
    return figures


@metric("kid", inception=True, draws=True)
def kid(subject: Subject) -> list[Figure]:
    """Kernel Inception distance of generated images to the test images, unbiased (Binkowski et al. 2018)."""
    return kernel_figures(subject, "kid", "inception")


@metric("kd_classifier", draws=True)
def kd_classifier(subject: Subject) -> list[Figure]:
    """Kernel distance of generated images to the test images in the classifier's features, unbiased."""
    return kernel_figures(subject, "kd_classifier", "classifier")


@metric("inception_score", inception=True, draws=True)
def inception_score(subject: Subject) -> list[Figure]:
    """exp of the information between image and Inception's class, mean of ten parts (Salimans et al. 2016).

    `-test` is that of the test images, which a model need not stay below.
    """
    torchvision()  # torch-fidelity imports it
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    space, figures = Space(subject, "inception"), []
    for which, ending in (("generated", ""), ("test", "-test")):
        logits = features(subject, "inception", which).logits
        seed = seed_for(subject.seed, "inception_score") % 2**32
        told = isc_features_to_metric(logits, SPLITS, rng_seed=seed)
        direction: Direction = "none" if ending else "higher"
        figures.append(space.figure("inception_score", told[KEY_METRIC_ISC_MEAN], direction, ending=ending))
    return figures


def manifold_figures(subject: Subject, network: str) -> list[Figure]:
    """Improved precision and recall, density and coverage of generated against test images."""
    space = Space(subject, network)
    means = manifold_means(space.points("generated"), space.points("test"))
    return [space.figure(name, one.value, "higher", finite(one.error)) for name, one in means.items()]


@metric("precision_recall", inception=True, draws=True)
def precision_recall_inception(subject: Subject) -> list[Figure]:
    """Improved precision and recall (3 neighbours), density and coverage (5), in Inception's features."""
    return manifold_figures(subject, "inception")


@metric("precision_recall_classifier", draws=True)
def precision_recall_classifier(subject: Subject) -> list[Figure]:
    """Improved precision and recall (3 neighbours), density and coverage (5), in the classifier's features."""
    return manifold_figures(subject, "classifier")


def prd_figures(subject: Subject, network: str) -> list[Figure]:
    """max F_1/8 and max F_8 of the PRD curve of generated against test images."""
    space = Space(subject, network)
    found = precision_recall(space.points("generated"), space.points("test"), seed_for(subject.seed, "prd"))
    return [space.figure(f"prd_{name}", value, "higher") for name, value in found._asdict().items()]


@metric("prd", inception=True, draws=True)
def prd(subject: Subject) -> list[Figure]:
    """Precision and recall of distributions in Inception's features (Sajjadi et al. 2018)."""
    return prd_figures(subject, "inception")


@metric("prd_classifier", draws=True)
def prd_classifier(subject: Subject) -> list[Figure]:
    """Precision and recall of distributions in the classifier's features (Sajjadi et al. 2018)."""
    return prd_figures(subject, "classifier")
