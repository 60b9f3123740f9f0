"""Checks before anything starts: every template, argument and reference of a workflow is there, with the forms we know.

Argo leaves an unknown reference in the text and runs the pod; here it is an error, because what a pod would do with it is
never what was meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from leicos_jobs.core.errors import InputError
from leicos_jobs.local import depends
from leicos_jobs.local.model import Task, Template, Workflow
from leicos_jobs.local.substitution import references

GLOBALS = frozenset({"workflow.name", "workflow.status"})


def reachable(workflows: dict[str, Workflow], entry: Workflow) -> dict[tuple[str, str], Template]:
    """All templates that a workflow can run, each checked. The keys are (manifest, template)."""
    found: dict[tuple[str, str], Template] = {}
    if entry.entrypoint is None:
        raise InputError(f"{entry.name}.spec.entrypoint: is required", fix="name the template to start with")
    ahead = [(entry.name, entry.entrypoint, f"{entry.name}.spec.entrypoint")]
    if entry.on_exit is not None:
        ahead.append((entry.name, entry.on_exit, f"{entry.name}.spec.onExit"))
    while ahead:
        home, name, caller = ahead.pop()
        if (home, name) in found:
            continue
        template = resolve(workflows, home, name, caller)
        found[home, name] = template
        check_template(template, entry, workflows)
        ahead += [(task.home, task.template, f"{home}.{name}.{task.name}") for task in template.tasks]
    return found


def resolve(workflows: dict[str, Workflow], home: str, name: str, caller: str) -> Template:
    """The template that a task names."""
    if home not in workflows:
        raise InputError(f"{caller}: there is no manifest {home}", fix=f"give one of {', '.join(sorted(workflows))}")
    templates = workflows[home].templates
    if name not in templates:
        raise InputError(f"{caller}: {home} has no template {name}", fix=f"use one of {', '.join(sorted(templates))}")
    return templates[name]


def check_template(template: Template, entry: Workflow, workflows: dict[str, Workflow]) -> None:
    """Refuse a template with references that cannot be resolved."""
    where = f"{template.home}.{template.name}"
    known = GLOBALS | {f"workflow.parameters.{name}" for name in entry.parameters}
    known |= {f"inputs.parameters.{parameter.name}" for parameter in template.inputs}
    if template.container is not None:
        texts = [*template.container.command, *template.container.args, *template.container.env.values()]
        check_texts(where, texts, known | ({"retries"} if template.retry else set()))
    depends.check(template)
    for task in template.tasks:
        check_task(template, task, known, workflows)


def check_task(template: Template, task: Task, known: set[str] | frozenset[str], workflows: dict[str, Workflow]) -> None:
    """Refuse a task whose arguments or references do not fit."""
    where = f"{template.home}.{template.name}.{task.name}"
    called = resolve(workflows, task.home, task.template, where)
    inputs = {parameter.name: parameter for parameter in called.inputs}
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
            ran = resolve(workflows, other.home, other.template, where)
            outputs |= {f"tasks.{parent}.outputs.parameters.{output.name}" for output in ran.outputs}
    item = {"item"} if task.loops else set()
    check_texts(where, [*task.arguments.values(), task.when], known | outputs | item)
    check_texts(where, [task.with_param or ""], known | outputs)


def check_texts(where: str, texts: Iterable[str], known: set[str] | frozenset[str]) -> None:
    """Refuse texts that refer to what is not known."""
    for text in texts:
        for name in references(text):
            if name not in known:
                raise InputError(
                    f"{where}: {{{{{name}}}}} is not defined here, or not implemented by leicos run",
                    fix=f"use one of {', '.join(sorted(known))}",
                )
