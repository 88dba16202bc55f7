"""The settings of a prior's or a regulariser's constructor, validated against its annotations."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from pydantic_core import PydanticSerializationError

from benchmarks.common.errors import UsageError
from benchmarks.common.settings import validated
from priors.registry import settings_of
from priors.wording import in_one_line


def constructor_settings(kind: type, given: dict[str, Any], where: str) -> dict[str, Any]:
    """The keyword settings of a constructor, validated against its annotations, with the defaults filled in."""
    schema = schema_of(kind, where)
    found = validated(schema, given, where)
    try:
        return found.model_dump(mode="json", warnings="error")  # a default need not be of its annotation
    except (PydanticSerializationError, ValueError) as error:
        raise UsageError(_not_understood(kind, where, error)) from None


@cache
def schema_of(kind: type, where: str) -> type[BaseModel]:
    """The settings of a constructor as a schema, made once: making one takes longer than a hundred validations.

    UsageError for a constructor that cannot be read, which may be anyone's.
    """
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    try:
        parameters = settings_of(kind)
        check_parameters(parameters, where)
        fields: dict[str, Any] = {key: (p.annotation, p.default) for key, p in parameters.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that pydantic has a use for, which do no harm here
            return create_model(where, __config__=config, **fields)
    except UsageError:
        raise
    except Exception as error:  # evaluating an annotation may raise anything
        raise UsageError(_not_understood(kind, where, error)) from None


def check_parameters(parameters: Mapping[str, inspect.Parameter], where: str) -> None:
    """Raises UsageError for a setting that no suite could give, with what to write in its place."""
    for key, one in parameters.items():
        if one.annotation is one.empty:
            kind = "int" if one.default in (one.empty, None) else type(one.default).__name__
            raise UsageError(
                f"{where}: the constructor's setting '{key}' has no annotation: write, say, {key}: {kind}."
            )
        if one.default is one.empty:
            raise UsageError(
                f"{where}: the constructor's setting '{key}' has no default: write, say, "
                f"{key}: {inspect.formatannotation(one.annotation)} = ... with a value."
            )


def _not_understood(kind: type, where: str, error: Exception) -> str:
    return (
        f"{where}: the settings of the constructor of {kind.__qualname__} cannot be understood "
        f"({in_one_line(error)}): annotate each by int, float, bool, str, Literal[...], tuple[int, ...] or "
        "X | None, with such a default."
    )
