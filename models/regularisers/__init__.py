"""Terms added to a model's loss, a file each; `base` is their contract."""

from models.regularisers.base import REGULARISERS, Coded, Regulariser

__all__ = ["REGULARISERS", "Coded", "Regulariser"]
