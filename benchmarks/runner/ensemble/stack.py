"""Several members' parameters, buffers and optimisers as single tensors (S, ...), of which the members hold rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from benchmarks.runner.capture import sketch
from benchmarks.runner.ensemble.refusal import Unstackable

SLOW = (_ConvNd, _BatchNorm)
"""Not stacked: mapped convolutions are grouped ones, which are slower than in turn, and a batch norm's statistics are
state that a mapped pass cannot keep."""

Slot = tuple[dict[str, Any], str, int]
"""Where a module finds one of its tensors, and which of the stack's it is."""


class Stack:
    """The tensors of S modules of one structure. `tensors` are parameters, then buffers, each once, (S, ...)."""

    def __init__(self, members: Sequence[nn.Module]):
        demand_alike(members)
        rows = [(*one.parameters(), *one.buffers()) for one in members]
        self.members, self.count = members, len(list(members[0].parameters()))
        self.tensors = [torch.stack([row.detach() for row in same]) for same in zip(*rows, strict=True)]
        for tensor, parameter in zip(self.parameters, members[0].parameters(), strict=True):
            tensor.requires_grad_(parameter.requires_grad)
        self.slots = list(slots(members[0]))
        self.own = [[slot for slot in slots(one) if slot[2] >= self.count] for one in members]  # of buffers
        for s, own in enumerate(rows):
            for tensor, row in zip(self.tensors, own, strict=True):
                row.data = tensor.detach()[s]
        self.traits = [traits(one) for one in members]

    @property
    def parameters(self) -> list[Tensor]:
        return self.tensors[: self.count]

    @property
    def buffers(self) -> list[Tensor]:
        return self.tensors[self.count :]

    @contextmanager
    def within(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """The first member computes with these in the place of its own. Unstackable where it puts others there."""
        before = [values[key] for values, key, _ in self.slots]
        for values, key, k in self.slots:
            values[key] = tensors[k]
        try:
            yield
            if any(values[key] is not tensors[k] for values, key, k in self.slots):
                raise Unstackable("its loss puts a new tensor in a buffer's place")
        finally:
            for (values, key, _), value in zip(self.slots, before, strict=True):
                values[key] = value

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What a loss does to buffers within is undone; Unstackable where it changes anything else of its modules."""
        before = [buffer.clone() for buffer in self.buffers]
        try:
            yield
            self.demand_unchanged()
        finally:
            for buffer, value in zip(self.buffers, before, strict=True):
                buffer.copy_(value)

    def demand_unchanged(self) -> None:
        """Unstackable where a member has changed by more than its tensors: the others would not follow, or not see."""
        for one, known in zip(self.members, self.traits, strict=True):
            if not same(traits(one), known):
                raise Unstackable("it keeps numbers beside its parameters and buffers, which change in training")

    def gather(self) -> None:
        """Takes up what members have put in the place of their buffers, as a hook may do."""
        self.demand_unchanged()
        for s, own in enumerate(self.own):
            for values, key, k in own:
                row, value = self.tensors[k][s], values[key]
                if value is None or value.shape != row.shape:
                    raise Unstackable("a buffer changes its shape in training")
                if value.data_ptr() != row.data_ptr():
                    values[key] = row.copy_(value)


def refuse_slow(*modules: nn.Module) -> None:
    """Unstackable for what is slower together."""
    for one in (part for module in modules for part in module.modules()):
        if isinstance(one, SLOW):
            raise Unstackable(f"{type(one).__name__} is not stacked")


def demand_alike(members: Sequence[nn.Module]) -> None:
    """Unstackable for modules that are not of one structure, or that are not worth it."""
    refuse_slow(members[0])
    shapes = [{name: (v.shape, v.dtype, v.is_contiguous()) for name, v in named(one).items()} for one in members]
    if any(shape != shapes[0] for shape in shapes):
        raise Unstackable("the members' parameters differ in shape")
    if not all(contiguous for _, _, contiguous in shapes[0].values()):
        raise Unstackable("a parameter is not contiguous")


def named(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def slots(module: nn.Module) -> Iterator[Slot]:
    """All places of a module's parameters and buffers: one that is shared has several."""
    place = {id(one): k for k, one in enumerate((*module.parameters(), *module.buffers()))}
    for one in module.modules():
        for values in (one._parameters, one._buffers):
            yield from ((values, key, place[id(value)]) for key, value in values.items() if value is not None)


OWN = ("training", "_parameters", "_buffers", "_modules")
"""Of a module's attributes those that the stack knows of, or that do not matter."""


def traits(module: nn.Module) -> list[tuple[str, object, object]]:
    """All else that a module's computation may depend on: its name, what tells whether it was changed, and the value,
    so that no other object comes to stand in its place."""
    found: list[tuple[str, object, object]] = []
    for one in module.modules():
        for key, value in vars(one).items():
            if key not in OWN:
                mark = (id(value), value._version) if isinstance(value, Tensor) else sketch(value)
                found.append((key, mark, value))
    return found


def same(now: Sequence[tuple[str, object, object]], before: Sequence[tuple[str, object, object]]) -> bool:
    """Are these traits those?"""
    return [one[:2] for one in now] == [one[:2] for one in before]


def join(stacked: Optimizer, own: Sequence[Tensor], members: Sequence[Optimizer]) -> None:
    """Puts the members' moments into an optimiser of the stacked parameters `own`, and rows of these into theirs."""
    for k, tensor in enumerate(own):
        rows = [one.param_groups[0]["params"][k] for one in members]
        states = [one.state[row] or fresh(row) for one, row in zip(members, rows, strict=True)]
        if any(state["step"].item() != states[0]["step"].item() for state in states):
            raise Unstackable("the members have taken different numbers of steps")
        moments = {key: torch.stack([state[key] for state in states]) for key in states[0] if key != "step"}
        shared = {"step": states[0]["step"].clone()}
        stacked.state[tensor] = {**shared, **moments}
        for s, (one, row) in enumerate(zip(members, rows, strict=True)):
            one.state[row] = {**shared, **{key: moment[s] for key, moment in moments.items()}}


def fresh(row: Tensor) -> dict[str, Tensor]:
    """Adam's state before its first step."""
    zero = torch.zeros((), dtype=torch.float32, device=row.device)
    return {"step": zero, "exp_avg": torch.zeros_like(row), "exp_avg_sq": torch.zeros_like(row)}
