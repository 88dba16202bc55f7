"""What `benchmarks.speed.evaluation` measures: large estimates of an evaluation, and the matrix products in them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.common.seeds import seed_for
from benchmarks.datasets import load
from benchmarks.estimators.frechet import frechet, moments
from benchmarks.estimators.importance import importance_sampling
from benchmarks.estimators.neighbours import nearest
from benchmarks.runner.machine import peak_memory, prepare_worker, reset_peak_memory
from benchmarks.speed import EIGH, EIGVALSH
from benchmarks.speed.step import timed
from models import registry as models
from priors import registry as priors
from priors.base import density
from priors.parts.normal import Frozen, NormalMixture

if TYPE_CHECKING:
    from benchmarks.speed.evaluation import Name, Settings

COMPONENTS, CODES, LATENT = 60_000, 5_000, 40
POINTS, SHAPE = 10_000, (1, 28, 28)
FEATURES = 2048

BLOCK = 1024
"""Longest side of a product that is timed: its operands stay in the cache, however the job cuts its own."""
ROUNDS, FLOP = 5, 1e9
"""Rounds of such products, the best of which counts, and the operations in one round."""
CPU = torch.device("cpu")


class Work(NamedTuple):
    """Operations as in the product of (m, k) by (k, n): a multiplication and an addition count as two."""

    flop: float
    shape: tuple[int, int, int]
    dtype: torch.dtype = torch.float32


class Job(NamedTuple):
    """A call on data that are ready, its sizes in words, and the operations that it is charged with."""

    call: Callable[[], object]
    sizes: str
    work: Sequence[Work]


class Result(NamedTuple):
    """The job's seconds, the shares of them that its operations take at the rates of `floors`, MiB at its peak."""

    sizes: str
    seconds: float
    gflop: float
    float32: float
    own: float
    memory: float


def product(m: int, k: int, n: int, dtype: torch.dtype = torch.float32) -> Work:
    return Work(2 * m * k * n, (min(m, BLOCK), min(k, BLOCK), min(n, BLOCK)), dtype)


def nll(settings: Settings, prior: str) -> Job:
    """ln p(x) by importance sampling, under a decoder 40-300-300-784 and a prior with their first weights."""
    x, samples = binary_images(settings), settings.size(settings.samples)
    model = models.make(
        SHAPE,
        bounded=True,
        type="vae",
        backbone=settings.backbone,
        widths=(300, 300),
        latent_dim=LATENT,
        posterior="normal",
        likelihood="bernoulli",
    )
    host = model.host(SHAPE, len(x), True, lambda n: x[torch.arange(n) % len(x)], lambda index: x[index])
    p = density(priors.make(prior, host))
    layers = [one for one in model.decoder.modules() if isinstance(one, nn.Linear)]
    draws, sizes = len(x) * samples, f"{len(x):,} images, {samples:,} draws each"
    work = [product(draws, layer.in_features, layer.out_features) for layer in layers]
    q, log_prior = model.encode_all(x), p.frozen()
    if isinstance(log_prior, Frozen):
        components = len(log_prior.constant)
        work.append(product(draws, 2 * LATENT, components, log_prior.dtype))
        sizes += f", K = {components}"
    seed = partial(seed_for, 0, "likelihood")
    return Job(partial(importance_sampling, x, q, model.score, log_prior, (samples,), seed), sizes, work)


def binary_images(settings: Settings) -> Tensor:
    """Test images of MNIST, or random ones, (N, 1, 28, 28)."""
    count = settings.size(settings.images)
    if settings.data is None:
        return torch.randint(2, (count, *SHAPE)).float()
    return load("mnist", settings.data).test[:count]


def aggregate(settings: Settings) -> Job:
    """ln q(z) under the posteriors of a training set, in float64: two products, one of z and one of its squares."""
    components, codes = settings.size(COMPONENTS), settings.size(CODES)
    log_weight = torch.full((components,), -math.log(components))
    mixture = NormalMixture(torch.randn(components, LATENT), torch.randn(components, LATENT) - 2, log_weight).double()
    call = partial(mixture.log_prob_in_chunks, torch.randn(codes, LATENT))
    work = [product(codes, LATENT, components, torch.float64)] * 2
    return Job(call, f"{codes:,} codes, {components:,} components", work)


def neighbours(settings: Settings) -> Job:
    """Every test image's nearest training image."""
    count, pixels = settings.size(POINTS), math.prod(SHAPE)
    if settings.data is None:
        points, reference = torch.rand(2, count, pixels)
    else:
        mnist = load("mnist", settings.data, binarisation="none")
        points, reference = mnist.test[:count], mnist.train[:count]
    sizes = f"{count:,} x {count:,} points, {pixels} dimensions"
    return Job(partial(nearest, points, reference), sizes, [product(count, pixels, count)])


def frechet_distance(settings: Settings) -> Job:
    """From features to the distance: two covariances, the root of one of them, and the eigenvalues under it."""
    count, features = settings.size(POINTS), settings.size(FEATURES)
    a, b = torch.randn(2, count, features)
    work = [product(features, inner, features, torch.float64) for inner in (count, count, features, features)]
    work += [Work(share * features**3, (BLOCK,) * 3, torch.float64) for share in (EIGH, EIGVALSH)]
    return Job(lambda: frechet(moments(a), moments(b)), f"2 x {count:,} features, {features:,} dimensions", work)


JOBS: dict[Name, Callable[[Settings], Job]] = {
    "nll-gaussian": partial(nll, prior="gaussian"),
    "nll-vampprior": partial(nll, prior="vampprior"),
    "aggregate": aggregate,
    "neighbours": neighbours,
    "frechet": frechet_distance,
}


def measure(name: Name, settings: Settings) -> Result:
    """One job in this process, which should be a fresh one, without the memory that an earlier job has left."""
    prepare_worker()
    torch.manual_seed(0)
    with torch.no_grad():
        job = JOBS[name](settings)
        before = floors(job.work)
        seconds, memory = cost(job.call)
        float32, own = map(min, before, floors(job.work))
    flop = sum(one.flop for one in job.work)
    return Result(job.sizes, seconds, flop / 1e9, float32 / seconds, own / seconds, memory)


def cost(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the call, and MiB at its peak above what the process held before."""
    release()
    reset_peak_memory()
    held = peak_memory(CPU)
    return timed([call]), peak_memory(CPU) - held


def release() -> None:
    """Gives free memory back to the system (glibc): used again by the job, it would be missing from its peak."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def floors(work: Sequence[Work]) -> tuple[float, float]:
    """Seconds of the operations as products in float32, and in their own precisions."""
    pace = {kind: seconds_a_flop(*kind) for one in work for kind in ((one.shape, torch.float32), one[1:])}
    float32 = sum(one.flop * pace[one.shape, torch.float32] for one in work)
    return float32, sum(one.flop * pace[one.shape, one.dtype] for one in work)


def seconds_a_flop(shape: tuple[int, int, int], dtype: torch.dtype) -> float:
    """In the best round of products (m, k) by (k, n), each written where the one before was."""
    m, k, n = shape
    a, b, out = (torch.randn(size, dtype=dtype) for size in ((m, k), (k, n), (m, n)))
    flop = 2 * m * k * n
    calls = [partial(torch.mm, a, b, out=out)] * math.ceil(FLOP / flop)
    return min(timed(calls) for _ in range(ROUNDS)) / (len(calls) * flop)


def results(settings: Settings) -> Iterator[Result]:
    """Of the jobs in turn, each in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        yield from processes.map(partial(measure, settings=settings), settings.jobs)
