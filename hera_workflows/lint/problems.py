"""How the templates of manifests are walked through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def templates(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every template with the place where it stands, e.g. ("leicos-prepare.templates.plan", {...})."""
    for manifest in manifests:
        for template in manifest["spec"].get("templates", []):
            yield f"{manifest['metadata']['name']}.templates.{template.get('name', '?')}", template


def tasks_of(template: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks of a DAG template; none for a container."""
    tasks: list[dict[str, Any]] = template.get("dag", {}).get("tasks", [])
    return tasks


def names_of(items: list[dict[str, Any]] | None) -> list[str]:
    """The names of parameters, tasks or templates."""
    return [str(item.get("name", "")) for item in items or []]
