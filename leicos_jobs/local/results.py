"""What a run reports: while it goes on (events) and at its end (nodes with phases, attempts and outputs)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

PENDING, RUNNING = "Pending", "Running"
SUCCEEDED, FAILED, ERROR = "Succeeded", "Failed", "Error"
SKIPPED, OMITTED = "Skipped", "Omitted"
UNSUCCESSFUL = (FAILED, ERROR)
COMPLETED = (SUCCEEDED, FAILED, ERROR)
FULFILLED = (*COMPLETED, SKIPPED, OMITTED)


@dataclass(eq=False)
class Node:
    """A node of the workflow, as Argo would list it in status.nodes.

    name: Argo's node name. type: Pod, Retry, DAG, TaskGroup or Skipped. boundary: the DAG that it belongs to; parent:
    the DAG, fan-out or retry node above it. home: the manifest that a DAG is defined in. attempts: processes that were
    started for it (for a Retry node, all of them). exit_code: of the last process. children: the nodes that came after
    it. attempt: it is one of its Retry node's attempts. rank: when it was created, as a number that grows. progress:
    what the process wrote to ARGO_PROGRESS_FILE, e.g. "3/8".
    """

    name: str
    type: str
    template: str
    boundary: str | None
    phase: str
    message: str = ""
    parent: str | None = None
    home: str = ""
    attempts: int = 0
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    children: list[str] = field(default_factory=list)
    outbound: list[str] = field(default_factory=list)
    attempt: bool = False
    rank: int = 0
    on_exit: bool = False
    started: float = field(default_factory=time.time)
    finished: float | None = None
    progress: str = ""
    log: Path | None = None

    @property
    def display_name(self) -> str:
        """Its name within its DAG."""
        return self.name.removeprefix(self.boundary).removeprefix(".") if self.boundary else self.name

    @property
    def fulfilled(self) -> bool:
        """Nothing more will become of it."""
        return self.phase in FULFILLED

    @property
    def completed(self) -> bool:
        """It ran to an end, well or badly (skipped and omitted nodes did not run)."""
        return self.phase in COMPLETED

    @property
    def unsuccessful(self) -> bool:
        """Failed or Error."""
        return self.phase in UNSUCCESSFUL


@dataclass(frozen=True)
class NodeEvent:
    """A node, as it was when it was created, or changed its phase, its message or its progress."""

    node: Node
    previous: str | None
    at: float


@dataclass(frozen=True)
class WorkflowResult:
    """The end of a workflow. `interrupted`: it was asked to stop, and what was committed stays."""

    name: str
    phase: str
    message: str
    interrupted: bool
    nodes: dict[str, Node]

    @property
    def succeeded(self) -> bool:
        """Whether the workflow succeeded."""
        return self.phase == SUCCEEDED

    def failures(self) -> list[Node]:
        """What failed for good, in order: commands (after their last attempt) and tasks that could not be started."""
        retried = {node.name for node in self.nodes.values() if node.type == "Retry"}
        return [
            node
            for node in self.nodes.values()
            if node.unsuccessful and node.type in ("Pod", "Retry", "Skipped") and node.parent not in retried
        ]
