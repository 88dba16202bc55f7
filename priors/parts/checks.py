"""Settings out of range, refused in one sentence that names the prior, the setting, its value and what is allowed."""

from __future__ import annotations


def at_least(prior: str, least: float, **settings: float) -> None:
    """ValueError unless every setting is `least` or more.

    >>> at_least("mine", 1, components=0)
    Traceback (most recent call last):
    ValueError: mine needs components >= 1, not 0
    """
    for name, value in settings.items():
        if value < least:
            raise ValueError(f"{prior} needs {name} >= {least}, not {value}")


def above(prior: str, bound: float, **settings: float) -> None:
    """ValueError unless every setting is more than `bound`."""
    for name, value in settings.items():
        if value <= bound:
            raise ValueError(f"{prior} needs {name} > {bound}, not {value}")


def layered(prior: str, **sizes: tuple[int, ...]) -> None:
    """ValueError unless every setting gives the sizes of one layer or more, each of them 1 or more."""
    for name, value in sizes.items():
        if not value or min(value) < 1:
            raise ValueError(f"{prior} needs {name} of one layer or more, each >= 1, not {value}")
