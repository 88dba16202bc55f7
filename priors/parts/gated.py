"""Gated multilayer perceptrons."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class GatedLinear(nn.Module):
    """h = (W x + b) * sigmoid(V x + c), one product for both halves (Dauphin et al. 2016)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * outputs)
        for half in self.linear.weight.data.chunk(2):
            nn.init.xavier_uniform_(half)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(self.linear(x), dim=-1)


def gated_stack(inputs: int, widths: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Gated layers of the given widths, then a linear one, Glorot initialised."""
    sizes = (inputs, *widths)
    layers: list[nn.Module] = [GatedLinear(a, b) for a, b in pairwise(sizes)]
    last = nn.Linear(sizes[-1], outputs)
    nn.init.xavier_uniform_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
