"""A turn's operations as they come one after another, recorded once and then replayed on other numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import Graph
from torch.fx.experimental.proxy_tensor import make_fx

from benchmarks.runner.capture import joined, named, recorded
from priors.base import Batch

aten = torch.ops.aten

PASSED_ON = (aten.detach.default, aten.alias.default)
"""Operations that mean nothing where no gradient is recorded."""

RESHAPED = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
"""Operations that mean nothing where the shape is there already."""


class Images(NamedTuple):
    """A batch of every member, (S, B, *data_shape), which examples these are, (S, B), and, unless they are the same,
    the grey images that they were drawn from. Of one member, the same without S."""

    x: Tensor
    which: Tensor
    grey: Tensor | None = None

    def of(self, s: int) -> Images:
        """One member's."""
        return Images(*(None if one is None else one[s] for one in self))  # type: ignore[arg-type]

    def batch(self, warm_up: float | Tensor, step: int | Tensor) -> Batch:
        """What a loss is computed on, of one member."""
        return Batch(self.x, warm_up, step, self.grey, self.which)


class Turned(NamedTuple):
    """What a turn gives: the losses (S,), their parts by name (S,), and the gradients of the player's parameters."""

    losses: Tensor
    parts: Mapping[str, Tensor]
    gradients: Sequence[Tensor]


Compute = Callable[[Sequence[Tensor], Images, Sequence[Tensor], Tensor, Tensor], Turned]
"""From stacked tensors, images, noise, warm-up and step."""


class Recorded:
    """A turn's computation for images of one shape. Raises where it depends on what it computes.

    join: have the compiler join the operations, which takes seconds, and raises where it cannot.
    """

    def __init__(
        self, compute: Compute, tensors: Sequence[Tensor], images: Images, noise: Sequence[Tensor], join: bool = False
    ):
        self.names = list[str]()

        def flat(
            tensors: list[Tensor], images: list[Tensor], noise: list[Tensor], warm_up: Tensor, step: Tensor
        ) -> list[Tensor]:
            turned = compute(tensors, Images(*images), noise, warm_up, step)
            self.names = [*turned.parts]
            return [turned.losses, *turned.parts.values(), *turned.gradients]

        given = [one for one in images if one is not None]
        graph = make_fx(flat)([*tensors], given, [*noise], *numbers(1.0, 0))
        shorten(graph.graph)
        graph.recompile()
        self.graph: Callable[..., list[Tensor]] = graph
        if join:
            on_gpu = images.x.device.type == "cuda"
            self.graph = on_cuda(graph, tensors, given, noise) if on_gpu else joined(graph)

    def __call__(
        self, tensors: Sequence[Tensor], images: Images, noise: Sequence[Tensor], warm_up: float, step: int
    ) -> Turned:
        given = [one for one in images if one is not None]
        with torch.no_grad():
            flat = self.graph([*tensors], given, [*noise], *numbers(warm_up, step))
        return Turned(*named(flat, self.names))


def on_cuda(graph: Any, tensors: Sequence[Tensor], images: list[Tensor], noise: Sequence[Tensor]) -> Any:
    """The same as a CUDA graph, which reads the stacked tensors where they lie, and all else where it is put."""
    ends = len(images), len(images) + len(noise)

    def flat(given: list[Tensor]) -> list[Tensor]:
        found: list[Tensor] = graph([*tensors], given[: ends[0]], given[ends[0] : ends[1]], *given[ends[1] :])
        return found

    given = [*images, *noise, *(one.to(images[0].device) for one in numbers(1.0, 0))]
    replay = recorded(flat, given)
    return lambda tensors, images, noise, warm_up, step: replay([*images, *noise, warm_up, step])


def numbers(warm_up: float, step: int) -> tuple[Tensor, Tensor]:
    """Warm-up and step as inputs of a record, of types that leave a loss's own as it is."""
    return torch.tensor(warm_up, dtype=torch.float32), torch.tensor(step)


def shorten(graph: Graph) -> None:
    """Takes out what gives its own input on, and adds a dense layer's bias in its product, as the layer alone does."""
    node: Any
    for node in graph.nodes:
        if node.target in PASSED_ON or (node.target in RESHAPED and shape_of(node) == shape_of(node.args[0])):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in graph.nodes:
        if node.target is aten.add.Tensor and not node.kwargs and (found := bias_and_product(node)):
            bias, product = found
            with graph.inserting_before(node):
                fused = graph.call_function(aten.baddbmm.default, (bias, *product.args))
            node.replace_all_uses_with(fused)
            graph.erase_node(node)
    graph.eliminate_dead_code()


def bias_and_product(node: Any) -> tuple[Any, Any] | None:
    """The two terms of a sum, where one is a product that nothing else takes, and the other's shape is not larger."""
    for bias, product in (node.args, node.args[::-1]):
        if getattr(product, "target", None) is aten.bmm.default and len(product.users) == 1:
            small, large = shape_of(bias), shape_of(product)
            if small and len(small) == 3 and all(a in (1, b) for a, b in zip(small, large, strict=True)):
                return (bias, product) if dtype_of(bias) == dtype_of(product) else None
    return None


def dtype_of(node: Any) -> Any:
    """As it was when recorded."""
    return node.meta["tensor_meta"].dtype


def shape_of(node: Any) -> Any:
    """As it was when recorded; None where that is not known."""
    return getattr(node.meta.get("tensor_meta"), "shape", None)
