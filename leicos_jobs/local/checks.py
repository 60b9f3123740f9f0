"""Checks before anything starts: every template, argument and reference of a workflow is there, with the forms we know.

Argo leaves an unknown reference in the text and runs the pod; here it is an error, because what a pod would do with it
is never what was meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from leicos_jobs.core.errors import InputError
from leicos_jobs.local import depends
from leicos_jobs.local.expressions import truth
from leicos_jobs.local.model import Task, Template, Workflow
from leicos_jobs.local.substitution import references

LAST_RETRY = {
    "retries": "0",
    "lastRetry.exitCode": "75",
    "lastRetry.status": "Failed",
    "lastRetry.duration": "1",
    "lastRetry.message": "",
}
"""An attempt to try retry expressions on: a wrong one shall not show after hours."""


def reachable(workflows: dict[str, Workflow], entry: Workflow) -> dict[tuple[str, str], Template]:
    """All templates that a workflow can run, each checked. The keys are (manifest, template)."""
    spec = entry.spec
    if spec.entrypoint is None:
        raise InputError(f"{entry.name}.spec.entrypoint: is required", fix="name the template to start with")
    parameters = {f"workflow.parameters.{name}" for name in entry.parameters}
    known = frozenset({"workflow.name", "workflow.namespace", *parameters})
    found = walk(workflows, entry, spec.entrypoint, "entrypoint", known)
    if spec.on_exit is not None:
        found |= walk(workflows, entry, spec.on_exit, "onExit", known | {"workflow.status", "workflow.failures"})
    return found


def walk(
    workflows: dict[str, Workflow], entry: Workflow, start: str, field: str, known: frozenset[str]
) -> dict[tuple[str, str], Template]:
    """The templates that one template leads to. `known`: what all of them can refer to."""
    found: dict[tuple[str, str], Template] = {}
    first = resolve(workflows, entry.name, start, f"{entry.name}.spec.{field}")
    for parameter in first.inputs.parameters:
        if parameter.default is None and parameter.name not in entry.parameters:
            raise InputError(f"{entry.name}.{start}.inputs.{parameter.name}: has no value", fix="add the parameter")
    ahead = [first]
    while ahead:
        template = ahead.pop()
        if (template.home, template.name) in found:
            continue
        found[template.home, template.name] = template
        check_template(template, known, workflows)
        where = f"{template.home}.{template.name}"
        ahead += [resolve(workflows, *task.target, f"{where}.{task.name}") for task in template.tasks]
    return found


def resolve(workflows: dict[str, Workflow], home: str, name: str, caller: str) -> Template:
    """The template that a task names."""
    if home not in workflows:
        raise InputError(f"{caller}: there is no manifest {home}", fix=f"give one of {', '.join(sorted(workflows))}")
    templates = workflows[home].templates
    if name not in templates:
        raise InputError(f"{caller}: {home} has no template {name}", fix=f"use one of {', '.join(sorted(templates))}")
    return templates[name]


def check_template(template: Template, known: frozenset[str], workflows: dict[str, Workflow]) -> None:
    """Refuse a template with references that cannot be resolved."""
    where = f"{template.home}.{template.name}"
    known |= {f"inputs.parameters.{parameter.name}" for parameter in template.inputs.parameters}
    if template.container is not None:
        texts = [*template.container.command, *template.container.args, *template.container.environment.values()]
        check_texts(where, texts, known | ({"retries"} if template.retry else set()))
    if template.retry is not None and template.retry.expression is not None:
        truth(template.retry.expression, LAST_RETRY)
    depends.check(template)
    for task in template.tasks:
        check_task(template, task, known, workflows)


def check_task(template: Template, task: Task, known: frozenset[str], workflows: dict[str, Workflow]) -> None:
    """Refuse a task whose arguments or references do not fit."""
    where = f"{template.home}.{template.name}.{task.name}"
    called = resolve(workflows, *task.target, where)
    inputs = {parameter.name: parameter for parameter in called.inputs.parameters}
    unknown = sorted(set(task.arguments) - set(inputs))
    if unknown:
        raise InputError(f"{where}.arguments.{unknown[0]}: {called.name} has no such input", fix="remove it")
    for name, parameter in inputs.items():
        if name not in task.arguments and parameter.default is None:
            raise InputError(f"{where}.arguments.{name}: is required", fix="add the argument")
    outputs = set()
    for parent in depends.ancestors(template, task):
        other = template.task(parent)
        if not other.loops:
            ran = resolve(workflows, *other.target, where)
            outputs |= {f"tasks.{parent}.outputs.parameters.{output.name}" for output in ran.outputs.parameters}
    item = {"item"} if task.loops else set()
    check_texts(where, [*task.arguments.values(), task.when], known | outputs | item)
    check_texts(where, [task.with_param or ""], known | outputs)


def check_texts(where: str, texts: Iterable[str], known: frozenset[str]) -> None:
    """Refuse texts that refer to what is not known."""
    for text in texts:
        for name in references(text):
            if name not in known:
                raise InputError(
                    f"{where}: {{{{{name}}}}} is not defined here, or not implemented by leicos run",
                    fix=f"use one of {', '.join(sorted(known))}",
                )
