"""How the codes' law q(z) and the prior p(z) differ: divergences, leakage, and the parts of the ELBO's KL term.

q(z) = 1/N sum_j q(z|x_j) is the aggregate posterior. Everything is in float64 and nats. Standard errors are those of
independent draws for the posteriors at hand; they leave out the choice of the N images and of the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from priors import sizes
from priors.parts.normal import DiagonalNormal, NormalMixture

PAIRS = 2**22
"""Pairs of a code and a component, or of two points, whose density or distance is computed at a time on a CPU."""

THRESHOLDS = (-90.0, -70.0, -50.0, -30.0, -10.0, -1.0)
"""Values of ln p(z) at which leakage is shown. What they mean depends on D: see `quantile_thresholds`."""

FEWEST = 5
"""Leaking codes whose spread tells the error of their mean."""


class Measured(NamedTuple):
    """A mean over draws with its standard error, nan where fewer than two draws show none."""

    value: float
    error: float


def mean(values: Tensor) -> Measured:
    """Mean and standard error of independent values, (n,); nan for none."""
    values = values.double()
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Measured(values.mean().item(), error)


def share(hits: Tensor) -> Measured:
    """Share of independent hits, (n,) bool, with a standard error that is not 0 where none or all of them hit.

    Of X hits the share is X/n, and its error sqrt(s (1 - s) / (n + 4)) with s = (X + 2) / (n + 4) (Agresti and Coull
    1998): a few hits tell little of the spread, and their own s = X/n understates it.
    """
    count, n = int(hits.sum()), len(hits)
    if n == 0:
        return Measured(math.nan, math.nan)
    middle = (count + 2) / (n + 4)
    return Measured(count / n, math.sqrt(middle * (1 - middle) / (n + 4)))


def moved(at: Measured, low: float, high: float) -> Measured:
    """The estimate with the error of something that it was computed with, which takes it to `low` or to `high`.

    low, high: its values where that is one standard error below and above what it was found to be. The larger of the
    two moves counts: where they differ much, as at the edge of a cluster of codes, half of the way between them would
    say little of how far it may be off.
    """
    off = max(abs(low - at.value), abs(high - at.value), key=lambda move: (math.isnan(move), move))  # nan before all
    return Measured(at.value, math.hypot(at.error, off))


class Quantile(NamedTuple):
    """A quantile of draws, and the ones whose level is a standard error below and above its own (Woodruff 1952)."""

    value: float
    low: float
    high: float


def quantile(values: Tensor, level: float) -> Quantile:
    """Of independent values, (n,): the share of their law below it is `level` on average, with sd sqrt(l (1 - l) / n).

    The k-th smallest stands for the level k / (n + 1), which is the mean of the share below it, whatever the law.
    """
    values, n = values.double(), len(values)
    error = math.sqrt(level * (1 - level) / n)
    levels = values.new_tensor([level, level - error, level + error])
    place = (levels * (n + 1) - 1) / max(n - 1, 1)
    return Quantile(*values.quantile(place.clamp(0, 1)).tolist())


# Densities of the aggregate posterior at its own draws


class AtCodes(NamedTuple):
    """Log-densities at draws z ~ q(z|x_j), (n,) each: ln q(z|x_j), ln q(z), and ln q_{-j}(z), which is without x_j."""

    conditional: Tensor
    aggregate: Tensor
    without: Tensor


def draw_codes(q: NormalMixture, n: int) -> tuple[Tensor, Tensor]:
    """z ~ q, (n, D), and the component j that each was drawn from, (n,)."""
    j = torch.multinomial(q.log_weight.exp(), n, replacement=True)
    return DiagonalNormal(q.mean[j], q.log_variance[j]).sample(), j


def densities_at_codes(q: NormalMixture, z: Tensor, j: Tensor, pairs: int | None = None) -> AtCodes:
    """ln q(z|x_j), ln q(z) and ln q_{-j}(z) = ln sum_{k != j} w_k q(z|x_k) / (1 - w_j); the last nan for one component.

    In-sample, the own component carries a draw's density where posteriors are narrow: ln q(z) then mostly measures N.
    With z ~ q(z|x_j) and images drawn from the data's law, whose exact aggregate is q*, Jensen's inequality gives
    E[ln q_{-j}(z) - ln p(z)] <= KL(q*||p) <= E[ln q(z) - ln p(z)]: the two estimates bracket the one that is meant.

    z: (n, D), drawn from components j: (n,). pairs: of a draw and a component at a time, where not as many as usual.
    """
    q = q.double()
    rows = max(1, (pairs or sizes.rows(z.device, 1, PAIRS)) // len(q.mean))
    own, without = both = q.mean.new_empty(2, len(z))  # whole from the start: small results, if kept, split the heap
    for part, of, values in zip(z.double().split(rows), j.split(rows), both.split(rows, 1), strict=True):
        values.copy_(torch.stack(split_own(q, part, of)))
    weight = q.log_weight[j]
    return AtCodes(own - weight, torch.logaddexp(own, without), without - torch.log1p(-weight.exp()))


def split_own(q: NormalMixture, z: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
    """ln w_j q(z|x_j) and ln sum_{k != j} w_k q(z|x_k), (B, D) and (B,) -> (B,) each.

    Component j is masked: subtracting it from q(z) would leave rounding alone where it carries nearly all of it.
    """
    joint, column = q.joint(z), j[:, None]
    own = joint.gather(1, column).squeeze(1)
    return own, joint.scatter_(1, column, -math.inf).logsumexp(1)


# Divergences


@dataclass(frozen=True)
class SymmetricKL:
    """sKL = KL(p||q) + KL(q||p) (dpVAE, section 5.1).

    prior: KL(p||q), from draws of the prior. codes: KL(q||p), from draws of q; the leave-one-out estimate has
    `divergence(at.without, log_p)` here, for which no density of z alone exists, and is not bound to be positive.
    """

    prior: Measured
    codes: Measured

    @property
    def total(self) -> Measured:
        """The sum of the halves, whose draws are independent of each other."""
        return Measured(self.prior.value + self.codes.value, math.hypot(self.prior.error, self.codes.error))


def divergence(log_from: Tensor, log_to: Tensor) -> Measured:
    """KL(f||g) = E_f[ln f(z) - ln g(z)] from log-densities at draws z ~ f, (n,) each; infinite where some g(z) is 0."""
    return mean(log_from.double() - log_to.double())


class NearestKL(NamedTuple):
    """An estimate of a divergence from nearest neighbours, and the share of its draws that coincide with others.

    It has no standard error: draws share neighbours, and the bias, which grows with D, outweighs it.
    """

    value: float
    coincident: float


def knn_kl(a: Tensor, b: Tensor) -> NearestKL:
    """KL(a||b) = D/n sum_i ln(nu_i / rho_i) + ln(m / (n - 1)), from samples alone (Perez-Cruz 2008, eq. 14, k = 1).

    rho_i is the distance of a_i to its nearest neighbour among the other a, nu_i that to its nearest in b. A law with
    a density draws no point twice; where points do coincide, the nearest at a positive distance is taken, so that
    two copies of one sample are at ln(n / (n - 1)) and not at minus infinity; `coincident` is the share of such a_i.
    nan where a sample has no two distinct points to measure with. Too low where a lies far outside of b's sample:
    ln nu_i grows with the logarithm of the distance there, and -ln g(a_i) of a normal law g with its square.

    a: (n, D). b: (m, D).
    """
    a, b = a.double(), b.double()
    rho, among = nearest_apart(a, a)
    nu, across = nearest_apart(a, b)
    value = a.shape[1] * (nu.log() - rho.log()).mean().item() + math.log(len(b) / max(len(a) - 1, 1))
    coincident = (among > 1) | (across > 0)  # each a_i coincides with itself
    return NearestKL(value, coincident.double().mean().item())


def skl_knn(a: Tensor, b: Tensor) -> NearestKL:
    """KL(a||b) + KL(b||a) by nearest neighbours, (n, D) and (m, D); `coincident` is of all n + m points."""
    forward, backward = knn_kl(a, b), knn_kl(b, a)
    coincident = (len(a) * forward.coincident + len(b) * backward.coincident) / (len(a) + len(b))
    return NearestKL(forward.value + backward.value, coincident)


def nearest_apart(points: Tensor, reference: Tensor, pairs: int | None = None) -> tuple[Tensor, Tensor]:
    """Distance to the nearest reference point that is not at the point itself, nan without one, and how many are."""
    exact = "donot_use_mm_for_euclid_dist"  # the matrix form does not see that points coincide
    distances, counts = [], []
    for part in points.split(max(1, (pairs or sizes.rows(points.device, 1, PAIRS)) // len(reference))):
        distance = torch.cdist(part, reference, compute_mode=exact)
        here = distance == 0
        distances.append(distance.masked_fill_(here, math.inf).amin(1))
        counts.append(here.sum(1))
    nearest = torch.cat(distances)
    return nearest.masked_fill(nearest.isinf(), math.nan), torch.cat(counts)


# Leakage


class Leakage(NamedTuple):
    """Leakage at one threshold.

    score: LS. share: of the codes that leak. among: the mean over these alone, nan (missing, not zero) where there are
    none. The errors of score and mean are nan where fewer than FEWEST draws leak, as they say little of the spread.
    """

    threshold: float
    score: Measured
    share: Measured
    among: Measured

    def between(self, low: Leakage, high: Leakage) -> Leakage:
        """With the error of what takes it from `low` to `high` (see `moved`)."""
        parts = (
            moved(*of) for of in zip(self[1:], (e.value for e in low[1:]), (e.value for e in high[1:]), strict=True)
        )
        return Leakage(self.threshold, *parts)


def leakage(
    log_p: Tensor, log_q: Tensor, thresholds: Sequence[float | Quantile] = THRESHOLDS, common: float = 0.0
) -> list[Leakage]:
    """LS(tau) = E_{z ~ q}[1{ln p(z) < tau} (ln q(z) - ln p(z))] at every tau, from one set of codes (dpVAE, eq. 6).

    `among` is the form of dpVAE's Figure 4, which has no value where no code leaks. p is the law of z itself: the
    printed p(h(z)) lacks the Jacobian. Terms where ln q < ln p are negative, and LS(infinity) is KL(q||p).

    Errors are those of the codes, of a threshold that is a `Quantile` of draws, and of an error of ln p that all z have
    in common: the latter moves codes across a fixed threshold, while a quantile moves with them.

    log_p, log_q: ln p(z) and ln q(z) at codes z ~ q, (n,) each. common: standard error of ln p(z), all z alike.
    """
    log_p, log_q = log_p.double(), log_q.double()
    return [leakage_about(tau, log_p, log_q, common) for tau in thresholds]


def leakage_about(threshold: float | Quantile, log_p: Tensor, log_q: Tensor, common: float) -> Leakage:
    """Leakage with the errors of what it was computed with."""
    moves = isinstance(threshold, Quantile)  # with an error of ln p that all draws have
    at = threshold if isinstance(threshold, Quantile) else Quantile(threshold, threshold, threshold)
    found = leakage_at(at.value, log_p, log_q)
    if moves:
        found = found.between(leakage_at(at.low, log_p, log_q), leakage_at(at.high, log_p, log_q))
    if common:
        low, high = (leakage_at(at.value + c * moves, log_p + c, log_q) for c in (-common, common))
        found = found.between(low, high)
    return found


def leakage_at(threshold: float, log_p: Tensor, log_q: Tensor) -> Leakage:
    """Leakage at one threshold, with the error of the codes: score = share x among, whose errors are uncorrelated."""
    leaks = ~(log_p >= threshold)  # a density of nan leaks, so that the score is nan too
    of, among = share(leaks), mean((log_q - log_p)[leaks])
    if leaks.sum() < FEWEST:
        among = Measured(among.value, math.nan)
    if not of.value:
        return Leakage(threshold, Measured(0.0, math.nan), of, among)
    error = math.hypot(among.value * of.error, of.value * among.error)
    return Leakage(threshold, Measured(of.value * among.value, error), of, among)


def quantile_thresholds(log_p: Tensor, levels: Sequence[float]) -> list[Quantile]:
    """Quantiles of ln p(z) under z ~ p, (n,): thresholds that mean the same for every prior and D.

    Codes whose law is the prior leak there with a share that equals the level.
    """
    return [quantile(log_p, level) for level in levels]


# ELBO surgery


@dataclass(frozen=True)
class Surgery:
    """The ELBO's KL term and its two parts: kl = mutual_information + marginal, draw by draw.

    kl: E_j KL(q(z|x_j)||p). mutual_information: I(j; z) of a code and its image's index, at most ln N.
    marginal: KL(q(z)||p), what a better prior could gain.
    """

    kl: Measured
    mutual_information: Measured
    marginal: Measured


def elbo_surgery(log_conditional: Tensor, log_q: Tensor, log_p: Tensor) -> Surgery:
    """E[ln q(z|x) - ln p(z)] = E[ln q(z|x) - ln q(z)] + E[ln q(z) - ln p(z)] (Hoffman and Johnson 2016, section 2).

    With ln q_{-j} in the place of ln q the identity stays, and the mutual information is an upper bound in
    expectation of that between codes and images, which the in-sample one is below.

    log_conditional, log_q, log_p: ln q(z|x_j), ln q(z) and ln p(z) at draws j ~ U{1..N}, z ~ q(z|x_j), (n,) each.
    """
    return Surgery(
        kl=divergence(log_conditional, log_p),
        mutual_information=divergence(log_conditional, log_q),
        marginal=divergence(log_q, log_p),
    )
