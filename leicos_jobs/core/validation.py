"""JSON that was written down earlier, and what is wrong with it, for people."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import printable

Model = TypeVar("Model", bound=BaseModel)
MADE_AGAIN = "remove it, and it will be made again"


def parsed(model: type[Model], data: bytes, where: str, fix: str = MADE_AGAIN) -> Model:
    """JSON text as a model. Raises InputError that names `where` if it was cut, edited, or is of another version."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"{where} is damaged, or of another version:\n{describe_errors(error)}", fix=fix) from None


def parsed_json(data: bytes, where: str, fix: str = MADE_AGAIN) -> Any:
    """JSON text as plain values. Raises InputError that says where it stands."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is damaged: {error}", fix=fix) from None


def describe_errors(error: ValidationError) -> str:
    """One line per validation error: field, what is wrong, what was given."""
    lines = []
    for item in error.errors(include_url=False):
        field = printable(".".join(str(part) for part in item["loc"])) or "(whole file)"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown field"
        given = "" if item["type"] in ("missing", "extra_forbidden") else f" (given: {_given(item['input'])})"
        lines.append(f"  {field}: {message}{given}")
    return "\n".join(lines)


def _given(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # Python writes no number of more than 4300 digits
        return f"a {type(value).__name__}"
