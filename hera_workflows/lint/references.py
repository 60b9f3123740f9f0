"""References: templates, parameters, tasks and outputs that are named somewhere exist, and get what they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hera_workflows.lint import depends
from hera_workflows.lint.problems import Problem, names_of, parameters_of, tasks_of

TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
NAME_IN_EXPRESSION = re.compile(r"\b(inputs\.parameters|workflow\.parameters|tasks)((?:\.[\w-]+)+)")
WORKFLOW_FIELDS = {"workflow.name", "workflow.namespace", "workflow.uid", "workflow.status", "workflow.failures"}

Templates = dict[tuple[str, str], dict[str, Any]]
"""(WorkflowTemplate, template) -> template"""


@dataclass(frozen=True)
class Scope:
    """What a template may name. `tasks` is empty outside a DAG; `item` and `retries` say whether those exist here."""

    where: str
    inputs: frozenset[str]
    workflow: frozenset[str]
    outputs: dict[str, frozenset[str]]
    item: bool = False
    retries: bool = False


def check(manifests: list[dict[str, Any]]) -> list[Problem]:
    """Problems with references. A template is checked once for every workflow from which it can be reached."""
    index = {
        (manifest["metadata"]["name"], template["name"]): template
        for manifest in manifests
        for template in manifest["spec"].get("templates", [])
    }
    found: dict[Problem, None] = {}
    for manifest in manifests:
        name, spec = manifest["metadata"]["name"], manifest["spec"]
        arguments = frozenset(names_of(parameters_of(spec, "arguments")))
        reached: set[tuple[str, str]] = set()
        for field in ("entrypoint", "onExit"):
            start = spec.get(field)
            if start is not None:
                found.update(dict.fromkeys(visit((name, start), f"{name}.{field}", index, arguments, reached)))
        unused = {key for key in index if key[0] == name} - reached
        if name == manifests[-1]["metadata"]["name"]:
            continue
        found.update(dict.fromkeys(undefined_in(unused, index, arguments, reached)))
    return list(found)


def undefined_in(
    unused: set[tuple[str, str]], index: Templates, arguments: frozenset[str], reached: set[tuple[str, str]]
) -> Iterator[Problem]:
    """Templates that only other workflows use are checked too."""
    for key in sorted(unused):
        yield from visit(key, ".".join(key), index, arguments, reached)


def visit(
    key: tuple[str, str],
    caller: str,
    index: Templates,
    arguments: frozenset[str],
    reached: set[tuple[str, str]],
) -> Iterator[Problem]:
    """Check a template and all that it leads to, in a workflow with these arguments."""
    if key not in index:
        yield Problem(caller, f"refers to template {key[1]} of {key[0]}, which is not defined", "correct the name")
        return
    if key in reached:
        return
    reached.add(key)
    template, where = index[key], f"{key[0]}.templates.{key[1]}"
    inputs = frozenset(names_of(parameters_of(template, "inputs")))
    outputs = {
        task["name"]: frozenset(names_of(parameters_of(index.get(target(key[0], task), {}), "outputs")))
        for task in tasks_of(template)
    }
    scope = Scope(where, inputs, arguments, {}, retries="retryStrategy" in template)
    own = {field: value for field, value in template.items() if field != "dag"}
    yield from tags(own, scope)
    for task in tasks_of(template):
        place = f"{where}.{task['name']}"
        ancestors = depends.ancestors(task["name"], tasks_of(template))
        looped = any(field in task for field in ("withParam", "withItems", "withSequence"))
        seen = {name: found for name, found in outputs.items() if name in ancestors}
        yield from tags(task, Scope(place, inputs, arguments, seen, item=looped))
        yield from depends.check(place, task, tasks_of(template))
        called = index.get(target(key[0], task))
        if called is not None:
            yield from given(place, task, called)
            yield from fanned_out(place, task, key[0], index) if looped else ()
        yield from visit(target(key[0], task), place, index, arguments, reached)


def target(home: str, task: dict[str, Any]) -> tuple[str, str]:
    """The template that a task runs."""
    reference = task.get("templateRef")
    return (reference["name"], reference["template"]) if reference else (home, str(task.get("template")))


def given(where: str, task: dict[str, Any], called: dict[str, Any]) -> Iterator[Problem]:
    """Arguments and inputs match. Argo itself accepts an argument that nothing reads."""
    arguments = set(names_of(parameters_of(task, "arguments")))
    inputs = {parameter["name"]: parameter for parameter in parameters_of(called, "inputs")}
    for name in sorted(arguments - set(inputs)):
        yield Problem(where, f"gives the argument {name}, which {called['name']} does not have", "remove it")
    for name, parameter in inputs.items():
        if name not in arguments and "default" not in parameter and "value" not in parameter:
            yield Problem(where, f"does not give {called['name']} its input {name}", "add the argument")


def fanned_out(where: str, task: dict[str, Any], home: str, index: Templates) -> Iterator[Problem]:
    """What is fanned out keeps the Workflow object small: no outputs, short items (each stands in its node's name)."""
    ahead, seen = [target(home, task)], set()
    while ahead:
        key = ahead.pop()
        if key in index and key not in seen:
            seen.add(key)
            ahead += [target(key[0], inner) for inner in tasks_of(index[key])]
            if index[key].get("outputs"):
                yield Problem(where, f"fans out {key[1]}, which has outputs", "write to the store instead")
    for item in task.get("withItems", []):
        if len(str(item)) > 32:
            yield Problem(where, f"has an item of {len(str(item))} characters", "use small integers as items")


def tags(value: Any, scope: Scope) -> Iterator[Problem]:
    """Check every {{...}} in a value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from tags(item, scope)
    elif isinstance(value, list):
        for item in value:
            yield from tags(item, scope)
    elif isinstance(value, str):
        for match in TAG.finditer(value):
            body = match.group(1)
            if body.startswith("="):
                for name in NAME_IN_EXPRESSION.finditer(body):
                    yield from reference(name.group(0), scope)
            else:
                yield from reference(body.strip(), scope)


def reference(name: str, scope: Scope) -> Iterator[Problem]:
    """Check one reference."""
    parts = name.split(".")
    if name == "item":
        known = scope.item
    elif name == "retries":
        known = scope.retries
    elif name.startswith("inputs.parameters."):
        known = ".".join(parts[2:]) in scope.inputs
    elif name.startswith("workflow.parameters."):
        known = ".".join(parts[2:]) in scope.workflow
    elif parts[0] == "tasks" and parts[2:4] == ["outputs", "parameters"] and len(parts) == 5:
        known = parts[4] in scope.outputs.get(parts[1], ())
    else:
        known = name in WORKFLOW_FIELDS
    if not known:
        fix = "declare it, or name a task that this one depends on" if parts[0] == "tasks" else "declare it"
        yield Problem(scope.where, f"{{{{{name}}}}} is not defined here", fix)
