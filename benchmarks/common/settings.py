"""Frozen and strict settings, whose mistakes are told in one sentence."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from benchmarks.common.errors import UsageError, cut, unknown


class Settings(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def no_truth(cls, value: Any) -> Any:
        """No setting here is true or false, and pydantic takes these for 1 and 0."""
        if isinstance(value, bool) or (isinstance(value, list) and any(isinstance(one, bool) for one in value)):
            raise ValueError("it is not to be true or false")
        return value


def validated(schema: type[BaseModel], content: Any, where: str) -> Any:
    """The content as `schema`, or UsageError in one sentence that names the key, with the near one."""
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise UsageError(explain(error.errors()[0], schema, where)) from None


def explain(error: Any, schema: type[BaseModel], where: str) -> str:
    """A sentence from pydantic's first complaint."""
    *path, last = error["loc"] or ("",)
    place = ".".join(map(str, (where, *path))).strip(".")
    if error["type"] == "extra_forbidden":
        return f"{place}: {unknown('key', str(last), _keys(schema, path))}"
    if error["type"] == "missing":
        return f"{place}: the key '{last}' is missing"
    if error["type"] == "tuple_type":
        return f"{where}: {last} = {cut(repr(error['input']))} is not valid: it is a list, as {last} = [...]"
    message = " ".join(str(error.get("ctx", {}).get("error") or error["msg"]).split())
    key = ".".join(cut(str(part)) for part in (*path, last) if part != "[key]")
    return f"{where}: {key} = {cut(repr(error['input']))} is not valid: {message}" if key else f"{where}: {message}"


def _keys(schema: type[BaseModel], path: list[str | int]) -> list[str]:
    """Field names of the model at `path` inside `schema`."""
    for part in path:
        field = schema.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        schema = field.annotation
    return list(schema.model_fields)


def digest(content: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of the content as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
