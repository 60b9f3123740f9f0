"""Names: unique, of a form that Kubernetes takes, and short enough to become labels and pod names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from leicos_jobs.local.checks import Problem

LIMIT = 63
SUFFIX = 6
"""`argo submit --from` adds a dash and five letters to the WorkflowTemplate's name."""
FORM = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def check(manifests: list[dict[str, Any]]) -> list[Problem]:
    """Problems with the names of WorkflowTemplates, templates and tasks."""
    workflow_names = names_of([manifest["metadata"] for manifest in manifests])
    found = [*repeated("the manifests", workflow_names)]
    for name in workflow_names:
        found += formed(name, name, LIMIT - SUFFIX)
    for manifest in manifests:
        own = names_of(manifest["spec"].get("templates"))
        found += repeated(f"{manifest['metadata']['name']}.templates", own)
    for where, template in templates(manifests):
        found += formed(where, str(template.get("name", "")), LIMIT)
        own = names_of(tasks_of(template))
        found += repeated(f"{where}.dag.tasks", own)
        for name in own:
            found += formed(f"{where}.dag.tasks.{name}", name, LIMIT)
    return found


def repeated(where: str, names: list[str]) -> list[Problem]:
    """Names that occur twice."""
    return [
        Problem(where, f"the name {name} occurs {count} times", "give each its own name")
        for name, count in Counter(names).items()
        if count > 1
    ]


def formed(where: str, name: str, limit: int) -> list[Problem]:
    """Too long, or not a DNS label."""
    if len(name) > limit:
        return [Problem(where, f"the name has {len(name)} characters, more than {limit}", "shorten it")]
    if not FORM.fullmatch(name):
        return [Problem(where, f"{name!r} is not a DNS label", "use lower-case letters, digits and dashes")]
    return []


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
