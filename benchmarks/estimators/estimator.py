"""What a number was computed by, as a type that prints itself and that one parser reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

Certainty = Literal["exact", "estimate", "bound", "unreliable"]
"""Of the prior's density that takes part in an estimator: 'unreliable' is an estimate that fails its diagnostics."""

CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)

SHARE = "shared"
"""Variant of a run's costs that are its share of those of several, which were trained together."""

BASE = re.compile(r"(?P<kind>[^=<>]*?\w)(?P<at>[=<>].*)?(?:(?<=\w)-(?P<draws>\d+(?:x\d+)*)(?:-(?P<of>[a-z][a-z-]*))?)?")


@dataclass(frozen=True)
class Estimator:
    """How an estimate was computed, printed as KIND[AT][-DRAWS[-OF]][+CERTAINTY][+VARIANT]. Unlike ones are never
    ranked together.

    kind: the way ('exact', 'elbo', 'is' for importance sampling). at: a threshold, as '=-30' of 'tau=-30'.
    draws: the numbers that it takes, of draws, of images, of temperatures and chains.
    of: what it is the estimate of, where not of the model ('floor', 'test', 'simulated'). certainty: of the prior's
    density where that takes part. variant: a convention or a selection ('z-hat', 'leaking-only').

    >>> str(Estimator("is", draws=(5000,), certainty="estimate"))
    'is-5000+estimate'
    >>> Estimator.parse("ais-500x8-simulated").draws, Estimator.parse("tau=-30+bound+leaking-only").variant
    ((500, 8), 'leaking-only')
    """

    kind: str
    at: str = ""
    draws: tuple[int, ...] = ()
    of: str = ""
    certainty: Certainty = "exact"
    variant: str = ""

    def __str__(self) -> str:
        numbers = "x".join(map(str, self.draws))
        base = "-".join(filter(None, (self.kind + self.at, numbers, self.of)))
        certainty = "" if self.certainty == "exact" else self.certainty
        return "+".join(filter(None, (base, certainty, self.variant)))

    @classmethod
    @lru_cache(1000)
    def parse(cls, text: str) -> Estimator:
        """The estimator that prints as `text`; one of somebody else's that follows no rule is a kind of its own."""
        base, *words = text.split("+")
        certainty: Certainty = "exact"
        for one in CERTAINTIES:
            if words[:1] == [one]:
                certainty, words = one, words[1:]
        found = BASE.fullmatch(base)
        if not found:
            return cls(base, certainty=certainty, variant="+".join(words))
        draws = tuple(map(int, found["draws"].split("x"))) if found["draws"] else ()
        return cls(found["kind"], found["at"] or "", draws, found["of"] or "", certainty, "+".join(words))

    @property
    def base(self) -> Estimator:
        """The same without what the prior's density makes of it."""
        return replace(self, certainty="exact")

    @property
    def reliable(self) -> bool:
        """May estimates by it be held against others?"""
        return self.certainty != "unreliable"
