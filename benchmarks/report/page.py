"""The page's text: the template filled in, with its style and its script inside and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent


def render(**content: Any) -> str:
    """The page as one text: all that is shown is escaped, and a browser runs this script alone and fetches nothing."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    own = {"style": Markup(style), "script": Markup(script), "policy": policy(style, script)}
    return environment.get_template("page.html.j2").render(**content, **own)


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy: pictures that are in the page, this style and this script, and no more."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src {source(style)}; script-src {source(script)}"
    )


def source(text: str) -> str:
    """An inline element's content as a policy names it, by its SHA-256."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
