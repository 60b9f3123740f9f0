"""References: what `leicos run` refuses before it starts, in every template; and what a fan-out must keep small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hera_workflows.lint.names import templates
from leicos_jobs.core.errors import InputError
from leicos_jobs.local import depends
from leicos_jobs.local.checks import ENDED, RUNNING, Checks, Found, Problem
from leicos_jobs.local.manifest import parse
from leicos_jobs.local.model import Task, Template, Workflow

KNOWN = RUNNING | ENDED | {"workflow.uid"}
ITEM_MAX = 32


def check(manifests: list[dict[str, Any]]) -> list[Problem]:
    """Problems with references. A template is checked once for every workflow from which it can be reached; one that
    only other workflows use, also in its own."""
    try:
        workflows = parse(manifests, strict=False)
    except InputError as error:
        return [Problem("the manifests", error.message, error.fix or "correct them")]
    strings = {where: list(_strings({**template, "dag": None})) for where, template in templates(manifests)}
    found: dict[Problem, None] = {}
    for workflow in workflows.values():
        reached: Found = {}
        checks = Checks(workflows, workflow, KNOWN, lambda one: strings[f"{one.home}.templates.{one.name}"])
        found.update(dict.fromkeys(checks.problems(reached)))
        for name in workflow.templates:
            found.update(dict.fromkeys(checks.walk((workflow.name, name), workflow.name, reached)))
        for template in workflow.templates.values():
            found.update(dict.fromkeys(_fan_outs(workflows, template)))
    return list(found)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _fan_outs(workflows: dict[str, Workflow], template: Template) -> Iterator[Problem]:
    """An empty fan-out is thought of, and what is fanned out keeps the Workflow object small: no outputs, short items
    (each stands in its node's name)."""
    for task in template.tasks:
        where = f"{template.home}.templates.{template.name}.{task.name}"
        for parent in depends.parents(task.depends):
            statuses = {match[2] for match in depends.TERM.finditer(task.depends) if match[1] == parent}
            looped = parent in template.by_name and template.by_name[parent].loops
            if looped and not statuses & {None, "Skipped"}:
                message = f"depends on {parent}, which is Skipped when its list is empty"
                yield Problem(where, message, f"add || {parent}.Skipped")
        for name in sorted(_giving(workflows, task)) if task.loops else ():
            yield Problem(where, f"fans out {name}, which has outputs", "write to the store instead")
        for item in task.with_items or ():
            if len(str(item)) > ITEM_MAX:
                yield Problem(where, f"has an item of {len(str(item))} characters", "use small integers as items")


def _giving(workflows: dict[str, Workflow], task: Task) -> set[str]:
    """Templates with outputs among those that a task leads to."""
    reached: Found = {}
    for _ in Checks(workflows, workflows[task.target[0]]).walk(task.target, "", reached):
        pass
    return {template.name for template in reached.values() if template.outputs.parameters}
