"""Parts by name: one type for all kinds of parts, and the priors' own registry.

A part of this project registers by decorator, in its own file. One of a third party does the same, in a file given by
`--plugin FILE` or in an installed package that declares an entry point (`priors.plugins`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from priors.wording import near, unknown_name

if TYPE_CHECKING:
    from priors.base import Host, Prior

T = TypeVar("T")
K = TypeVar("K")

NAME = re.compile(r"[^\W_][\w.+-]{0,79}")
"""Of a part."""

REGISTRIES: list[Registry[Any]] = []
"""All that were made, in the order in which they were imported."""


class UnknownName(ValueError, KeyError):
    """No part of this kind has the name; the text offers the near one. A KeyError too, as a mapping's is."""

    __str__ = ValueError.__str__  # a KeyError shows its text in quotes


class Entry(NamedTuple, Generic[T]):
    """A part and what defined it: the module and the name there."""

    part: T
    module: str
    qualname: str


class State(NamedTuple):
    """What a registry has: all its entries, and the names of those that its home registered."""

    entries: Mapping[str, Entry[Any]] = {}
    own: frozenset[str] = frozenset()


class Registry(Mapping[str, T]):
    """The parts of one kind by name, to be read like a dictionary.

    kind: what messages call a part, such as "prior". home: modules, and packages whose modules are all imported, when
    the registry is first read, so that their parts register: a new part is a new file and stands in no list.
    accepts: is this a part of the kind? wanted: the words for one. decorator: how a file registers one.
    in_order: names come in the order of `home` and its files, not sorted.
    """

    def __init__(
        self,
        kind: str,
        home: tuple[str, ...],
        accepts: Callable[[Any], bool],
        wanted: str,
        decorator: str,
        in_order: bool = False,
    ):
        self.kind, self.home, self.accepts, self.wanted = kind, home, accepts, wanted
        self.decorator, self.in_order = decorator, in_order
        self._entries: dict[str, Entry[T]] = {}
        self._own: dict[str, Entry[T]] = {}  # as home registered them
        self._modules: list[str] = []
        self._ready = False
        REGISTRIES.append(self)

    __eq__, __hash__ = object.__eq__, object.__hash__  # a place, not what is in it

    # Reading

    def __getitem__(self, name: str) -> T:
        return self._entry(name).part

    def __iter__(self) -> Iterator[str]:
        self._import_home()
        return iter(sorted(self._entries, key=self._place))

    def __len__(self) -> int:
        self._import_home()
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<registry of each {self.kind}: {', '.join(self)}>"

    def foreign(self) -> list[str]:
        """Names of third parties' parts that have registered; imports nothing."""
        return sorted(self._entries.keys() - self._own.keys())

    def module_of(self, name: str) -> str:
        """The module that the part was defined in."""
        return self._entry(name).module

    def modules(self) -> list[str]:
        """The modules of `home`, a package's in the order of their names."""
        found: list[str] = []
        for name in self.home:
            path = getattr(importlib.import_module(name), "__path__", None)
            inside = (one.name for one in pkgutil.iter_modules(path or ()) if one.name != "__main__")
            found += [name] if path is None else [f"{name}.{one}" for one in inside]
        return found

    # Registering

    def register(self, name: str) -> Callable[[K], K]:
        """Names a part: a decorator above its class or function.

        TypeError or ValueError for a name that is none (suites, tables and files are to have it), that another part
        has, or for what is no part of this kind.
        """
        self._check(name)

        def keep(part: K) -> K:
            self.add(name, part, part)
            return part

        return keep

    def add(self, name: str, part: Any, defined: Any) -> None:
        """Names a part that was made of the class or function `defined`, as decorators with more to say do."""
        self._check(name)
        if not self.accepts(part):
            raise TypeError(f"'{name}' must be {self.wanted}, not {part!r}")
        entry = Entry(part, *origin(defined))
        if not self._is_own(entry.module):
            self._import_home()  # so that no part of ours is taken for the second of its name
        previous = self._entries.get(name)
        if previous and previous[1:] != entry[1:]:
            raise ValueError(f"The {self.kind} '{name}' is registered already, by {previous.module}: take another name")
        self._entries[name] = entry
        if self._is_own(entry.module):
            self._own[name] = entry

    def put(self, name: str, part: T) -> None:
        """Gives the part the name, whatever had it: inside `unchanged`, for what is to be forgotten again."""
        self._import_home()
        self._entries[name] = Entry(part, *origin(part))

    def drop(self, name: str) -> None:
        """Forgets the part of this name: for tests, inside `unchanged`."""
        self._entry(name)
        del self._entries[name]

    @property
    def state(self) -> State:
        """What has registered so far, to be put back by assignment: home's later parts stay, as it is imported once."""
        return State(dict(self._entries), frozenset(self._own))

    @state.setter
    def state(self, before: State) -> None:
        later = {name: one for name, one in self._own.items() if name not in before.own}
        self._entries = later | dict(before.entries)

    # Its own

    def _entry(self, name: str) -> Entry[T]:
        self._import_home()
        if name not in self._entries:
            raise UnknownName(unknown_name(self.kind, name, self._entries))
        return self._entries[name]

    def _check(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{self._one}'s name is a text, not {name!r}: write {self.decorator} above its definition")
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no {self.kind}'s name: it has 1 to 80 letters, digits or any of -_+.")

    @property
    def _one(self) -> str:
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"

    def _is_own(self, module: str) -> bool:
        return any(module == one or module.startswith(f"{one}.") for one in self.home)

    def _place(self, name: str) -> tuple[int, str]:
        """What names are sorted by. Those of one module, in order, stay as they registered."""
        if not self.in_order:
            return 0, name
        module, known = self._entries[name].module, self._modules
        return (known.index(module) if module in known else len(known)), ""

    def _import_home(self) -> None:
        """Once a process: looking for files takes longer than all else that a suite's expansion does."""
        if self._ready:
            return
        self._ready = True  # also for what home itself reads while it is imported
        try:
            self._modules = self.modules()
            for module in self._modules:
                importlib.import_module(module)
        except BaseException:
            self._ready = False
            raise


def origin(defined: Any) -> tuple[str, str]:
    """The module of a class or function and its name there; of a partial function, those of the whole one."""
    while isinstance(defined, partial):
        defined = defined.func
    named = defined if hasattr(defined, "__qualname__") else type(defined)
    return named.__module__, named.__qualname__


def subclass_of(kind: type) -> Callable[[Any], bool]:
    """Is it a class of this kind? What a registry of classes accepts."""
    return lambda part: isinstance(part, type) and issubclass(part, kind)


@contextmanager
def unchanged() -> Iterator[None]:
    """What registers within, of any kind, is forgotten afterwards, but for the project's own parts."""
    before = states()
    try:
        yield
    finally:
        put_back(before)


def states() -> dict[str, State]:
    """What every registry has now, by kind."""
    return {one.kind: one.state for one in REGISTRIES}


def put_back(before: Mapping[str, State]) -> None:
    """All registries as they were; one that was made since keeps its home's parts alone."""
    for one in REGISTRIES:
        one.state = before.get(one.kind, State())


def is_prior(part: Any) -> bool:
    """Is it a class of priors?"""
    from priors.base import Prior  # with torch, which takes seconds: none is needed until a prior registers

    return subclass_of(Prior)(part)


PRIORS: Registry[type[Prior]] = Registry(
    "prior", ("priors",), is_prior, "a subclass of priors.Prior", '@register("name")'
)
register = PRIORS.register


def make(name: str, host: Host, **settings: Any) -> Prior:
    """Builds the prior `name` for `host`; ValueError for a setting that it does not have."""
    prior = PRIORS[name]
    known = settings_of(prior)
    for key in settings:
        if key not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"Prior '{name}' has no setting '{key}'. {near(key, known)}It has: {names}.")
    return prior(host, **settings)


def settings_of(kind: type) -> dict[str, inspect.Parameter]:
    """The keyword settings of the constructor of a prior or a regulariser, with annotations evaluated."""
    parameters = list(inspect.signature(kind, eval_str=True).parameters.values())[1:]  # after the host
    return {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
