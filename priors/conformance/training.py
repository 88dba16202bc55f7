"""Laws of the players."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from priors.base import Batch, DataCritic, Density, Host, Player, Prior
from priors.conformance.construction import SOUND
from priors.conformance.law import NotApplicable, demand, law
from priors.conformance.samples import learned, moved
from priors.conformance.trial import Trial


@law(after=SOUND)
def owners(trial: Trial) -> None:
    """Every parameter is trained once: by one player or, being shared, by the model's own loss."""
    prior = trial.build()
    trained = {id(one): name for name, one in prior.named_parameters() if one.requires_grad}
    owned = Counter(map(id, learned(prior)))
    if not trained:
        raise NotApplicable("it has no parameters to train")
    if not owned:
        raise NotApplicable("all of it is fitted after training")
    strangers = len(owned.keys() - trained.keys())
    demand(not strangers, f"{strangers} parameters are not its own", "the encoder's are the model's: leave them out")
    twice = [trained[key] for key, times in owned.items() if times > 1]
    demand(not twice, f"trained twice: {', '.join(twice)}", "a parameter belongs to one player, or is shared")
    forgotten = [name for key, name in trained.items() if key not in owned]
    fix = "give them to a player, leave `shared_parameters` as it is, or make constants buffers"
    demand(not forgotten, f"trained by nobody: {', '.join(forgotten)}", fix)


@law(after=(owners,))
def turns(trial: Trial) -> None:
    """A step of every player, and of the model's loss on what is shared, descends and moves nothing else."""
    prior = trial.build()
    players = [*model_player(prior, trial.host), *prior.players()]
    if not players:
        raise NotApplicable("nothing is learned in training")
    index = torch.arange(50)
    batch = Batch(trial.host.inputs(index), index=index)
    for player in players:
        take_turn(player, batch, [*prior.parameters(), *trial.host.autoencoder.parameters()])


def model_player(prior: Prior, host: Host) -> list[Player]:
    """The model's own loss, as far as it trains the prior: the divergence, or a function of draws, and the penalty."""
    shared = prior.shared_parameters()

    def loss(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        q = host.encode(batch.x)
        z = q.rsample()
        if isinstance(prior, Density):
            value = prior.divergence(batch, q, z).mean()
        else:
            value = (prior.rsample(len(z)) + 1).sin().mean()
        penalty = prior.penalty(batch)
        return value if penalty is None else value + penalty, {}

    fix = "make it a Density, give it `rsample` and `reparameterised = True`, or train it by a player"
    teachable = not shared or isinstance(prior, Density) or prior.reparameterised
    demand(teachable, "its parameters are shared, but neither a density nor draws can teach them", fix)
    return [Player("model", shared, loss)] if shared else []


def take_turn(player: Player, batch: Batch, everything: Sequence[nn.Parameter]) -> None:
    """A step down the gradient, seen from outside: nothing but the player's own parameters may have moved."""
    before = [one.detach().clone() for one in everything]
    loss = loss_of(player, batch)
    gradients = torch.autograd.grad(loss, player.parameters, allow_unused=True)
    idle = sum(one is None for one in gradients)
    fix = "use them in the loss, without detach; or make them buffers"
    demand(not idle, f"{player.name}: {idle} of its parameters get no gradient", fix)
    still = all(torch.equal(a, b) and b.grad is None for a, b in zip(before, everything, strict=True))
    fix = "a loss only computes: no backward(), no optimiser, no assignment to parameters; the loop steps"
    demand(still, f"{player.name}: computing the loss changes parameters or their .grad", fix)
    fix = "give the loss to descend, with the sign that makes it smaller, and as a function of these parameters"
    demand(descends(player, batch, gradients), f"{player.name}: a small step down the gradient does not lower it", fix)


@law(after=(turns,))
def originals(trial: Trial) -> None:
    """A critic of data is trained on the images before any binarisation, as decoded ones are grey too."""
    if not issubclass(trial.kind, DataCritic):
        raise NotApplicable("it has no critic of data")
    prior = trial.build()
    drawn, *greys = (trial.host.examples(50) for _ in range(3))
    one, other = (critic_losses(prior, Batch(drawn.round(), grey=grey)) for grey in greys)
    fix = "take `batch.original` for real, in the penalty too; `batch.x` is what the encoder sees"
    demand(one != other, "neither a player's loss nor the penalty depends on `batch.original`", fix)


def critic_losses(prior: Prior, batch: Batch) -> list[float]:
    """The penalty and the players' losses, where a critic of data may be trained, at the same noise every time."""
    torch.manual_seed(0)
    losses = [prior.penalty(batch), *(player.loss(batch)[0] for player in prior.players())]
    return [loss.item() for loss in losses if loss is not None]


def loss_of(player: Player, batch: Batch) -> Tensor:
    """At the same noise every time."""
    torch.manual_seed(0)
    loss, parts = player.loss(batch)
    demand(loss.dim() == 0, f"{player.name}: the loss has the shape {tuple(loss.shape)}", "return its mean, a scalar")
    attached = [name for name, value in parts.items() if value.requires_grad or value.numel() != 1]
    demand(not attached, f"{player.name}: {', '.join(attached)} no detached scalar", "detach what is only displayed")
    return loss


def descends(player: Player, batch: Batch, gradients: Sequence[Tensor]) -> bool:
    """Does a step of length 0.01, or a tenth, a hundredth or a thousandth of it, lower the loss?"""
    norm = math.sqrt(sum(one.square().sum().item() for one in gradients))
    before = loss_of(player, batch)
    for length in (1e-2, 1e-3, 1e-4, 1e-5):
        with moved(player.parameters, gradients, -length / (norm or 1.0)):
            if loss_of(player, batch) < before:
                return True
    return False
