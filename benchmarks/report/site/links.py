"""What the pages are called: one address for each thing, the same in every build, safe for any file system."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from benchmarks.common.names import slug

SUBMISSIONS = "submissions.html"
"""The file of the page of claims."""


def file_name(*parts: str) -> str:
    """Names as a part of a file's name; what cannot stand there as it is, or differs in case alone, has a hash.

    >>> file_name("digits", "bac9c8c6"), file_name("../A b")
    ('digits-bac9c8c6', '.._a_b-e67df34c')
    """
    plain = slug("-".join(parts)).lower()
    if (len(parts) == 1 and plain == parts[0]) or all(part.isalnum() and part == part.lower() for part in parts):
        return plain
    return f"{plain}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"


def board(dataset: str, protocol: str) -> str:
    """The file of a leaderboard."""
    return f"boards/{file_name(dataset, protocol)}.html"


def prior(name: str) -> str:
    """The file of a prior's page."""
    return f"priors/{file_name(name)}.html"


def suite(name: str) -> str:
    """The file of a suite's page."""
    return f"suites/{file_name(name)}.html"


def table(name: str) -> str:
    """The file of a table."""
    return f"tables/{file_name(name)}.csv"


def picture(of: str, file: str) -> str:
    """The file of a table's figure."""
    return f"figures/{file_name(of)}/{file_name(file)}.png"


def href(path: str, root: str) -> str:
    """The address of a file of the site, from a page whose way to the site's folder is `root`."""
    return root + quote(path)
