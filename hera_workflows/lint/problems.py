"""A finding of the lint, and how templates are walked through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do about it."""

    where: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} (fix: {self.fix})"


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


def parameters_of(holder: dict[str, Any] | None, kind: str) -> list[dict[str, Any]]:
    """The parameters under inputs, outputs or arguments."""
    found: list[dict[str, Any]] = ((holder or {}).get(kind) or {}).get("parameters", [])
    return found
