"""Tables row by row."""

from __future__ import annotations

from typing import Any

import pandas as pd

NO_MODEL = "none"
"""Stands for the prior and the model in rows of real images, which are in a model's place."""

Row = dict[str, Any]


def records(frame: pd.DataFrame) -> list[Row]:
    """The rows of a table, each by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
