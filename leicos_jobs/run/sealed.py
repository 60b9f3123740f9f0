"""JSON objects of a run that carry a digest of their own content: what was cut, edited or exchanged is noticed."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from leicos_jobs.core.digests import SEAL, is_sealed, sealed
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import describe_errors

Model = TypeVar("Model", bound=BaseModel)


class DamageError(InputError):
    """An object of a run is not what was written. `key` names it."""

    code = "damaged"

    def __init__(self, key: str, uri: str, what: str) -> None:
        super().__init__(
            f"{uri}/{key} is damaged: {what}", fix=f"run `leicos check {uri} --repair`, then start the run again"
        )
        self.key = key


def dump(model: BaseModel) -> bytes:
    """A model as one line of JSON with its seal."""
    return json.dumps(sealed(json.loads(model.model_dump_json(exclude_none=True)))).encode()


def load(model: type[Model], data: bytes, key: str, uri: str) -> Model:
    """The model that `dump` wrote. Raises DamageError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise DamageError(key, uri, "it is not JSON") from None
    if not isinstance(content, dict) or not is_sealed(content):
        raise DamageError(key, uri, "it does not match its own digest")
    try:
        return model.model_validate({name: value for name, value in content.items() if name != SEAL})
    except ValidationError as error:
        raise DamageError(key, uri, "it is of another version:\n" + describe_errors(error)) from None
