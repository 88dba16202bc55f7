"""Random numbers of several seeds: what a loss draws is noted once, then drawn for each seed from its own stream.

A stream is what torch's global random state is to a training alone. A loss that is mapped over seeds draws nothing
itself: it is handed what was drawn before, in the same order from the same streams.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, ClassVar, NamedTuple, ParamSpec, Self

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from benchmarks.runner.ensemble.refusal import Unstackable


class Stream:
    """The random state of one seed, as `torch.manual_seed` sets it: a generator a device, each begun alike."""

    def __init__(self, seed: int):
        self.seed, self.generators = seed, dict[torch.device, torch.Generator]()

    def on(self, device: torch.device | str | None) -> torch.Generator:
        where = torch.device(device or "cpu")
        if where not in self.generators:
            self.generators[where] = torch.Generator(where).manual_seed(self.seed)
        return self.generators[where]


Make = Callable[[Stream], Tensor]
"""Draws from a stream what was drawn before from another."""


class Kind(NamedTuple):
    """A function that draws. make: from its arguments to a draw; None where these draw nothing. use: its value, from
    what was drawn and its arguments."""

    make: Callable[..., Make | None]
    use: Callable[..., Tensor] = lambda drawn, *args, **kwargs: drawn


def made(function: Callable[..., Tensor]) -> Kind:
    """A function that takes sizes, and a generator."""

    def make(*args: Any, **kwargs: Any) -> Make:
        return lambda stream: function(*args, **kwargs, generator=stream.on(kwargs.get("device")))

    return Kind(make)


def filled(fill: str, *numbers: float) -> Callable[..., Make]:
    """A tensor of another one's shape, in its layout, as the order of draws follows the memory."""

    def make(like: Tensor, **kwargs: Any) -> Make:
        memory = torch.empty_like(like, **kwargs)
        empty = partial(torch.empty_strided, memory.shape, memory.stride(), dtype=memory.dtype, device=memory.device)
        where = memory.device
        return lambda stream: getattr(empty(), fill)(*numbers, generator=stream.on(where))

    return make


def mask(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Make | None:
    """What dropout multiplies by."""
    if not training or not p:
        return None
    kept = filled("bernoulli_", 1 - p)(x)
    return lambda stream: kept(stream).div_(1 - p)


def masked(drawn: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return x * drawn


def bernoulli(p: Tensor, **kwargs: Any) -> Make:
    return lambda stream: torch.bernoulli(p, **kwargs, generator=stream.on(p.device))


KINDS: Mapping[Any, Kind] = {
    **{function: made(function) for function in (torch.randn, torch.rand, torch.randint, torch.randperm)},
    torch.randn_like: Kind(filled("normal_")),
    torch.rand_like: Kind(filled("uniform_")),
    torch.bernoulli: Kind(bernoulli),
    F.dropout: Kind(mask, masked),
}
"""What can be drawn for several seeds. Of all else a mapped loss says that it is random, and is refused."""

DEPENDENT = (torch.bernoulli,)
"""Those whose draws depend on what was computed: they cannot be made beforehand."""

P = ParamSpec("P")


def whole(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A function whose draws are taken as one: what depends within it on other draws is then drawn beforehand, too.

    Its arguments are no tensors.
    """

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not Draws.entered:
            return function(*args, **kwargs)
        return Draws.entered[-1].whole(partial(function, *args, **kwargs))

    return drawn


class Draws(TorchFunctionMode):
    """Within, random calls go through `draw`."""

    entered: ClassVar[list[Draws]] = []

    def __enter__(self) -> Self:
        Draws.entered.append(self)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        Draws.entered.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = kwargs or {}
        if func not in KINDS or given.get("generator") is not None:
            return func(*args, **given)
        return self.draw(func, args, given)

    @abstractmethod
    def draw(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        """The value of a random call."""

    @abstractmethod
    def whole(self, function: Callable[[], Tensor]) -> Tensor:
        """The value of a function whose draws are taken as one."""


class From(Draws):
    """Draws from a stream in the place of the global state."""

    def __init__(self, stream: Stream):
        super().__init__()
        self.stream = stream

    def draw(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        make = KINDS[func].make(*args, **kwargs)
        return func(*args, **kwargs) if make is None else KINDS[func].use(make(self.stream), *args, **kwargs)

    def whole(self, function: Callable[[], Tensor]) -> Tensor:
        return function()


class Noting(Draws):
    """Notes what is drawn from the global state, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.makes: list[Make] = []
        self.inside = False

    def draw(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        if not self.inside:
            if func in DEPENDENT:
                raise Unstackable(f"{func.__name__} draws by what was computed before")
            if make := KINDS[func].make(*args, **kwargs):
                self.makes.append(make)
        value: Tensor = func(*args, **kwargs)
        return value

    def whole(self, function: Callable[[], Tensor]) -> Tensor:
        if not self.inside:
            self.makes.append(partial(_through, function))
        self.inside, before = True, self.inside
        try:
            return function()
        finally:
            self.inside = before


def _through(function: Callable[[], Tensor], stream: Stream) -> Tensor:
    with From(stream):
        return function()


class Handed(Draws):
    """Hands out what was drawn before; Unstackable where something else is asked for."""

    def __init__(self, drawn: Sequence[Tensor]):
        super().__init__()
        self.left = list(reversed(drawn))

    def next(self) -> Tensor:
        if not self.left:
            raise Unstackable("it does not draw the same numbers each time")
        return self.left.pop()

    def draw(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        draws = func is not F.dropout or KINDS[func].make(*args, **kwargs)
        return KINDS[func].use(self.next(), *args, **kwargs) if draws else func(*args, **kwargs)

    def whole(self, function: Callable[[], Tensor]) -> Tensor:
        return self.next()


def noted(work: Callable[[], object], device: torch.device) -> list[Make]:
    """What the work draws. Unstackable where streams would not give the same: it draws by other functions, too.

    The global random state is afterwards as before.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        with Noting() as notes:
            work()
        again = Stream(0)
        for make in notes.makes:
            make(again)
        same = torch.equal(torch.get_rng_state(), again.on("cpu").get_state())
        if device.type == "cuda":
            same = same and torch.equal(torch.cuda.get_rng_state(device), again.on(device).get_state())
    if not same:
        raise Unstackable("it draws random numbers by functions that are not known here")
    return notes.makes


def drawn(makes: Sequence[Make], streams: Sequence[Stream]) -> list[Tensor]:
    """Of every draw those of all streams, (S, ...)."""
    each = [[make(stream) for make in makes] for stream in streams]
    return [torch.stack(same) for same in zip(*each, strict=True)]
