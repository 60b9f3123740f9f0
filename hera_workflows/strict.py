"""A guard against Hera's silence: its generated models drop a field that they do not know.

`models.RetryStrategy(limitt="3")` is accepted and renders nothing, and so does a field that is newer than Hera's
models. Every generated model in this package is therefore built through `exactly`. (Hera's own wrappers, such as
`Container`, are dataclasses and refuse unknown names themselves; unknown task arguments are caught by `lint`.)
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from leicos_jobs.core.errors import DefectError

Model = TypeVar("Model", bound=BaseModel)


def exactly(model: type[Model], **fields: Any) -> Model:
    """Build a generated Hera model, refusing every field name that it would ignore."""
    unknown = sorted(set(fields) - set(model.model_fields))
    if unknown:
        raise DefectError(
            f"Hera's {model.__name__} has no field {', '.join(unknown)}; it would be dropped silently",
            fix=f"use one of: {', '.join(sorted(model.model_fields))}",
        )
    return model(**fields)
