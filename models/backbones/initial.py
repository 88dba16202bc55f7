"""Initial weights that a paper's protocol asks for, whatever the backbone."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def he(networks: Iterable[nn.Module]) -> None:
    """Every weight of dense layers and convolutions drawn anew from N(0, 2 / inputs) (He et al. 2015, eq. 10), from
    torch's random state. Biases stay as they are."""
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            elif isinstance(layer, nn.ConvTranspose2d):  # its weight has the inputs first
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
