"""Tiny workflows for tests, built in Python where a file of their own would say less."""

from __future__ import annotations

import copy
from typing import Any


def container(name: str, script: str, **fields: Any) -> dict[str, Any]:
    """A template that runs a shell script."""
    return {"name": name, "container": {"image": "any", "command": ["sh", "-c"], "args": [script]}, **fields}


def dag(name: str, *tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A DAG template."""
    return {"name": name, "dag": {"tasks": list(tasks)}, **fields}


def task(name: str, template: str, **fields: Any) -> dict[str, Any]:
    """A task; `arguments` may be a plain mapping."""
    arguments = fields.pop("arguments", None)
    if arguments is not None:
        fields["arguments"] = {"parameters": [{"name": key, "value": value} for key, value in arguments.items()]}
    return {"name": name, "template": template, **fields}


def workflow(*templates: dict[str, Any], name: str = "small", kind: str = "Workflow", **spec: Any) -> dict[str, Any]:
    """A manifest whose entrypoint is its first template."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"entrypoint": templates[0]["name"], **spec, "templates": list(templates)},
    }


def changed(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one field set; the path has dots, numbers are indices."""
    found = copy.deepcopy(manifest)
    at: Any = found
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        at = at[part] if isinstance(part, int) else at.setdefault(part, {})
    at[last] = value
    return found
