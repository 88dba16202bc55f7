"""From a turn as it is written to one that is replayed: traced into its operations, joined, and held against it."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.hub import tqdm  # type: ignore[attr-defined]

from benchmarks.runner.turns import Result, Turn
from priors.base import Batch
from priors.wording import in_one_line

SAME = 1e-3
"""How far a replayed number may be from the written one, relative to the largest of its tensor: beyond the rounding of
long sums, and below what a mistake would make of it."""

FLOOR = 1e-4
"""The least that counts as the largest of a tensor, relative to the largest of all gradients: where terms cancel to
nothing, what is left is rounding alone."""

Flat = Callable[[list[Tensor]], list[Tensor]]
"""A function of tensors that gives tensors, as tracing wants it."""


class Uncapturable(RuntimeError):
    """A replay of this turn would not do what the loss as written does; the message says why."""


def capture(written: Turn, batch: Batch, both: nn.Module) -> Turn:
    """The turn's replay for batches shaped like this one; Uncapturable.

    Random state and buffers are left as they were, so that the first turn of the training is still to come.
    """
    with undone(both):
        expected = untraced(written, batch, both)
    names = list(expected[1])
    try:
        with undone(both), quiet():
            graph = traced(written, batch, names)
            demand_gain(graph, batch.x.device)
            replay = fast(graph, tensors(batch))
        with undone(both):
            found = named(replay(tensors(batch)), names)
    except Uncapturable:
        raise
    except Exception as error:  # a tracer or a compiler may raise anything, and the loss as written serves as well
        raise Uncapturable(in_one_line(error)) from error
    compare(expected, found)
    return lambda batch: named(replay(tensors(batch)), names)


# As functions of tensors


def tensors(batch: Batch) -> list[Tensor]:
    """What a turn depends on beside weights, buffers and draws, in the order of a `Batch`."""
    numbers = (torch.tensor(one, device=batch.x.device) for one in (batch.warm_up, batch.step))
    every = (batch.x, *numbers, batch.grey, batch.index)
    return [one for one in every if one is not None]


def refilled(batch: Batch, given: Sequence[Tensor]) -> Batch:
    """Such a batch of other tensors, in the same order."""
    filled = [field.name for field in fields(batch) if getattr(batch, field.name) is not None]
    return replace(batch, **dict(zip(filled, given, strict=True)))


def traced(written: Turn, batch: Batch, names: Sequence[str]) -> Flat:
    """The turn's operations on tensors, without modules, autograd or Python between them. What needs a tensor's value
    on the way raises here."""

    def flat(given: list[Tensor]) -> list[Tensor]:
        loss, parts, gradients = written(refilled(batch, given))
        return [loss, *(parts[name] for name in names), *gradients]

    graph: Flat = make_fx(flat)(tensors(batch))
    return graph


def demand_gain(graph: Flat, device: torch.device) -> None:
    """Uncapturable on a CPU where convolutions take the time: a compiler takes minutes, and has nothing to join."""
    operations = {node.target for node in graph.graph.nodes} if isinstance(graph, GraphModule) else set()
    if device.type == "cpu" and torch.ops.aten.convolution.default in operations:
        raise Uncapturable("its convolutions would gain nothing")


def named(flat: Sequence[Tensor], names: Sequence[str]) -> Result:
    """(loss, parts, gradients) from their list."""
    loss, *rest = flat
    return loss, dict(zip(names, rest, strict=False)), rest[len(names) :]


def fast(graph: Flat, given: list[Tensor]) -> Flat:
    """The same function without what stands between its operations."""
    return recorded(graph, given) if given[0].device.type == "cuda" else compiled(graph, given)


def compiled(graph: Flat, given: list[Tensor]) -> Flat:
    """By the compiler, at once: it may refuse."""
    call = joined(graph)

    def replay(given: list[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            found: list[Tensor] = call(given)
        return found

    replay(given)
    return replay


def joined(graph: Callable[..., Any]) -> Callable[..., Any]:
    """By `torch.compile`, whose cache serves every later process on this machine. Draws stay torch's own."""
    torch._inductor.config.compile_threads = 1  # it would start a process a core for what one does in seconds
    hold_bars()
    options: dict[str, Any] = {"fallback_random": True, "cpp.threads": 1}
    return torch.compile(graph, dynamic=False, options=options)


def hold_bars() -> None:
    """Gives the compiler's progress bars a lock of threads. Their own is one of processes, a semaphore of the system:
    Python warns of it where a worker ends."""
    if lock := getattr(tqdm, "set_lock", None):  # torch has a bar of its own where tqdm is not installed
        lock(threading.RLock())


def recorded(graph: Flat, given: list[Tensor]) -> Flat:
    """By a CUDA graph, which reads its batch where the recording did and draws from the device's own stream."""
    held = [one.clone() for one in given]
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside), torch.no_grad():
        for _ in range(3):  # what libraries set up at a first call is not to be recorded
            graph(held)
    torch.cuda.current_stream().wait_stream(beside)
    recording = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recording), torch.no_grad():
        results = graph(held)

    def replay(given: list[Tensor]) -> list[Tensor]:
        for kept, new in zip(held, given, strict=True):
            kept.copy_(new)
        recording.replay()
        return [one.clone() for one in results]

    return replay


# What makes sure


def untraced(written: Turn, batch: Batch, both: nn.Module) -> Result:
    """The turn's result; Uncapturable where the loss keeps anything in Python, or draws there."""
    before = traces(both)
    result = written(batch)
    if changed := [name for name, value in traces(both).items() if before.get(name) != value]:
        raise Uncapturable(f"its loss changes {changed[0]}, which is no tensor")
    return result


def traces(both: nn.Module) -> dict[str, object]:
    """What a loss could change beside tensors: plain attributes of every module, and the random states of Python and
    numpy."""
    found: dict[str, object] = {"random's state": random.getstate(), "numpy's random state": str(np.random.get_state())}
    for name, module in both.named_modules():
        plain = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        found |= {f"{name}.{key}": sketch(value) for key, value in plain.items()}
    return found


def sketch(value: object, deep: int = 3) -> object:
    """What tells whether a value is still the same: its text where it is a number or a text, what is in it of a
    collection, so many levels down, and otherwise which object it is."""
    if isinstance(value, bool | int | float | str | None):
        return repr(value)
    if isinstance(value, list | tuple | dict) and deep:
        inner = (*value, *value.values()) if isinstance(value, dict) else value
        return type(value), [sketch(one, deep - 1) for one in inner]
    return id(value)


def compare(expected: Result, found: Result) -> None:
    """Uncapturable unless loss, parts and gradients are the same but for rounding."""
    pairs = [("loss", expected[0], found[0])]
    pairs += [(name, value, found[1][name]) for name, value in expected[1].items()]
    pairs += [(f"gradient {i}", *both) for i, both in enumerate(zip(expected[2], found[2], strict=True))]
    least = FLOOR * max(one.abs().max().item() for one in expected[2])
    for name, a, b in pairs:
        if not (a - b).abs().max() <= SAME * a.abs().max().clamp(min=least):
            raise Uncapturable(f"its replay gives another {name}")


@contextmanager
def undone(both: nn.Module) -> Iterator[None]:
    """Buffers and random states are as before afterwards."""
    kept = [(one, one.clone()) for one in both.buffers()]
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for one, value in kept:
                one.copy_(value)


@contextmanager
def quiet() -> Iterator[None]:
    """Compilers warn about what is no concern of a user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
