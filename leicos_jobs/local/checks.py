"""Checks before anything starts: every template, argument and reference of a workflow is there, with the forms we know.

Argo leaves an unknown reference in the text and runs the pod; here it is an error, because what a pod would do with it
is never what was meant. `leicos lint` lists the same problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.local import depends
from leicos_jobs.local.expressions import truth
from leicos_jobs.local.model import Task, Template, Workflow
from leicos_jobs.local.nodes import POD
from leicos_jobs.local.results import FAILED, Node
from leicos_jobs.local.retries import last_retry
from leicos_jobs.local.substitution import references

ATTEMPT = last_retry(Node("", POD, "", None, FAILED, exit_code=ExitCode.RETRY), 1)
"""An attempt to try retry expressions on: a wrong one shall not show after hours."""
RUNNING = frozenset({"workflow.name", "workflow.namespace"})
ENDED = frozenset({"workflow.status", "workflow.failures"})
"""What every template can refer to, and what the exit handler can."""


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do about it."""

    where: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} (fix: {self.fix})"


Found = dict[tuple[str, str], Template]
"""(manifest, template) -> template"""


def reachable(workflows: dict[str, Workflow], entry: Workflow) -> Found:
    """All templates that a workflow can run. Raises InputError for the first problem in them."""
    found: Found = {}
    if entry.spec.entrypoint is None:
        raise InputError(f"{entry.name}.spec.entrypoint: is required", fix="name the template to start with")
    for problem in Checks(workflows, entry).problems(found):
        raise InputError(f"{problem.where}: {problem.message}", fix=problem.fix)
    return found


def container_texts(template: Template) -> list[str]:
    """The texts of a pod in which references are replaced."""
    container = template.container
    return [] if container is None else [*container.command, *container.args, *container.environment.values()]


@dataclass(frozen=True)
class Checks:
    """Of all that one workflow can run. known: what every template can refer to. texts: where its references are."""

    workflows: dict[str, Workflow]
    entry: Workflow
    known: frozenset[str] = RUNNING
    texts: Callable[[Template], Iterable[str]] = container_texts

    def problems(self, found: Found) -> Iterator[Problem]:
        """What is wrong with what entrypoint and exit handler lead to; `found` takes the templates."""
        for field, start, more in (
            ("entrypoint", self.entry.spec.entrypoint, frozenset[str]()),
            ("onExit", self.entry.spec.on_exit, ENDED),
        ):
            first = self.entry.templates.get(start or "")
            for name, default in first.defaults.items() if first else ():
                if default is None and name not in self.entry.parameters:
                    yield Problem(f"{self.entry.name}.{start}.inputs.{name}", "has no value", "add the parameter")
            if start is not None:
                yield from self.walk((self.entry.name, start), f"{self.entry.name}.{field}", found, more)

    def walk(
        self, start: tuple[str, str], caller: str, found: Found, more: frozenset[str] = frozenset()
    ) -> Iterator[Problem]:
        """What is wrong with a template and all that it leads to. more: what they can refer to besides."""
        known = self.known | more | {f"workflow.parameters.{name}" for name in self.entry.parameters}
        ahead = [(start, caller)]
        while ahead:
            key, caller = ahead.pop()
            template = self.template(key)
            if template is None:
                yield Problem(
                    caller, f"refers to template {key[1]} of {key[0]}, which is not defined", "correct the name"
                )
            elif key not in found:
                found[key] = template
                yield from self.check(template, known | {f"inputs.parameters.{name}" for name in template.defaults})
                ahead += [(task.target, f"{'.'.join(key)}.{task.name}") for task in template.tasks]

    def template(self, key: tuple[str, str]) -> Template | None:
        """The template that a task names."""
        return self.workflows[key[0]].templates.get(key[1]) if key[0] in self.workflows else None

    def check(self, template: Template, known: frozenset[str]) -> Iterator[Problem]:
        """What is wrong within one template."""
        where = f"{template.home}.{template.name}"
        yield from undefined(where, self.texts(template), known | ({"retries"} if template.retry else set()))
        if template.retry is not None and template.retry.expression is not None:
            try:
                truth(template.retry.expression, ATTEMPT)
            except InputError as error:
                yield Problem(f"{where}.retryStrategy", error.message, error.fix or "correct it")
        for task in template.tasks:
            yield from self.check_depends(template, task, f"{where}.{task.name}.depends")
            yield from self.check_task(template, task, f"{where}.{task.name}", known)

    def check_depends(self, template: Template, task: Task, where: str) -> Iterator[Problem]:
        """Tasks that are not there, words that are not Argo's, circles."""
        for match in depends.TERM.finditer(task.depends):
            parent, status = match.groups()
            if parent not in template.by_name:
                yield Problem(where, f"{parent} is not a task of this DAG", f"use one of {', '.join(template.by_name)}")
            elif status is not None and status not in depends.STATUSES:
                yield Problem(where, f"{parent}.{status}", f"use one of {', '.join(depends.STATUSES)}")
            elif status in ("AnySucceeded", "AllFailed") and not template.by_name[parent].loops:
                yield Problem(where, f"{parent}.{status}, but {parent} has no items", "use another status")
        if task.name in depends.ancestors(template, task):
            yield Problem(where, "the task waits for itself", "break the circle")

    def check_task(self, template: Template, task: Task, where: str, known: frozenset[str]) -> Iterator[Problem]:
        """Arguments and references that do not fit. Argo itself accepts an argument that nothing reads."""
        called = self.template(task.target)
        if called is not None:
            for name in sorted(task.arguments.keys() - called.defaults.keys()):
                yield Problem(f"{where}.arguments.{name}", f"{called.name} has no such input", "remove it")
            for name, default in called.defaults.items():
                if name not in task.arguments and default is None:
                    yield Problem(f"{where}.arguments.{name}", f"is required by {called.name}", "add the argument")
        outputs: set[str] = set()
        for parent in depends.ancestors(template, task):
            other = template.by_name.get(parent)
            ran = self.template(other.target) if other and not other.loops else None
            for output in ran.outputs.parameters if ran else ():
                outputs.add(f"tasks.{parent}.outputs.parameters.{output.name}")
        item = {"item"} if task.loops else set()
        yield from undefined(where, [*task.arguments.values(), task.when], known | outputs | item)
        yield from undefined(where, [task.with_param or ""], known | outputs)


def undefined(where: str, texts: Iterable[str], known: frozenset[str]) -> Iterator[Problem]:
    """References to what is not known."""
    for text in texts:
        for name in references(text):
            if name not in known:
                message = f"{{{{{name}}}}} is not defined here, or not implemented by leicos run"
                yield Problem(where, message, f"use one of {', '.join(sorted(known))}")
