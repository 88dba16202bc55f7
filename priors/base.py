"""The contract between a prior and the autoencoder that trains it.

A prior is a law p(z) on R^D. It sees its autoencoder through a `Host`, says what else must be trained beside the
model's own loss through `players`, and, if it has a normalised density, says so by its type: `Density`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, Self

from torch import Tensor, nn
from torch.distributions import Distribution

from priors.space import Range


class Unsupported(ValueError):
    """This pair is undefined (a density asked of a prior that has none, say): the table shows '-' and the reason."""


Index = int | slice | Tensor
"""What picks images of a batch: a number, a range, or a tensor of numbers (n,) or of truth values (N,)."""


class IndexedDistribution(Distribution, ABC):
    """A law over codes, batch (N,), event (D,), that is indexed over its batch like a tensor.

    Every posterior q(z|x) is one: `q[:10]` is the posterior of the first ten images.
    """

    @abstractmethod
    def __getitem__(self, index: Index) -> Self:
        """The same law of these images."""


@dataclass(frozen=True)
class Host:
    """The autoencoder as its prior sees it: callables, so that it is never a submodule of the prior.

    latent_dim: D. data_shape: of one x. count: N, training examples. bounded: x lies in [0, 1].
    stochastic: q(z|x) has a density.
    encode: x (B, *data_shape) -> q(z|x), batch (B,), event (D,). decode: z (B, D) -> E[x|z], (B, *data_shape).
    examples: n -> n training inputs drawn at random (n, *data_shape), for priors whose parameters start from data.
    inputs: numbers of training examples (n,), as in `Batch.index` -> these (n, *data_shape), binarised anew.
    """

    latent_dim: int
    data_shape: tuple[int, ...]
    count: int
    bounded: bool
    stochastic: bool
    encode: Callable[[Tensor], IndexedDistribution]
    decode: Callable[[Tensor], Tensor]
    examples: Callable[[int], Tensor]
    inputs: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """What a loss is computed on: x (B, *data_shape), the KL's warm-up weight in [0, 1], and the steps taken so far.

    grey: where x was drawn as 0 and 1, the images that it was drawn from, (B, *data_shape).
    index: in training, which of the N training examples these are, (B,); None elsewhere.

    Where a loss is captured once and replayed, warm_up and step are tensors: a loss computes with them, and one that
    asks `if` of them is not captured.
    """

    x: Tensor
    warm_up: float | Tensor = 1.0
    step: int | Tensor = 0
    grey: Tensor | None = None
    index: Tensor | None = None

    @property
    def original(self) -> Tensor:
        """x before any binarisation, (B, *data_shape); x itself where there is none.

        A critic of data takes these for real: beside decoded means E[x|z], which are grey, drawn images would be told
        by their being 0 or 1 alone, and a decoder that plays against the critic would learn black and white.
        """
        return self.x if self.grey is None else self.grey


@dataclass(frozen=True)
class OptimiserSettings:
    """Adam's settings. `lr` of None is the suite's own learning rate."""

    lr: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0


class Player(NamedTuple):
    """One side of an alternating game: `loss` is descended in `parameters`, `turns` times a step.

    loss: batch -> (loss to descend, a scalar; its parts by name, detached scalars in nats an image for the display).
    """

    name: str
    parameters: tuple[nn.Parameter, ...]
    loss: Callable[[Batch], tuple[Tensor, Mapping[str, Tensor]]]
    optimiser: OptimiserSettings = OptimiserSettings()
    turns: int = 1


@dataclass(frozen=True)
class Codes:
    """The training set as codes, for what is fitted once after training. `encode` gives them; it is called once."""

    encode: Callable[[], IndexedDistribution]

    @cached_property
    def posterior(self) -> IndexedDistribution:
        """q(z|x) of all N training images, batch (N,), event (D,)."""
        return self.encode()


class Diagnostic(NamedTuple):
    """A number that a prior knows of itself once fitted: a learned beta, ln Z, an acceptance rate.

    error: its standard error, where it is an estimate.
    """

    name: str
    value: float
    unit: str = "none"
    error: float | None = None


class Prior(nn.Module, ABC):
    """A law on R^D known at least through its samples.

    A subclass's constructor takes the host, then settings by keyword, each annotated and with a default; the runner
    validates a suite's values against these annotations. `space` names the settings worth tuning.
    """

    space: ClassVar[Mapping[str, Range]] = {}
    reparameterised: ClassVar[bool] = False
    """Do draws by `rsample` carry the gradient of what the prior learns? This is True where it learns nothing, too."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """z ~ p, (n, D), from torch's global random state."""

    def players(self) -> Sequence[Player]:
        """What is trained beside the model's own loss: critics, density-ratio nets, generators."""
        return ()

    def rsample(self, n: int) -> Tensor:
        """Draws (n, D) that carry the gradient of the prior's parameters, where it is `reparameterised`."""
        return self.sample(n)

    def penalty(self, batch: Batch) -> Tensor | None:
        """What the model's training loss gets beside the divergence, a scalar (a critic's gradient penalty)."""
        return None

    def before_validation(self, codes: Codes) -> Mapping[str, float]:
        """Called before every validation of a training, in evaluation mode: what a validation loss needs beside the
        weights, such as ln Z. Returns numbers for the training's history."""
        return {}

    @property
    def sampler(self) -> str:
        """How `sample` draws, where its draws are of p only in a limit; empty where they are exact."""
        return ""

    def fit(self, codes: Codes) -> None:
        """Called after training, on the weights that are kept: for a GMM, a second stage, log Z.

        It is called again, on the state that it left, whenever a trained run gets further metrics: what takes long
        keeps a buffer that says that it is done.
        """

    def report(self) -> Sequence[Diagnostic]:
        """The diagnostics of the fitted prior, for the table."""
        return ()

    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """What descends the model's own loss: every parameter to be trained that no player of this prior owns."""
        owned = {id(p) for player in self.players() for p in player.parameters}
        return tuple(p for p in self.parameters() if p.requires_grad and id(p) not in owned)


class Density(Prior):
    """A prior with a normalised log-density; `certainty` says how far to trust it and becomes part of the estimator."""

    certainty: ClassVar[Literal["exact", "estimate", "bound"]] = "exact"

    @property
    def reliable(self) -> bool:
        """Once fitted: is the estimate of its normaliser one, by its own diagnostics?

        Where it is not, metrics that the density takes part in are called "unreliable", shown, and never ranked.
        """
        return True

    @property
    def log_prob_error(self) -> float:
        """Standard error of ln p(z) that all z have in common, in nats: that of ln Z where it is estimated."""
        return 0.0

    def conventions(self) -> Mapping[str, float]:
        """ln p under a paper's own normalisation minus `log_prob`, in nats, by the convention's name.

        Such a value is shown beside the normalised one, under its own name, and never ranked with it.
        """
        return {}

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, (..., D) -> (...)."""

    def frozen(self) -> Callable[[Tensor], Tensor]:
        """`log_prob` with all that does not depend on z computed once: for many calls with weights that stay."""
        return self.log_prob

    def divergence(self, batch: Batch, q: Distribution, z: Tensor) -> Tensor:
        """One-sample estimate of KL(q(z|x) || p) in nats, (B,), from one draw z ~ q, q of batch.x: ln q(z|x) - ln p(z).

        The same estimate for every prior: a closed form would flatter the Gaussian by a lower variance.
        """
        return q.log_prob(z) - self.log_prob(z)


class Adversarial(Prior):
    """A prior whose generator plays against a critic of codes, which a Wasserstein autoencoder's encoder joins."""

    @abstractmethod
    def criticise(self, z: Tensor) -> Tensor:
        """The critic, high on codes and low on the prior's draws, (B, D) -> (B,): the encoder descends its mean."""


class DataCritic(Prior):
    """A prior that holds a critic of data, whose values on decoded codes shape its density.

    It is trained on `Batch.original`, which is of the same kind as what is decoded.
    """

    @abstractmethod
    def criticise_data(self, x: Tensor) -> Tensor:
        """D(x), low on real data, (B, *data_shape) -> (B,)."""


def density(prior: Prior) -> Density:
    """The prior as a `Density`, or Unsupported with the reason."""
    if isinstance(prior, Density):
        return prior
    raise Unsupported(
        f"{type(prior).__name__} is known through its samples only: it has no density for this figure, nor for a VAE's "
        "objective; use figures of samples, and the model type 'wae' to train it"
    )


def parameter_count(module: nn.Module) -> int:
    """The number of scalars that are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
