"""The nodes of a running workflow, linked as Argo links them.

Two relations matter and differ: `boundary` is the DAG that a node belongs to; `children` are the nodes that came after
it. The phase of a DAG is found by walking children (see `dag`), which is why they are kept exactly as Argo keeps them.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

from leicos_jobs.local.model import Template
from leicos_jobs.local.results import FULFILLED, Node, NodeEvent

POD, RETRY, DAG, TASK_GROUP, SKIPPED_NODE = "Pod", "Retry", "DAG", "TaskGroup", "Skipped"


class Deferred(Exception):
    """An answer, not an error: there is no place for another node now, and a later pass tries again."""


@dataclass(frozen=True)
class Call:
    """A template to run as a node. An argument that is missing was an output of a task that did not run."""

    name: str
    template: Template
    arguments: dict[str, str]
    boundary: str | None
    on_exit: bool
    depth: int


class Nodes:
    """All nodes of a workflow, by name. Every change goes through `mark`, which tells the listener."""

    def __init__(self, on_event: Callable[[NodeEvent], None] | None = None) -> None:
        self._nodes: dict[str, Node] = {}
        self._members: dict[str, list[Node]] = {}
        self._on_event = on_event

    def get(self, name: str) -> Node | None:
        """A node, or None if it was not created yet."""
        return self._nodes.get(name)

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def all(self) -> list[Node]:
        """All nodes in the order of their creation."""
        return list(self._nodes.values())

    def add(self, node: Node) -> Node:
        """Create a node."""
        assert node.name not in self._nodes, f"{node.name} exists"
        if node.fulfilled:
            node.finished = node.started
        node.parent = self._parent(node)
        self._nodes[node.name] = node
        node.rank = len(self._nodes)
        if node.boundary is not None:
            self._members.setdefault(node.boundary, []).append(node)
        self._tell(node, None)
        return node

    def active(self, boundary: str, *types: str) -> int:
        """How many nodes of these types are pending or running in a DAG."""
        return sum(node.type in types and not node.fulfilled for node in self._members.get(boundary, ()))

    def link(self, parent: str, child: str) -> None:
        """Make one node the child of another, once. The child may still have to wait before it is created."""
        children = self._nodes[parent].children
        if child not in children:
            children.append(child)

    def mark(self, node: Node, phase: str, message: str | None = None) -> None:
        """Change a node's phase and message. A fulfilled node stays as it is."""
        if node.fulfilled:
            return
        previous = node.phase
        changed = previous != phase or (message is not None and message != node.message)
        node.phase = phase
        if message is not None:
            node.message = message
        if phase in FULFILLED:
            node.finished = time.time()
        if changed:
            self._tell(node, previous)

    def progressed(self, node: Node, progress: str) -> None:
        """Note what a process wrote about its progress."""
        if progress != node.progress:
            node.progress = progress
            self._tell(node, node.phase)

    def attempts(self, node: Node) -> list[Node]:
        """The attempts of a Retry node."""
        return [self._nodes[name] for name in node.children if self._nodes[name].attempt]

    def outbound(self, name: str) -> list[str]:
        """The nodes that what comes after this one becomes a child of: its last ones."""
        node = self._nodes[name]
        if node.type in (POD, SKIPPED_NODE):
            return [name]
        if node.type == RETRY:
            return node.children[-1:]
        if node.type == TASK_GROUP:
            return [last for child in node.children for last in self.outbound(child)] if node.children else [name]
        return [last for leaf in node.outbound for last in self.outbound(leaf)]

    def _parent(self, node: Node) -> str | None:
        if node.attempt:
            return node.name.rpartition("(")[0]
        group = node.name.rpartition("(")[0] if node.name.endswith(")") else ""
        if group in self._nodes and self._nodes[group].type == TASK_GROUP:
            return group
        return node.boundary

    def _tell(self, node: Node, previous: str | None) -> None:
        if self._on_event is not None:
            self._on_event(NodeEvent(copy.copy(node), previous, time.time()))
