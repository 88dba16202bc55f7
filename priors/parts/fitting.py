"""What every training shares: a loss's gradients, and networks that a prior fits to the codes once the autoencoder is
done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from priors.base import Batch, Player


def play(players: Sequence[Player], draw: Callable[[], Tensor], steps: int) -> None:
    """Every step, every player's turns in their order, each on fresh codes `draw()` (B, D), by Adam.

    The same players as in training, with codes in place of images; a player's `lr` must be set.
    """
    optimisers = [adam(player) for player in players]
    for step in range(steps):
        for player, optimiser in zip(players, optimisers, strict=True):
            for _ in range(player.turns):
                loss, _ = player.loss(Batch(draw(), step=step))
                differentiate(loss, player.parameters)
                optimiser.step()


class Done(nn.Module):
    """Whether what a prior fits after training is fitted: a buffer, so that its state says so.

    known: the same as the host knows it, as to read a buffer is to wait for the device, at every step.
    """

    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fitted", torch.tensor(False))
        self.known = False
        self.register_load_state_dict_post_hook(_reread)  # type: ignore[no-untyped-call]  # torch does not annotate it

    def settle(self) -> None:
        """It is fitted from here on."""
        self.fitted.fill_(True)
        self.known = True


def _reread(done: Done, _: object) -> None:
    """After a state was loaded: the host learns what it says."""
    done.known = bool(done.fitted)


def adam(player: Player) -> torch.optim.Adam:
    """The player's own Adam; ValueError where it leaves its learning rate to a suite, of which there is none here."""
    settings = player.optimiser
    if settings.lr is None:
        raise ValueError(f"the player {player.name} needs OptimiserSettings(lr=...) of its own outside a training")
    return torch.optim.Adam(player.parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay)


def differentiate(loss: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Puts d loss / d parameter into `grad` of these parameters alone: no other player's gradient is touched."""
    put(torch.autograd.grad(loss, parameters), parameters)


def put(gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> None:
    """Each gradient into its parameter's `grad`, in the parameter's own layout.

    Autograd hands a gradient on in whatever strides its last operation left; a convolution's under a gradient penalty
    are not the weight's. Fused Adam reads raw memory, and would pair each weight with another one's gradient.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        same = gradient.stride() == parameter.stride()
        parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
