"""The quality of images: how far sets of them lie from real ones in a feature network's space.

With Inception's weights the metrics have their usual names (FID, KID). With the small classifier that is trained on the
data set's own labels they are called fd_classifier and kd_classifier: they compare methods on one data set, and nothing
with a paper. The reference is the first test images; `-floor` is the estimate that as many training images get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from torch import Tensor

from benchmarks.common.seeds import seed_for
from benchmarks.datasets.vision import torchvision
from benchmarks.estimators.clipped import Clipped, clipped_means
from benchmarks.estimators.estimate import Direction, Estimate, remarks
from benchmarks.estimators.estimator import Estimator
from benchmarks.estimators.frechet import Moments, frechet, moments
from benchmarks.estimators.kernel import kernel_distance
from benchmarks.estimators.latent import Measured
from benchmarks.estimators.manifold import Manifold, manifold_means
from benchmarks.estimators.prd import precision_recall
from benchmarks.estimators.sliced import directions, mind
from benchmarks.metrics.base import BOTH, Deciding, Sees, finite, metric
from benchmarks.metrics.evaluated import Evaluated
from benchmarks.metrics.feature_sets import features, network_of

SPLITS = 10
"""Parts of the images whose inception scores are averaged."""

PRD = ("prd_precision", "prd_recall")
"""The rows of precision and recall of distributions."""

SEEN = (
    *(Sees(row, ("fidelity",)) for row in ("precision", "density")),
    *(Sees(row, ("coverage",)) for row in ("recall", "coverage")),
)
CLIPPED = (Sees("clipped_density", ("fidelity",)), Sees("clipped_coverage", ("coverage",)))
OF_PRD = (Sees(PRD[0], ("fidelity",)), Sees(PRD[1], ("coverage",)))
"""What each of a pair is to see."""

Means = Callable[[Tensor, Tensor], dict[str, Measured]]
"""Estimates by name from the features of generated and of test images."""

USUAL = 10_000
"""Images a side of an estimate that papers can be held against."""


class Space:
    """A network's features of a model's sets, with what every estimate of them says."""

    def __init__(self, evaluated: Evaluated, network: str):
        self.evaluated, self.network = evaluated, network
        one, count = network_of(evaluated, network), evaluated.count
        small = f"of {count} images: biased, compare equal numbers alone" if count < USUAL else ""
        self.estimator, self.remarks = Estimator(one.name, draws=(count,)), remarks(one.note, small)

    def points(self, which: str, stretch: bool = False) -> Tensor:
        """(n, F), float32."""
        return features(self.evaluated, self.network, which, stretch).points

    def estimate(self, name: str, value: float, direction: Direction, error: float | None = None) -> Estimate:
        """One that is computed from these features."""
        return Estimate(name, self.estimator, value, "none", direction, error, self.remarks)

    def beside(self, name: str, value: float, of: str, error: float | None = None) -> Estimate:
        """One to read the model's by: of real images."""
        estimate = self.estimate(name, value, "none", error)
        return replace(estimate, estimator=replace(self.estimator, of=of))

    @cached_property
    def reference(self) -> Moments:
        """Those of the test images."""
        return moments(self.points("test"))

    def frechet(self, which: str, stretch: bool = False) -> float:
        """The Frechet distance of a set to the test images."""
        return frechet(moments(self.points(which, stretch)), self.reference)


def frechet_estimates(evaluated: Evaluated, name: str, network: str, which: str) -> list[Estimate]:
    """The Frechet distance of a set to the test images, and that of training images."""
    space = Space(evaluated, network)
    distance, floor = space.frechet(which), space.frechet("training")
    return [space.estimate(name, distance, "lower"), space.beside(name, floor, "floor")]


def stretched_frechet(evaluated: Evaluated, name: str, network: str) -> list[Estimate]:
    """The Frechet distance of generated images that were stretched one by one, as FlexAE's code does."""
    space = Space(evaluated, network)
    estimate = space.estimate(name, space.frechet("generated", stretch=True), "lower")
    return [replace(estimate, estimator=replace(space.estimator, variant="stretched"))]


@metric("fid", inception=True, draws=True, deciding=Deciding("samples", "fid", "inception"), sees=(Sees("fid", BOTH),))
def fid(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of generated images to the test images, in Inception's features."""
    return frechet_estimates(evaluated, "fid", "inception", "generated")


@metric("fid_reconstruction", inception=True)
def fid_reconstruction(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of reconstructions to the test images, in Inception's features."""
    return frechet_estimates(evaluated, "fid_reconstruction", "inception", "reconstruction")


@metric("fid_low_posterior", inception=True, draws=True)
def fid_low_posterior(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of draws that the posterior covers least to the test images, in Inception's features."""
    return frechet_estimates(evaluated, "fid_low_posterior", "inception", "low-posterior")


@metric("fid_high_posterior", inception=True)
def fid_high_posterior(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of the codes where the prior is lowest to the test images, in Inception's features."""
    return frechet_estimates(evaluated, "fid_high_posterior", "inception", "high-posterior")


@metric("fid_stretched", inception=True, draws=True, rows=("fid",))
def fid_stretched(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of images stretched to the full range (FlexAE's code), in Inception's features."""
    return stretched_frechet(evaluated, "fid", "inception")


@metric(
    "fd_classifier",
    draws=True,
    deciding=Deciding("samples", "fd_classifier", "classifier"),
    sees=(Sees("fd_classifier", BOTH),),
)
def fd_classifier(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of generated images to the test images, in the classifier's features."""
    return frechet_estimates(evaluated, "fd_classifier", "classifier", "generated")


@metric("fd_classifier_reconstruction")
def fd_classifier_reconstruction(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of reconstructions to the test images, in the classifier's features."""
    return frechet_estimates(evaluated, "fd_classifier_reconstruction", "classifier", "reconstruction")


@metric("fd_classifier_low_posterior", draws=True)
def fd_classifier_low_posterior(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of draws that the posterior covers least to the test images, in the classifier's features."""
    return frechet_estimates(evaluated, "fd_classifier_low_posterior", "classifier", "low-posterior")


@metric("fd_classifier_high_posterior")
def fd_classifier_high_posterior(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of the codes where the prior is lowest to the test images, in the classifier's features."""
    return frechet_estimates(evaluated, "fd_classifier_high_posterior", "classifier", "high-posterior")


@metric("fd_classifier_stretched", draws=True, rows=("fd_classifier",))
def fd_classifier_stretched(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of images stretched to the full range (FlexAE's code), in the classifier's features."""
    return stretched_frechet(evaluated, "fd_classifier", "classifier")


def kernel_estimates(evaluated: Evaluated, name: str, network: str) -> list[Estimate]:
    """The squared polynomial MMD of generated and test images, unbiased over all pairs, and that of training images."""
    space = Space(evaluated, network)
    own, floor = (kernel_distance(space.points(which), space.points("test")) for which in ("generated", "training"))
    return [space.estimate(name, own.value, "lower", own.error), space.beside(name, floor.value, "floor", floor.error)]


@metric("kid", inception=True, draws=True, sees=(Sees("kid", BOTH),))
def kid(evaluated: Evaluated) -> list[Estimate]:
    """Kernel Inception distance of generated images to the test images, unbiased (Binkowski et al. 2018)."""
    return kernel_estimates(evaluated, "kid", "inception")


@metric("kd_classifier", draws=True, sees=(Sees("kd_classifier", BOTH),))
def kd_classifier(evaluated: Evaluated) -> list[Estimate]:
    """Kernel distance of generated images to the test images in the classifier's features, unbiased."""
    return kernel_estimates(evaluated, "kd_classifier", "classifier")


def mind_estimates(evaluated: Evaluated, name: str, network: str) -> list[Estimate]:
    """The Monge inception distance of generated to test images, and that of training images, along one set of lines."""
    space = Space(evaluated, network)
    sets = [space.points(which) for which in ("generated", "training", "test")]
    least = min(map(len, sets))  # of few training images there are fewer than test images
    generated, training, test = (points[:least].double() for points in sets)
    along = directions(test.shape[1])
    distance, floor = (mind(points, test, along) for points in (generated, training))
    estimates = [space.estimate(name, distance, "lower"), space.beside(name, floor, "floor")]
    return [replace(one, estimator=replace(one.estimator, draws=(least,))) for one in estimates]


@metric("mind", inception=True, draws=True, sees=(Sees("mind", BOTH),))
def mind_inception(evaluated: Evaluated) -> list[Estimate]:
    """Monge inception distance of generated images to the test images: 3 D times the mean squared W_2 along lines."""
    return mind_estimates(evaluated, "mind", "inception")


@metric("mind_classifier", draws=True, sees=(Sees("mind_classifier", BOTH),))
def mind_classifier(evaluated: Evaluated) -> list[Estimate]:
    """Monge distance of generated images to the test images in the classifier's features (Berthet et al. 2026)."""
    return mind_estimates(evaluated, "mind_classifier", "classifier")


@metric("inception_score", inception=True, draws=True)
def inception_score(evaluated: Evaluated) -> list[Estimate]:
    """exp of the information between image and Inception's class, mean of ten parts (Salimans et al. 2016).

    `-test` is that of the test images, which a model need not stay below.
    """
    torchvision()  # torch-fidelity imports it
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    space, seed = Space(evaluated, "inception"), seed_for(evaluated.seed, "inception_score") % 2**32
    own, test = (
        isc_features_to_metric(features(evaluated, "inception", which).logits, SPLITS, rng_seed=seed)[
            KEY_METRIC_ISC_MEAN
        ]
        for which in ("generated", "test")
    )
    return [space.estimate("inception_score", own, "higher"), space.beside("inception_score", test, "test")]


def shares(evaluated: Evaluated, network: str, means: Means) -> list[Estimate]:
    """Shares of images of generated against test images, those of one kind by their names."""
    space = Space(evaluated, network)
    found = means(space.points("generated"), space.points("test"))
    return [space.estimate(name, one.value, "higher", finite(one.error)) for name, one in found.items()]


@metric("precision_recall", inception=True, draws=True, rows=Manifold._fields, sees=SEEN)
def precision_recall_inception(evaluated: Evaluated) -> list[Estimate]:
    """Improved precision and recall (3 neighbours), density and coverage (5), in Inception's features."""
    return shares(evaluated, "inception", manifold_means)


@metric("precision_recall_classifier", draws=True, rows=Manifold._fields, sees=SEEN)
def precision_recall_classifier(evaluated: Evaluated) -> list[Estimate]:
    """Improved precision and recall (3 neighbours), density and coverage (5), in the classifier's features."""
    return shares(evaluated, "classifier", manifold_means)


@metric("clipped", inception=True, draws=True, rows=Clipped._fields, sees=CLIPPED)
def clipped_inception(evaluated: Evaluated) -> list[Estimate]:
    """Clipped density and coverage in Inception's features: shares of good images (Salvy et al. 2026)."""
    return shares(evaluated, "inception", clipped_means)


@metric("clipped_classifier", draws=True, rows=Clipped._fields, sees=CLIPPED)
def clipped_classifier(evaluated: Evaluated) -> list[Estimate]:
    """Clipped density and coverage in the classifier's features: shares of good images (Salvy et al. 2026)."""
    return shares(evaluated, "classifier", clipped_means)


def prd_estimates(evaluated: Evaluated, network: str) -> list[Estimate]:
    """max F_1/8 and max F_8 of the PRD curve of generated against test images."""
    space = Space(evaluated, network)
    found = precision_recall(space.points("generated"), space.points("test"), seed_for(evaluated.seed, "prd"))
    return [space.estimate(f"prd_{name}", value, "higher") for name, value in found._asdict().items()]


@metric("prd", inception=True, draws=True, rows=PRD, sees=OF_PRD)
def prd(evaluated: Evaluated) -> list[Estimate]:
    """Precision and recall of distributions in Inception's features (Sajjadi et al. 2018)."""
    return prd_estimates(evaluated, "inception")


@metric("prd_classifier", draws=True, rows=PRD, sees=OF_PRD)
def prd_classifier(evaluated: Evaluated) -> list[Estimate]:
    """Precision and recall of distributions in the classifier's features (Sajjadi et al. 2018)."""
    return prd_estimates(evaluated, "classifier")
