"""`depends`: the tasks exist, the status words are Argo's, and a fan-out over an empty list is thought of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hera_workflows.lint.problems import Problem, names_of

STATUSES = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
OF_ITEMS = ("AnySucceeded", "AllFailed")
TERM = re.compile(r"([A-Za-z0-9][-A-Za-z0-9]*)(?:\.([A-Za-z]+))?")


def terms(task: dict[str, Any]) -> list[tuple[str, str]]:
    """The (task, status) pairs of a `depends`; the status is empty where only the task is named."""
    return [(match.group(1), match.group(2) or "") for match in TERM.finditer(task.get("depends", ""))]


def ancestors(name: str, tasks: list[dict[str, Any]]) -> set[str]:
    """Every task that a task waits for, directly or not. Only their outputs can be referred to."""
    by_name = {task["name"]: task for task in tasks}
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for parent, _ in terms(by_name.get(ahead.pop(), {})):
            if parent not in found:
                found.add(parent)
                ahead.append(parent)
    return found


def check(where: str, task: dict[str, Any], tasks: list[dict[str, Any]]) -> Iterator[Problem]:
    """Problems with the `depends` of one task."""
    by_name = {other["name"]: other for other in tasks}
    named: dict[str, set[str]] = {}
    for parent, status in terms(task):
        named.setdefault(parent, set()).add(status)
    for parent, statuses in named.items():
        if parent not in by_name:
            yield Problem(where, f"depends on {parent}, which is not a task here", f"use one of {names_of(tasks)}")
            continue
        looped = any(field in by_name[parent] for field in ("withParam", "withItems", "withSequence"))
        for status in sorted(statuses - {""}):
            if status not in STATUSES:
                yield Problem(where, f"depends on {parent}.{status}", f"use one of {', '.join(STATUSES)}")
            elif status in OF_ITEMS and not looped:
                yield Problem(where, f"depends on {parent}.{status}, but {parent} has no items", "use another status")
        if looped and not statuses & {"", "Skipped"}:
            yield Problem(
                where,
                f"depends on {parent}, which is Skipped when its list is empty",
                f"add || {parent}.Skipped",
            )
    if task["name"] in ancestors(task["name"], tasks):
        yield Problem(where, "waits for itself", "break the circle")
