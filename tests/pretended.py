"""A pretended GPU: numbers that the CPU computes, under CUDA's rules. For machines without one, as those of most tests.

Every storage carries the device that it is pretended to be on. Two modes of torch see all that happens. `Calls` stands
above autograd, where Python calls torch: it answers `.device`, and takes out of the calls what names a device before
they reach a torch that has none. `Kernels` stands below autograd, where backward passes and optimisers come by too:
it hands the device on from operands to results, refuses operands of two devices, and notes what makes the host wait.

It tells nothing of a real card's speed, rounding, random numbers or memory, and a kernel that CUDA lacks it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU = torch.device("cpu")
MEMORY = 2**30
"""Of a pretended card, bytes: chunks are of a few hundred images then, and not of all that a test has."""

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "bincount"}
"""Operations whose result's value or size the host must know."""

INDEXINGS = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
"""Those whose indices may be on the host, and are copied then; by a mask they have to count it."""

FROM_NUMBERS = {"tensor", "as_tensor", "asarray", "new_tensor", "scalar_tensor"}
"""Calls that make a tensor of the host's numbers, wherever it is to be."""


class Refused(RuntimeError):
    """What a real device would have raised."""


def at(x: Tensor) -> torch.device | None:
    """The device that a tensor is pretended to be on; None while torch's own code has made it for no device yet."""
    return x.untyped_storage().__dict__.get("pretended", CPU)


def put(x: Tensor, device: torch.device | None) -> Tensor:
    """Pretends that it is there."""
    x.untyped_storage().pretended = device
    return x


def named(device: Any) -> torch.device:
    """A device as tensors tell it, with its index."""
    device = torch.device(device)
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def on_card(device: torch.device | None) -> bool:
    return device is not None and device.type == "cuda"


class Kernels(TorchDispatchMode):
    """Every operation that a device would carry out.

    wanted: the devices that the Python calls around the operation name, innermost last. noted: waits of the host and
    copies from it, by what made them. count: kernels launched on a card.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[torch.device] = []
        self.noted: Counter[str] = Counter()
        self.count = 0

    @property
    def waits(self) -> set[str]:
        return {name for name in self.noted if name.startswith("wait")}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.partition("::")[2]
        operands = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        device = self.shared(name, args, operands)
        results = func(*args, **(kwargs or {}))
        device = self.destination(name, args, operands, device)
        if on_card(device):
            self.count += not func.is_view
            if name in WAITS:
                self.noted[f"wait: {name}"] += 1
        for one in tree_leaves(results):
            if isinstance(one, Tensor) and one.untyped_storage().__dict__.get("pretended") is None:
                put(one, device)
        return results

    def destination(
        self, name: str, args: Sequence[Any], operands: Sequence[Tensor], device: torch.device | None
    ) -> torch.device | None:
        """Where results are: with the operands, or where the call wants them."""
        if name == "_to_copy" and self.wanted:
            return self.moved(device, self.wanted[-1])
        if name == "copy_":
            if at(args[0]) is None:
                put(args[0], device)
            return self.moved(device, at(args[0]))
        made_anew = not operands or name.startswith("new_") or name.endswith("_like")
        if made_anew and self.wanted:
            return self.wanted[-1]
        return device if operands else None

    def moved(self, before: torch.device | None, after: torch.device | None) -> torch.device | None:
        """Notes a copy from one device to another; the latter."""
        if None not in (before, after) and before != after:
            self.noted["copy: from the host" if before == CPU else "wait: copy from the card"] += 1
        return after

    def shared(self, name: str, args: Sequence[Any], operands: Sequence[Tensor]) -> torch.device | None:
        """The one device of an operation's operands; Refused where there are two. A number on the host may meet
        tensors on a card."""
        if name in ("copy_", "_to_copy"):
            return at(args[1] if name == "copy_" else args[0])
        if name == "_fused_adam_":
            demand_layout(args[0], args[1])
        if name in INDEXINGS:
            operands = self.indexed(name, args)
        found = {at(one) for one in operands} - {None}
        if len(found) > 1:
            found = {at(one) for one in operands if one.dim() or at(one) != CPU} - {None}
        if len(found) > 1:
            told = ", ".join(f"{tuple(one.shape)} on {at(one)}" for one in operands)
            raise Refused(f"{name} of tensors on two devices: {told}")
        device = next(iter(found), None)
        for one in operands:
            if at(one) is None:
                put(one, device)
        return device

    def indexed(self, name: str, args: Sequence[Any]) -> list[Tensor]:
        """An indexing's operands that must share a device: without its indices where it is on a card."""
        indices = [one for one in args[1] if isinstance(one, Tensor)]
        others = [one for one in (args[0], *args[2:]) if isinstance(one, Tensor)]
        if not on_card(at(args[0])):
            return [*others, *indices]
        for one in indices:
            if one.dtype == torch.bool:
                self.noted[f"wait: {name} by a mask"] += 1
            if at(one) == CPU:
                self.noted["copy: indices from the host"] += 1
        return others


def demand_layout(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Fused Adam reads raw memory: Refused where a gradient's strides are not its parameter's."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        sides = zip(parameter.shape, parameter.stride(), gradient.stride(), strict=True)
        if any(size > 1 and ours != theirs for size, ours, theirs in sides):
            raise Refused(f"fused Adam: a gradient's strides {gradient.stride()}, its parameter's {parameter.stride()}")


class Calls(TorchFunctionMode):
    """Every call of torch from Python."""

    def __init__(self, kernels: Kernels) -> None:
        super().__init__()
        self.kernels, self.makers = kernels, _device_constructors()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        own = (at(args[0]) or CPU) if args and isinstance(args[0], Tensor) else None
        if func == Tensor.device.__get__:
            return own
        if func in (Tensor.is_cuda.__get__, Tensor.is_cpu.__get__):
            return on_card(own) == (func == Tensor.is_cuda.__get__)
        if own and name in ("to", "cuda", "cpu"):
            return self.to(name, *args, **kwargs)
        wanted = named(kwargs["device"]) if kwargs.get("device") is not None else None
        self.demand_host(name, own, wanted, kwargs.get("generator"))
        if wanted:
            kwargs["device"] = CPU
        if func in self.makers or name in FROM_NUMBERS:
            return self.made(func, name, own, wanted, args, kwargs)
        return self.wanting(wanted, func, args, kwargs) if wanted else func(*args, **kwargs)

    def demand_host(self, name: str, own: torch.device | None, wanted: torch.device | None, generator: Any) -> None:
        """What works on the host alone is refused elsewhere, or waits."""
        if on_card(own) and name in ("numpy", "__array__"):
            raise Refused("numpy() of a tensor on a card")
        if on_card(own) and name == "tolist":
            self.kernels.noted["wait: tolist"] += 1
        if generator is not None and generator.device.type != (wanted or own or CPU).type:
            raise Refused(f"{name} on {wanted or own} with a generator on {generator.device.type}")

    def made(
        self,
        func: Callable[..., Tensor],
        name: str,
        own: torch.device | None,
        wanted: torch.device | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Tensor:
        """A tensor made anew: where it is wanted, else beside the one that it is made like, else on the host."""
        like = own if name != "tensor" else None
        x = self.wanting(wanted or like or CPU, func, args, kwargs)
        if name in FROM_NUMBERS and not (args and x is args[0]):
            put(x, self.kernels.moved(CPU, wanted or (own if name == "new_tensor" else None) or CPU))
        return x

    def wanting(
        self, device: torch.device, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """The call, with its device told to the operations that it leads to."""
        self.kernels.wanted.append(device)
        try:
            return func(*args, **kwargs)
        finally:
            self.kernels.wanted.pop()

    def to(self, name: str, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """`x.to(...)` of a device, a type or another tensor; `x.cpu()`; `x.cuda()`."""
        before = at(x) or CPU
        after = {"cpu": CPU, "cuda": named("cuda")}.get(name, before)
        given = [*args, *(kwargs.pop(key) for key in ("device", "other") if kwargs.get(key) is not None)]
        rest: list[Any] = []
        for one in given if name == "to" else ():
            if isinstance(one, Tensor):
                after = at(one) or CPU
                rest.append(one.dtype)
            elif isinstance(one, str | torch.device):
                after = named(one)
            else:
                rest.append(one)
        if after != before:
            kwargs["copy"] = True  # torch would hand on what is already where it thinks it is
        return self.wanting(after, Tensor.to, (x, CPU, *rest), kwargs)


@contextmanager
def pretended_gpu() -> Iterator[Kernels]:
    """Within, `cuda` is a device like any other, and there are as many cards as one names."""
    kernels = Kernels()
    with ExitStack() as patches:
        for owner, name, answer in answers():
            patches.enter_context(mock.patch.object(owner, name, answer))
        with kernels, Calls(kernels):
            yield kernels


def answers() -> Iterator[tuple[Any, str, Any]]:
    """What torch asks of a tensor in its own compiled code, past both modes, is answered in its place."""
    module_to, autocast, load = nn.Module.to, torch.autocast.__init__, torch.load
    group = nn.utils.clip_grad._group_tensors_by_device_and_dtype

    def to(self: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        like = args and isinstance(args[0], Tensor)
        return module_to(self, *((at(args[0]) or CPU, args[0].dtype) if like else args), **kwargs)

    def init(self: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
        autocast(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    def loaded(path: Any, map_location: Any = None, **others: Any) -> Any:
        state = load(path, map_location="cpu", **others)
        for one in tree_leaves(state):
            if isinstance(one, Tensor) and map_location is not None:
                put(one, named(map_location))
        return state

    def grouped(tensors: Sequence[Sequence[Tensor]], *rest: Any) -> dict[Any, Any]:
        return {(at(found[0][0]) or CPU, key[1]): (found, i) for key, (found, i) in group(tensors, *rest).items()}

    yield nn.Module, "to", to
    yield torch.autocast, "__init__", init
    yield torch, "load", loaded
    yield nn.utils.clip_grad, "_group_tensors_by_device_and_dtype", grouped
    yield torch.backends.cudnn, "is_acceptable", lambda tensor: False  # what recurrent networks ask
    yield torch.cuda, "get_device_capability", lambda device=None: (9, 0)
    yield torch.cuda, "get_device_name", lambda device=None: f"pretended {named(device)}"
    yield torch.cuda, "get_device_properties", lambda device=None: SimpleNamespace(total_memory=MEMORY)
    yield torch.cuda, "max_memory_allocated", lambda device=None: 0
    yield torch.cuda, "reset_peak_memory_stats", lambda device=None: None
