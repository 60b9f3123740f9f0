"""Objects that hold JSON, as models or plain values: whoever finds one damaged says which, and what to do."""

from __future__ import annotations

from typing import Any

from leicos_jobs.core.validation import MADE_AGAIN, Model, parsed, parsed_json
from leicos_jobs.store.base import Store


def read_model(store: Store, key: str, model: type[Model], fix: str = MADE_AGAIN) -> Model:
    """An object as a model. Raises KeyMissingError, or InputError with `fix` if it is damaged."""
    return parsed(model, store.read(key), f"{store.uri}/{key}", fix)


def read_models(store: Store, key: str, model: type[Model], fix: str = MADE_AGAIN) -> list[Model]:
    """An object's JSON lines as models; errors as `read_model`, and they name the line."""
    lines = enumerate(store.read(key).splitlines(), start=1)
    return [parsed(model, line, f"{store.uri}/{key}:{number}", fix) for number, line in lines if line.strip()]


def read_json(store: Store, key: str, fix: str = MADE_AGAIN) -> Any:
    """An object as plain values; errors as `read_model`."""
    return parsed_json(store.read(key), f"{store.uri}/{key}", fix)
