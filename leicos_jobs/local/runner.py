"""Run a workflow from its manifests, on this machine, to its end."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError
from leicos_jobs.local.checks import reachable
from leicos_jobs.local.execution import DEADLINE_MESSAGE, Execution
from leicos_jobs.local.manifest import parse
from leicos_jobs.local.model import Workflow
from leicos_jobs.local.nodes import Call, Deferred, Nodes
from leicos_jobs.local.pods import GRACE, POLL, Pods
from leicos_jobs.local.results import ERROR, FAILED, OMITTED, SKIPPED, SUCCEEDED, Node, NodeEvent, WorkflowResult

INTERRUPTED = "interrupted"
"""Message of a workflow, and of its pods, that was asked to stop."""
NAMESPACE = "local"
"""{{workflow.namespace}}: this machine has none."""
TIMESTAMP = "%Y-%m-%dT%H:%M:%SZ"
LEICOS_HERE = (sys.executable, "-m", "leicos_jobs.cli.main")


def run_workflow(
    manifests: list[dict[str, Any]],
    entry: str,
    parameters: Mapping[str, str],
    *,
    workers: int,
    logs: Path,
    command: list[str] | None = None,
    env: Mapping[str, str] | None = None,
    on_event: Callable[[NodeEvent], None] | None = None,
    name: str | None = None,
    max_backoff: float | None = None,
    grace: float = GRACE,
    stop: Callable[[], bool] = signals.stopping,
) -> WorkflowResult:
    """Run the workflow `entry` and wait for its end.

    manifests: Workflows and WorkflowTemplates that refer to each other. parameters: values of workflow parameters, over
    the defaults. workers: commands at a time. logs: one file for each command. command: what stands for ["leicos"]
    (default: this Python's leicos). env: the environment of all commands (default: this process's). on_event: called
    for every change of a node. name: {{workflow.name}}. max_backoff: seconds that a retry waits at most, where a
    manifest waits for a cluster to recover. stop: asked again and again; once true, commands get SIGTERM and, `grace`
    seconds later, SIGKILL, and the result is interrupted. Call `leicos_jobs.core.signals.install()` first to stop on
    SIGTERM and SIGINT, and call this from the main thread: commands are killed when the thread that started them ends.
    """
    if workers < 1:
        raise InputError(f"workers: {workers} can run nothing", fix="give at least 1")
    workflows = parse(manifests)
    if entry not in workflows:
        raise InputError(f"there is no workflow {entry}", fix=f"use one of {', '.join(sorted(workflows))}")
    workflow = workflows[entry]
    values = workflow_parameters(workflow, parameters)
    templates = reachable(workflows, workflow)
    nodes = Nodes(on_event)
    workflow_name = name or f"{entry}-{secrets.token_hex(3)[:5]}"
    scope = {f"workflow.parameters.{key}": value for key, value in values.items()}
    scope |= {"workflow.name": workflow_name, "workflow.namespace": NAMESPACE}
    with tempfile.TemporaryDirectory(prefix="leicos-run-") as scratch:
        pods = Pods(nodes, workers=workers, logs=logs, scratch=Path(scratch), grace=grace)
        execution = Execution(
            nodes=nodes,
            pods=pods,
            templates=templates,
            scope=scope,
            environment=dict(os.environ if env is None else env),
            command=list(LEICOS_HERE) if command is None else command,
            parallelism=workflow.spec.parallelism,
            deadline=None if workflow.spec.deadline is None else time.time() + workflow.spec.deadline,
            max_backoff=max_backoff,
        )
        try:
            return Runner(workflow, workflow_name, values, execution, stop).run()
        finally:
            pods.close()


def workflow_parameters(workflow: Workflow, given: Mapping[str, str]) -> dict[str, str]:
    """The workflow's parameters with the values given."""
    unknown = sorted(set(given) - set(workflow.parameters))
    if unknown:
        known = ", ".join(workflow.parameters) or "none"
        raise InputError(f"{workflow.name} has no parameter {unknown[0]}", fix=f"its parameters are: {known}")
    found = {}
    for key, default in workflow.parameters.items():
        value = given.get(key, default)
        if value is None:
            raise InputError(f"parameter {key} of {workflow.name} has no value", fix=f"give {key}=...")
        found[key] = value
    return found


def failures_text(result: WorkflowResult) -> str:
    """workflow.failures as Argo gives it to the exit handler: a JSON list, quoted once more as a string."""
    failed = [
        {
            "displayName": node.display_name,
            "message": node.message,
            "templateName": node.template,
            "phase": node.phase,
            "podName": node.name,
            "finishedAt": None if node.finished is None else time.strftime(TIMESTAMP, time.gmtime(node.finished)),
        }
        for node in result.nodes.values()
        if node.unsuccessful
    ]
    return json.dumps(json.dumps(failed, ensure_ascii=False), ensure_ascii=False)


@dataclass(frozen=True)
class Runner:
    """Repeats passes until the workflow and its exit handler have ended."""

    workflow: Workflow
    name: str
    parameters: dict[str, str]
    execution: Execution
    stop: Callable[[], bool]

    def run(self) -> WorkflowResult:
        """Pass after pass; in between, wait for a command to end, a time to come or a signal."""
        pods = self.execution.pods
        while True:
            self.execution.wake = float("inf")
            if self.execution.deadline is not None and not self._overdue():
                self.execution.wake = self.execution.deadline
            result = self.one_pass()
            if result is not None:
                return result
            while not pods.advance() and time.time() < self.execution.wake:
                if self.stop():
                    return self.interrupted()
                if self._overdue():
                    pods.stop(DEADLINE_MESSAGE, exit_handler=False)
                time.sleep(POLL)

    def _overdue(self) -> bool:
        return self.execution.deadline is not None and time.time() >= self.execution.deadline

    def one_pass(self) -> WorkflowResult | None:
        """One pass over the workflow and, after its end, over the exit handler; the result when both have ended."""
        root = self._execute(self.name, self.workflow.spec.entrypoint, on_exit=False)
        if root is None or not root.fulfilled:
            return None
        phase = {SKIPPED: SUCCEEDED, OMITTED: SUCCEEDED}.get(root.phase, root.phase)
        if self.workflow.spec.on_exit is None:
            return self._result(phase, root.message)
        self.execution.scope["workflow.status"] = phase
        self.execution.scope["workflow.failures"] = failures_text(self._result(phase, root.message))
        handler = self._execute(f"{self.name}.onExit", self.workflow.spec.on_exit, on_exit=True)
        if handler is None or not handler.fulfilled:
            return None
        if phase == SUCCEEDED and handler.phase in (FAILED, ERROR):
            # A workflow whose exit handler fails has failed.
            return self._result(handler.phase, handler.message)
        return self._result(phase, root.message)

    def _execute(self, name: str, template: str | None, *, on_exit: bool) -> Node | None:
        assert template is not None
        found = self.execution.templates[self.workflow.name, template]
        try:
            return self.execution.execute(Call(name, found, self.parameters, None, on_exit, 1))
        except Deferred:
            return self.execution.nodes.get(name)

    def interrupted(self) -> WorkflowResult:
        """Stop every command and wait for their end."""
        pods = self.execution.pods
        pods.stop(INTERRUPTED, exit_handler=True)
        while pods.active:
            pods.advance()
            time.sleep(POLL)
        return self._result(FAILED, INTERRUPTED, interrupted=True)

    def _result(self, phase: str, message: str, *, interrupted: bool = False) -> WorkflowResult:
        return WorkflowResult(
            name=self.name,
            phase=phase,
            message=message,
            interrupted=interrupted,
            nodes={node.name: node for node in self.execution.nodes.all()},
        )
