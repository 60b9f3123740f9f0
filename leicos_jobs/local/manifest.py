"""From rendered manifests to `model`; every field that does not fit is named with its path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from leicos_jobs.core.errors import InputError
from leicos_jobs.local.model import LENIENT, Workflow


def parse(manifests: Sequence[Mapping[str, Any]], *, strict: bool = True) -> dict[str, Workflow]:
    """Read manifests that refer to each other; the result is by name. strict: a field that is not implemented is an
    error, too. Raises InputError that names each wrong field."""
    found: dict[str, Workflow] = {}
    for index, manifest in enumerate(manifests):
        try:
            workflow = Workflow.model_validate(manifest, context=None if strict else LENIENT)
        except ValidationError as error:
            lines = [f"{_path(manifest, index, item['loc'])}: {_said(item)}" for item in error.errors()]
            fix = "correct these fields, or run the workflow on a cluster: leicos run implements a part of Argo"
            raise InputError("\n".join(lines), fix=fix) from None
        if not workflow.name or workflow.name in found:
            what = f"a second manifest is named {workflow.name}" if workflow.name else "is required"
            raise InputError(f"manifest {index}.metadata.name: {what}", fix="give each manifest its own name")
        found[workflow.name] = workflow
    return found


def _said(item: ErrorDetails) -> str:
    unknown = item["type"] == "extra_forbidden"
    return "leicos run does not implement this field" if unknown else item["msg"].removeprefix("Value error, ")


def _path(manifest: Any, index: int, place: tuple[int | str, ...]) -> str:
    """Where a field stands: names instead of the indices of lists, and the manifest's own before its spec."""

    def name(value: Any, otherwise: int | str) -> str:
        return str((isinstance(value, dict) and value.get("name")) or otherwise)

    path = [name(manifest.get("metadata") if place[:1] == ("spec",) else None, f"manifest {index}")]
    at: Any = manifest
    for part in place:
        at = at[part] if isinstance(part, int) else at.get(part) if isinstance(at, dict) else None
        path.append(name(at, part) if isinstance(part, int) else part)
    return ".".join(path)
