"""One pass over a workflow: create the nodes that can be created now, as Argo's controller does on every reconcile.

A pass is repeated after every change until the root is fulfilled. It never waits; what must wait asks to be woken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from leicos_jobs.core.errors import InputError
from leicos_jobs.local.dag import DagPass, Expansion
from leicos_jobs.local.model import Template
from leicos_jobs.local.nodes import DAG, POD, RETRY, SKIPPED_NODE, Call, Deferred, Nodes
from leicos_jobs.local.pods import Pods
from leicos_jobs.local.results import ERROR, FAILED, PENDING, RUNNING, Node
from leicos_jobs.local.retries import Verdict, after_attempts
from leicos_jobs.local.substitution import substitute

MAX_DEPTH = 100
"""Argo's limit on templates that call each other."""
LEICOS = ("leicos",)
DEADLINE_MESSAGE = "Step exceeded its deadline"


@dataclass
class Execution:
    """The state of a run that passes share.

    scope: workflow.* references. deadline: when the workflow has to end. wake: when the next pass is due at the latest.
    command: what stands for ["leicos"] on this machine.
    """

    nodes: Nodes
    pods: Pods
    templates: dict[tuple[str, str], Template]
    scope: dict[str, str]
    environment: dict[str, str]
    command: list[str]
    parallelism: int | None = None
    deadline: float | None = None
    max_backoff: float | None = None
    wake: float = float("inf")
    expansions: dict[str, list[Expansion]] = field(default_factory=dict)

    def execute(self, call: Call) -> Node:
        """Create or advance a node. Raises Deferred when it has to wait for a place."""
        node = self.nodes.get(call.name)
        if node is not None and node.fulfilled:
            return node
        if call.depth >= MAX_DEPTH:
            return self.failed_call(call, "Maximum recursion depth exceeded")
        if node is None:
            try:
                inputs = self.bind(call)
            except InputError as error:
                return self.failed_call(call, error.message)
            self.check_places(call.boundary)
        else:
            inputs = node.inputs
        if call.template.retry is not None:
            return self.retried(call, node, inputs)
        if call.template.container is not None:
            return node or self.pod(call, call.name, inputs, attempt=None)
        return self.dag(call, node, inputs)

    def bind(self, call: Call) -> dict[str, str]:
        """The values of a template's inputs: the arguments, else the defaults."""
        found = {}
        for name, default in call.template.defaults.items():
            if name in call.arguments:
                found[name] = call.arguments[name]
            elif default is not None:
                found[name] = substitute(default, self.scope)
            else:
                raise InputError(f"inputs.parameters.{name} has no value: a task that gives it did not run")
        return found

    def failed_call(self, call: Call, message: str) -> Node:
        """A node that could not be started: Error."""
        node = self.nodes.get(call.name)
        if node is None:
            name = call.template.name
            return self.nodes.add(Node(call.name, SKIPPED_NODE, name, call.boundary, ERROR, message))
        self.nodes.mark(node, ERROR, message)
        return node

    def check_places(self, boundary: str | None) -> None:
        """Respect the `parallelism` of the DAG in which a new node would be."""
        if boundary is None:
            return
        above = self.nodes[boundary]
        limit = self.template_of(above).parallelism
        if limit and self.nodes.active(boundary, POD, DAG) >= limit:
            raise Deferred

    def template_of(self, node: Node) -> Template:
        """The template of a DAG node."""
        return self.templates[node.home, node.template]

    def dag(self, call: Call, node: Node | None, inputs: dict[str, str]) -> Node:
        """Create or advance a DAG."""
        if node is None:
            template = call.template
            node = self.nodes.add(
                Node(call.name, DAG, template.name, call.boundary, RUNNING, inputs=inputs, home=template.home)
            )
        elif call.template.parallelism and self.nodes.active(node.name, POD) >= call.template.parallelism:
            raise Deferred
        DagPass(self, node, call.template, call.on_exit, call.depth).advance()
        return node

    def retried(self, call: Call, node: Node | None, inputs: dict[str, str]) -> Node:
        """Create or advance a Retry node: at most one attempt runs, and the last one's outcome becomes its own."""
        if node is None:
            node = self.nodes.add(Node(call.name, RETRY, call.template.name, call.boundary, RUNNING, inputs=inputs))
        attempts = self.nodes.attempts(node)
        if attempts and not attempts[-1].fulfilled:
            return node
        if attempts:
            assert call.template.retry is not None
            late = self.deadline is not None and time.time() >= self.deadline
            try:
                again = after_attempts(call.template.retry, attempts, late, self.max_backoff)
            except InputError as error:
                again = Verdict(ERROR, error.message)
            if again.phase is not None:
                node.outputs, node.exit_code = attempts[-1].outputs, attempts[-1].exit_code
                self.nodes.mark(node, again.phase, again.message)
                return node
            if again.at > time.time():
                self.wake = min(self.wake, again.at)
                self.nodes.mark(node, RUNNING, again.message)
                return node
            self.nodes.mark(node, RUNNING, "")
        self.pod(call, f"{call.name}({len(attempts)})", inputs, attempt=len(attempts))
        return node

    def pod(self, call: Call, name: str, inputs: dict[str, str], *, attempt: int | None) -> Node:
        """Create a pod: queue its command, with every reference replaced."""
        if self.parallelism and self.pods.active >= self.parallelism:
            raise Deferred
        template = call.template
        assert template.container is not None
        scope: dict[str, str | None] = dict(self.scope)
        scope |= {f"inputs.parameters.{name}": value for name, value in inputs.items()}
        if attempt is not None:
            scope["retries"] = str(attempt)
            self.nodes.link(call.name, name)
            self.nodes[call.name].attempts += 1
        node = Node(name, POD, template.name, call.boundary, PENDING, inputs=inputs)
        node.attempt, node.on_exit = attempt is not None, call.on_exit
        self.nodes.add(node)
        if self.deadline is not None and time.time() >= self.deadline and not call.on_exit:
            self.nodes.mark(node, FAILED, DEADLINE_MESSAGE)
            return node
        command = list(self.command) if template.container.command == LEICOS else list(template.container.command)
        arguments = [substitute(text, scope) for text in (*command, *template.container.args)]
        variables = {key: substitute(text, scope) for key, text in template.container.environment.items()}
        environment = {**self.environment, **variables}
        self.pods.submit(node, arguments, environment, template.outputs.parameters, template.deadline)
        return node
