"""One pass over a DAG: which tasks run now, and what has become of the whole.

The phase of a DAG is not that of its tasks put together. It is what became of its leaves, and a leaf that was skipped
or omitted takes over what became of the nodes before it. So a failed task fails the DAG unless a later one, which waits
for the failure, succeeds. `assess` walks the nodes as Argo does, because every shortcut that was tried differs
somewhere.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leicos_jobs.core.errors import InputError
from leicos_jobs.local import depends
from leicos_jobs.local.expressions import holds
from leicos_jobs.local.model import Task, Template, scalar
from leicos_jobs.local.nodes import POD, RETRY, SKIPPED_NODE, TASK_GROUP, Call, Deferred
from leicos_jobs.local.results import ERROR, FAILED, OMITTED, RUNNING, SKIPPED, SUCCEEDED, UNSUCCESSFUL, Node
from leicos_jobs.local.substitution import absent, references, substitute

if TYPE_CHECKING:
    from leicos_jobs.local.execution import Execution

Expansion = tuple[str, dict[str, str], str]
"""An item of a fan-out: node name, arguments, condition."""


@dataclass
class DagPass:
    """One pass over one DAG node."""

    execution: Execution
    node: Node
    template: Template
    on_exit: bool
    depth: int
    visited: set[str] = field(default_factory=set)

    def advance(self) -> None:
        """Start what can start, then see whether the DAG is done."""
        leaves = depends.leaves(self.template)
        for name in leaves:
            self.visit(self.template.by_name[name])
        phase = self.assess(leaves)
        if phase != RUNNING:
            ends = [self._name(leaf) for leaf in leaves if self.execution.nodes.get(self._name(leaf))]
            self.node.outbound = [last for end in ends for last in self.execution.nodes.outbound(end)]
            self.execution.nodes.mark(self.node, phase)

    def _name(self, task: str) -> str:
        return f"{self.node.name}.{task}"

    def visit(self, task: Task) -> None:
        """Advance a task after those that it waits for."""
        if task.name in self.visited:
            return
        self.visited.add(task.name)
        name = self._name(task.name)
        node = self.execution.nodes.get(name)
        if node is None:
            for parent in depends.parents(task.depends):
                self.visit(self.template.by_name[parent])
            if self.ready(task):
                self.begin(task, name)
        elif not node.fulfilled:
            if node.type == TASK_GROUP:
                self.fan_out(task, node)
            elif node.type != POD:
                self.run(task, name, node.inputs)

    def ready(self, task: Task) -> bool:
        """Whether a task can run. One whose condition on other tasks is not met is Omitted."""
        if not task.depends:
            return True
        ended = {parent: self.execution.nodes.get(self._name(parent)) for parent in depends.parents(task.depends)}
        if not all(node is not None and node.fulfilled for node in ended.values()):
            return False
        if depends.satisfied(task.depends, lambda parent: self.outcome(ended[parent])):
            return True
        self.skip(task, OMITTED, "omitted: depends condition not met")
        return False

    def outcome(self, node: Node | None) -> depends.Outcome:
        """What became of a task, in the words of `depends`."""
        assert node is not None
        if node.type != TASK_GROUP:
            return depends.Outcome(node.phase)
        phases = [self.execution.nodes[child].phase for child in node.children]
        return depends.Outcome(
            node.phase,
            any_succeeded=SUCCEEDED in phases,
            all_failed=bool(phases) and all(phase == FAILED for phase in phases),
        )

    def begin(self, task: Task, name: str) -> None:
        """Start a task that is ready: skip it, fan it out, or run it."""
        try:
            scope = self.scope(task)
            when = task.when
            if "item" not in references(when):
                when = substitute(when, scope)
                if not holds(when):
                    # An unexpanded fan-out has no items then, and Argo says so instead of naming the condition.
                    message = "Skipped, empty params" if task.loops else f"when '{when}' evaluated false"
                    self.skip(task, SKIPPED, message)
                    return
            given = {key: text for key, text in task.arguments.items() if not absent(text, scope)}
            if not task.loops:
                arguments = {key: substitute(text, scope) for key, text in given.items()}
            else:
                expansions = self.expand(task, given, when, scope)
        except InputError as error:
            self.skip(task, ERROR, error.message)
            return
        if not task.loops:
            self.connect(task, name)
            self.run(task, name, arguments)
        elif not expansions:
            self.skip(task, SKIPPED, "Skipped, empty params")
        else:
            self.connect(task, name)
            self.execution.expansions[name] = expansions
            group = Node(name, TASK_GROUP, task.target[1], self.node.name, RUNNING)
            self.fan_out(task, self.execution.nodes.add(group))

    def scope(self, task: Task) -> dict[str, str | None]:
        """Everything that a task can refer to: the workflow, the inputs, the outputs of the tasks before it."""
        found: dict[str, str | None] = dict(self.execution.scope)
        found.update({f"inputs.parameters.{key}": value for key, value in self.node.inputs.items()})
        for name in depends.ancestors(self.template, task):
            node, ancestor = self.execution.nodes[self._name(name)], self.template.by_name[name]
            prefix = f"tasks.{name}.outputs.parameters."
            if node.phase in (SKIPPED, OMITTED):
                ran = self.execution.templates.get(ancestor.target)
                outputs = ran.outputs.parameters if ran else ()
                found.update({prefix + output.name: output.file.default for output in outputs})
            found.update({prefix + key: value for key, value in node.outputs.items()})
        return found

    def expand(self, task: Task, given: dict[str, str], when: str, scope: dict[str, str | None]) -> list[Expansion]:
        """One (node name, arguments, condition) for each item."""
        found = []
        for index, item in enumerate(self.items(task, scope)):
            try:
                text = scalar(item)
            except ValueError as error:
                raise InputError(f"{task.name}: item {index}: {error}") from None
            here = {**scope, "item": text}
            name = f"{task.name}({index}:{text.replace('(', '').replace(')', '')})"
            arguments = {key: substitute(value, here) for key, value in given.items()}
            found.append((self._name(name), arguments, substitute(when, here)))
        return found

    def items(self, task: Task, scope: dict[str, str | None]) -> list[Any]:
        """The items of a fan-out."""
        if task.with_items is not None:
            return list(task.with_items)
        text = substitute(task.with_param or "", scope)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, list):
            raise InputError(f"withParam value could not be parsed as a JSON list: {text.strip()}")
        return found

    def fan_out(self, task: Task, group: Node) -> None:
        """Advance every item. The group is as bad as its last bad item."""
        phase = SUCCEEDED
        done = True
        for name, arguments, when in self.execution.expansions[group.name]:
            node = self.execution.nodes.get(name)
            if node is None:
                self.execution.nodes.link(group.name, name)
                node = self.begin_item(task, name, arguments, when)
                if node is None:
                    return
            elif not node.fulfilled and node.type != POD:
                self.run(task, name, node.inputs)
            done = done and node.fulfilled
            phase = node.phase if node.unsuccessful else phase
        if done:
            self.execution.nodes.mark(group, phase)

    def begin_item(self, task: Task, name: str, arguments: dict[str, str], when: str) -> Node | None:
        """Start one item; None if it has to wait for a place."""
        try:
            if not holds(when):
                return self.add_skipped(task, name, SKIPPED, f"when '{when}' evaluated false")
        except InputError as error:
            return self.add_skipped(task, name, ERROR, error.message)
        return self.run(task, name, arguments)

    def run(self, task: Task, name: str, arguments: dict[str, str]) -> Node | None:
        """Create or advance the node of a task; None if it has to wait for a place."""
        template = self.execution.templates[task.target]
        call = Call(name, template, arguments, self.node.name, self.on_exit, self.depth + 1)
        try:
            return self.execution.execute(call)
        except Deferred:
            return self.execution.nodes.get(name)

    def skip(self, task: Task, phase: str, message: str) -> None:
        """Create the node of a task that does not run."""
        name = self._name(task.name)
        self.add_skipped(task, name, phase, message)
        self.connect(task, name)

    def add_skipped(self, task: Task, name: str, phase: str, message: str) -> Node:
        """Create a node of type Skipped; its phase says why."""
        return self.execution.nodes.add(Node(name, SKIPPED_NODE, task.target[1], self.node.name, phase, message))

    def connect(self, task: Task, name: str) -> None:
        """Make a task's node the child of the last nodes of the tasks before it, or of the DAG."""
        parents = depends.parents(task.depends)
        if not parents:
            self.execution.nodes.link(self.node.name, name)
        for parent in parents:
            for last in self.execution.nodes.outbound(self._name(parent)):
                self.execution.nodes.link(last, name)

    def assess(self, leaves: list[str]) -> str:
        """The phase of the DAG now. Walks from node to node and carries the phase of the branch along."""
        found: dict[str, str] = dict.fromkeys(map(self._name, leaves), "")
        ahead = deque((child, SUCCEEDED) for child in self.node.children)
        seen = set(ahead)
        while ahead:
            name, branch = ahead.popleft()
            node = self.execution.nodes.get(name)
            if node is None or not node.fulfilled:
                return RUNNING
            branch = node.phase if node.completed else branch
            if name in found and found[name] not in UNSUCCESSFUL:
                found[name] = branch
            for child in self.following(node):
                if (child, branch) not in seen:
                    seen.add((child, branch))
                    ahead.append((child, branch))
        return self.judged([found[self._name(leaf)] for leaf in leaves])

    def following(self, node: Node) -> list[str]:
        """The nodes after this one. A Retry node's attempts do not count, what came after them does."""
        if node.type != RETRY:
            return node.children
        return [after for attempt in reversed(node.children) for after in self.execution.nodes[attempt].children]

    def judged(self, phases: list[str]) -> str:
        """The phase of the DAG from those of its leaves; an empty one is a leaf that was not reached yet."""
        result = SUCCEEDED
        fail_fast = self.template.dag is None or self.template.dag.fail_fast
        for phase in phases:
            if not phase:
                result = RUNNING
                if not fail_fast:
                    break
            elif phase in UNSUCCESSFUL:
                result = phase
                if fail_fast:
                    break
        return result
