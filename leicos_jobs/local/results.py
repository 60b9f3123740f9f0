"""What a run reports: while it goes on (events) and at its end (nodes with phases, attempts and outputs)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PENDING, RUNNING = "Pending", "Running"
SUCCEEDED, FAILED, ERROR = "Succeeded", "Failed", "Error"
SKIPPED, OMITTED = "Skipped", "Omitted"
UNSUCCESSFUL = (FAILED, ERROR)
COMPLETED = (SUCCEEDED, FAILED, ERROR)
FULFILLED = (*COMPLETED, SKIPPED, OMITTED)


@dataclass(frozen=True)
class NodeResult:
    """A node of the workflow, as Argo would list it in status.nodes.

    name: Argo's node name. parent: the DAG, fan-out or retry node above it. type: Pod, Retry, DAG, TaskGroup or
    Skipped. attempts: processes that were started for it (for a Retry node, all of them). exit_code: of the last
    process. progress: what the process wrote to ARGO_PROGRESS_FILE, e.g. "3/8".
    """

    name: str
    display_name: str
    parent: str | None
    type: str
    template: str
    phase: str
    message: str
    attempts: int
    inputs: dict[str, str]
    outputs: dict[str, str]
    exit_code: int | None
    started: float
    finished: float | None
    progress: str
    log: Path | None


@dataclass(frozen=True)
class NodeEvent:
    """A node was created, or changed its phase, its message or its progress."""

    node: NodeResult
    previous: str | None
    at: float


@dataclass(frozen=True)
class WorkflowResult:
    """The end of a workflow. `interrupted`: it was asked to stop, and what was committed stays."""

    name: str
    phase: str
    message: str
    interrupted: bool
    nodes: dict[str, NodeResult]

    @property
    def succeeded(self) -> bool:
        """Whether the workflow succeeded."""
        return self.phase == SUCCEEDED

    def failures(self) -> list[NodeResult]:
        """What failed for good, in order: commands (after their last attempt) and tasks that could not be started."""
        retried = {node.name for node in self.nodes.values() if node.type == "Retry"}
        return [
            node
            for node in self.nodes.values()
            if node.phase in UNSUCCESSFUL and node.type in ("Pod", "Retry", "Skipped") and node.parent not in retried
        ]
