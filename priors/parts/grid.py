"""Codes as grids of short vectors, as a vector quantiser makes them."""

from __future__ import annotations

POSITIONS = (64, 16, 4)
"""Vectors of a code, of which the most that leave each vector POSITIONS[-1] numbers or more is taken."""


def positions_of(latent_dim: int) -> int:
    """How many vectors a code of D numbers is made of: 64 of 8 x 8 positions from D = 256 on, fewer below.

    >>> [positions_of(n) for n in (4096, 256, 64, 16, 6)]
    [64, 64, 16, 4, 1]
    """
    fitting = (n for n in POSITIONS if latent_dim % n == 0 and latent_dim >= 4 * n)
    return next(fitting, 1)
