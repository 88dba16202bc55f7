"""Networks that turn pictures into points, on which distances of samples are computed.

A `Network` carries its name, the digest of its weights and what a reader must know of it, so that an estimate says
which one it was computed with. There are two: `inception`, under its published weights and no others, and `classifier`,
a small one trained on a data set's own labels. Both import what they need when they are called.
"""

from __future__ import annotations

from benchmarks.features.base import Features, Network, cached, features_of, pictures, stretched

__all__ = ["Features", "Network", "cached", "features_of", "pictures", "stretched"]
