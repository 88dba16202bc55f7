"""A turn's operations as they come one after another, recorded once and then replayed on other numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx

from priors.base import Batch

PASSED_ON = (torch.ops.aten.detach.default, torch.ops.aten.alias.default)
"""Operations that mean nothing where no gradient is recorded."""


class Images(NamedTuple):
    """A batch of every member, (S, B, *data_shape), and the grey images that it was drawn from, or none."""

    x: Tensor
    grey: Tensor | None = None

    def of(self, s: int, warm_up: float, step: int) -> Batch:
        """One member's."""
        return Batch(self.x[s], warm_up, step, None if self.grey is None else self.grey[s])


class Turned(NamedTuple):
    """What a turn gives: the losses (S,), their parts by name (S,), and the gradients of the player's parameters."""

    losses: Tensor
    parts: dict[str, Tensor]
    gradients: Sequence[Tensor]


Compute = Callable[[Sequence[Tensor], Images, Sequence[Tensor], Tensor, Tensor], Turned]
"""From stacked tensors, images, noise, warm-up and step."""


class Recorded:
    """A turn's computation for images of one shape. Raises where it depends on what it computes."""

    def __init__(self, compute: Compute, tensors: Sequence[Tensor], images: Images, noise: Sequence[Tensor]):
        self.names: list[str] = []

        def flat(
            tensors: list[Tensor], images: list[Tensor], noise: list[Tensor], warm_up: Tensor, step: Tensor
        ) -> list[Tensor]:
            turned = compute(tensors, Images(*images), noise, warm_up, step)
            self.names = [*turned.parts]
            return [turned.losses, *turned.parts.values(), *turned.gradients]

        self.graph = make_fx(flat)([*tensors], [one for one in images if one is not None], [*noise], *numbers(1.0, 0))
        shorten(self.graph.graph)
        self.graph.recompile()

    def __call__(
        self, tensors: Sequence[Tensor], images: Images, noise: Sequence[Tensor], warm_up: float, step: int
    ) -> Turned:
        given = [one for one in images if one is not None]
        with torch.no_grad():
            losses, *rest = self.graph([*tensors], given, [*noise], *numbers(warm_up, step))
        parts = dict(zip(self.names, rest, strict=False))
        return Turned(losses, parts, rest[len(parts) :])


def numbers(warm_up: float, step: int) -> tuple[Tensor, Tensor]:
    """Warm-up and step as inputs of a record, of types that leave a loss's own as it is."""
    return torch.tensor(warm_up, dtype=torch.float32), torch.tensor(step)


def shorten(graph: Graph) -> None:
    """Takes out what gives its own input on."""
    for node in graph.nodes:
        if node.target in PASSED_ON or is_same(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    graph.eliminate_dead_code()


def is_same(node: Node) -> bool:
    """Is it a product by 1, or a view of the shape that is there?"""
    if node.target is torch.ops.aten.mul.Scalar:
        return node.args[1] == 1
    if node.target is torch.ops.aten.view.default:
        return shape_of(node) == shape_of(node.args[0])
    return False


def shape_of(node: Any) -> Any:
    """As it was when recorded; None where that is not known."""
    return getattr(node.meta.get("tensor_meta"), "shape", None)
