"""Fields that Argo does not know, and values of the wrong type: its server drops the ones and refuses the others.

Hera's generated models drop what they do not know, so what a round trip through them loses is unknown. Where Argo's
full CRDs are at hand (`hera_workflows.schema`) they have a say as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from hera_workflows import schema
from leicos_jobs.core.errors import InputError
from leicos_jobs.local.checks import Problem

FIX = "correct the field's name or value (https://argo-workflows.readthedocs.io/en/latest/fields/)"


def check(manifest: dict[str, Any]) -> list[Problem]:
    """Problems of one Workflow or WorkflowTemplate. Raises InputError for another kind, and where Hera is lacking."""
    kind, metadata = str(manifest.get("kind")), manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if kind not in schema.KINDS or not isinstance(name, str):
        raise InputError(
            f"a manifest is of kind {kind!r} and named {name!r}", fix=f"give {' or '.join(schema.KINDS)}, with names"
        )
    try:
        read = _model(kind).model_validate(with_quantities(manifest))
    except ValidationError as error:
        return [
            Problem(name, f"{'.'.join(map(str, item['loc']))}: {item['msg']}", FIX)
            for item in error.errors(include_url=False)
        ]
    known = read.model_dump(mode="json", by_alias=True, exclude_none=True)
    if unknown := [f"{path.lstrip('.')}: unknown field" for path in lost(manifest, known)]:
        return [Problem(name, line, FIX) for line in unknown]
    directory = schema.crds()
    lines = schema.violations(manifest, directory) if directory is not None else []
    return [Problem(name, line.removeprefix(f"{name}: "), FIX) for line in lines]


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths of what is in the first value and not in the second; null is nothing."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}"
    elif isinstance(before, list) and isinstance(after, list):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{path}.{index}")


def with_quantities(value: Any, key: str = "") -> Any:
    """The manifest with Kubernetes' quantities as text: `nvidia.com/gpu: 1` is right, and Hera's models refuse it."""
    if isinstance(value, dict):
        numbers = key in ("limits", "requests")
        return {
            name: str(item) if numbers and isinstance(item, int | float) else with_quantities(item, name)
            for name, item in value.items()
        }
    return [with_quantities(item) for item in value] if isinstance(value, list) else value


def _model(kind: str) -> type[BaseModel]:
    try:
        from hera.workflows import models
    except ImportError:
        raise InputError(
            "the fields of manifests cannot be checked without Hera", fix="pip install 'leicos[workflows]'"
        ) from None
    found: type[BaseModel] = getattr(models, kind)
    return found
