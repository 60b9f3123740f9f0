"""Strict validation against Argo's own full CRDs: a field that Argo does not know is an error, not a shrug.

Argo's schemas leave objects open, so a plain validation lets a misspelt field pass; here every object that lists its
properties admits no other. The CRDs are not part of this repository: they are looked for beside Argo's binaries
($LEICOS_ARGO_BIN, else ~/.cache/leicos/argo), and the one that validates must say so when they are missing.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from leicos_jobs.core.errors import InputError

KINDS = {"WorkflowTemplate": "workflowtemplates", "Workflow": "workflows"}
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def crds() -> Path | None:
    """The folder of Argo's full CRDs, or None where there is none."""
    cache_directory = Path(os.environ.get("LEICOS_CACHE_DIR", "~/.cache/leicos")).expanduser()
    binaries = Path(os.environ.get("LEICOS_ARGO_BIN", cache_directory / "argo")).expanduser()
    directory = binaries / "crds" / "full"
    return directory if (directory / "argoproj.io_workflowtemplates.yaml").is_file() else None


def violations(manifest: dict[str, Any], directory: Path) -> list[str]:
    """Every way in which a manifest breaks its schema, one line each, naming the path of the field."""
    kind = str(manifest.get("kind"))
    if kind not in KINDS:
        raise InputError(f"kind {kind!r} has no schema here", fix=f"use one of {', '.join(KINDS)}")
    schema = load(directory / f"argoproj.io_{KINDS[kind]}.yaml")
    name = manifest.get("metadata", {}).get("name", kind)
    # metadata is Kubernetes' own type: the CRD says only that it is an object.
    return [
        f"{name}: {line}"
        for key in schema["properties"]
        if key != "metadata"
        for line in walk(manifest.get(key, {} if key == "spec" else None), schema["properties"][key], key)
    ]


@cache
def load(path: Path) -> dict[str, Any]:
    """The schema of a CRD's stored version. Parsing its three megabytes takes a second or two, so it is kept."""
    with path.open() as stream:
        definition = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Compare a value with its schema."""
    if value is None:
        return
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield f"{path}: {value!r} is neither a number nor text"
        return
    kind = schema.get("type")
    if kind in TYPES and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{path}: {value!r} is not of type {kind}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not one of {schema['enum']}"
    elif isinstance(value, dict):
        yield from walk_object(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, schema.get("items", {}), f"{path}[{index}]")


def walk_object(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    """Compare a mapping: required fields are there, no field is unknown."""
    known: dict[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}.{name}: is required"
    for name, item in value.items():
        if name in known:
            yield from walk(item, known[name], f"{path}.{name}")
        elif isinstance(others, dict):
            yield from walk(item, others, f"{path}.{name}")
        elif known and not schema.get("x-kubernetes-preserve-unknown-fields"):
            near = difflib.get_close_matches(name, known, 1)
            yield f"{path}.{name}: Argo has no such field" + (f"; did you mean {near[0]}?" if near else "")
