"""The page's text: the template filled in, with its style and its script inside and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent


def render(**content: Any) -> str:
    """A suite's page as one text, which needs nothing beside it."""
    return filled("page.html.j2", ("page.css",), ("page.js",), "data:", **content)


def filled(template: str, styles: Sequence[str], scripts: Sequence[str], allowed: str, /, **content: Any) -> str:
    """A template as one text: all that is shown is escaped, and a browser runs these scripts alone and fetches nothing
    but pictures, from where `allowed` says by the words of a policy."""
    style, script = ("".join(map(source_of, names)) for names in (styles, scripts))
    own = {"style": Markup(style), "script": Markup(script), "policy": policy(style, script, allowed)}
    return environment().get_template(template).render(**content, **own)


@lru_cache
def environment() -> Environment:
    """The templates, in which a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache
def source_of(name: str) -> str:
    """A file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def policy(style: str, script: str, pictures: str = "data:") -> str:
    """The Content-Security-Policy: pictures from there, this style and this script, and no more."""
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src {pictures}; "
        f"style-src {source(style)}; script-src {source(script)}"
    )


def source(text: str) -> str:
    """An inline element's content as a policy names it, by its SHA-256."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
