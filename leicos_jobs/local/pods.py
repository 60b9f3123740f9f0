"""Pods on this machine: a queue of commands, as many at a time as there are workers, with deadline, log and outputs."""

from __future__ import annotations

import bisect
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leicos_jobs.core.pod import EXPLANATION_MAX
from leicos_jobs.local.model import OUTPUTS, Output
from leicos_jobs.local.nodes import Nodes
from leicos_jobs.local.processes import NOT_STARTED, Keeper, Process
from leicos_jobs.local.results import ERROR, FAILED, RUNNING, SUCCEEDED, Node

GRACE = 10.0
POLL = 0.02
PROGRESS_EVERY = 1.0
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"
FILE_NAME_LIMIT = 200
TOLD = "leicos: error: "
"""What the last words of a failed leicos command begin with."""


@dataclass(eq=False)
class Pod:
    """A command that waits or runs. `reason`: why it was told to stop, which becomes the node's message."""

    node: Node
    arguments: list[str]
    environment: dict[str, str]
    outputs: tuple[Output, ...]
    folder: Path
    deadline: float | None
    process: Process | None = None
    started: float = 0.0
    reason: str = ""
    kill_at: float = field(default=float("inf"))


class Pods:
    """All commands of a run. `advance` is called again and again; nothing happens in between."""

    def __init__(self, nodes: Nodes, *, workers: int, logs: Path, scratch: Path, grace: float = GRACE) -> None:
        self._nodes = nodes
        self._workers = workers
        self._logs = logs
        self._scratch = scratch
        self._grace = grace
        self._waiting: list[Pod] = []
        self._running: list[Pod] = []
        self._count = 0
        self._progress_at = 0.0
        self._keeper = Keeper(scratch)

    @property
    def active(self) -> int:
        """How many commands wait or run."""
        return len(self._waiting) + len(self._running)

    def submit(
        self,
        node: Node,
        arguments: list[str],
        environment: Mapping[str, str],
        outputs: tuple[Output, ...],
        deadline: float | None,
    ) -> None:
        """Queue a command. OUTPUTS in its arguments and environment becomes a folder of its own."""
        self._count += 1
        folder = self._scratch / f"{self._count:05d}"
        folder.mkdir(parents=True)
        here = {name: value.replace(OUTPUTS, str(folder / "outputs")) for name, value in environment.items()}
        here["ARGO_PROGRESS_FILE"] = str(folder / "progress")
        (folder / "outputs").mkdir()
        replaced = [argument.replace(OUTPUTS, str(folder / "outputs")) for argument in arguments]
        pod = Pod(node, replaced, here, outputs, folder, deadline)
        # Those of the older DAG first: a worker that was begun goes on to its last step before the next one begins.
        bisect.insort_right(self._waiting, pod, key=self._age)

    def _age(self, pod: Pod) -> int:
        """When its DAG was created."""
        return self._nodes[pod.node.boundary].rank if pod.node.boundary else -1

    def advance(self) -> bool:
        """Start what can start, stop what must stop. True when a command ended."""
        now = time.time()
        ended = False
        for pod in list(self._running):
            assert pod.process is not None
            code = pod.process.poll()
            if code is not None:
                self._running.remove(pod)
                self._end(pod, code)
                ended = True
            elif pod.deadline is not None and not pod.reason and now >= pod.started + pod.deadline:
                self._stop(pod, DEADLINE_MESSAGE)
            elif now >= pod.kill_at:
                pod.process.signal(signal.SIGKILL)
        while self._waiting and len(self._running) < self._workers:
            ended |= self._start(self._waiting.pop(0))
        if now >= self._progress_at:
            self._progress_at = now + PROGRESS_EVERY
            for pod in self._running:
                self._read_progress(pod)
        return ended

    def stop(self, reason: str, *, exit_handler: bool) -> None:
        """Stop commands: SIGTERM, and after the grace SIGKILL. Those of the exit handler only if asked for."""
        for pod in [pod for pod in self._waiting if exit_handler or not pod.node.on_exit]:
            self._waiting.remove(pod)
            self._nodes.mark(pod.node, FAILED, reason)
        for pod in self._running:
            if not pod.reason and (exit_handler or not pod.node.on_exit):
                self._stop(pod, reason)

    def close(self) -> None:
        """Kill what still runs (nothing, unless something went wrong) and end the keeper."""
        self._waiting.clear()
        left = [pod.process for pod in self._running if pod.process is not None]
        for process in left:
            process.signal(signal.SIGKILL)
        while left := [process for process in left if process.poll() is None]:
            time.sleep(POLL)
        self._keeper.close()

    def _start(self, pod: Pod) -> bool:
        pod.node.log, pod.node.attempts = self._log(pod.node), 1
        try:
            pod.process = Process(pod.arguments, pod.environment, pod.node.log, self._keeper)
        except OSError as error:
            pod.node.log.write_text(f"cannot start {pod.arguments[0]}: {error}\n")
            self._end(pod, NOT_STARTED)
            return True
        pod.started = time.time()
        pod.node.started = pod.started
        self._running.append(pod)
        self._nodes.mark(pod.node, RUNNING)
        return False

    def _stop(self, pod: Pod, reason: str) -> None:
        assert pod.process is not None
        pod.reason = reason
        pod.kill_at = time.time() + self._grace
        pod.process.signal(signal.SIGTERM)

    def _end(self, pod: Pod, code: int) -> None:
        """Say what became of a node, as Argo would: see `outcome`."""
        pod.node.exit_code = code
        pod.node.outputs, lost = read_outputs(pod)
        self._read_progress(pod)
        phase, message = outcome(code, pod.reason, lost)
        if code != 0 and not pod.reason and pod.node.log is not None and (told := explanation(pod.node.log)):
            message += f": {told}"  # in a cluster it is the container's termination message
        self._nodes.mark(pod.node, phase, message)

    def _log(self, node: Node) -> Path:
        self._logs.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^\w.()-]+", "-", node.name)
        return self._logs / f"{name[-FILE_NAME_LIMIT:]}.log"

    def _read_progress(self, pod: Pod) -> None:
        try:
            text = (pod.folder / "progress").read_text().strip()
        except OSError:
            return
        if re.fullmatch(r"\d+/\d+", text):
            self._nodes.progressed(pod.node, text)


def read_outputs(pod: Pod) -> tuple[dict[str, str], str | None]:
    """The output parameters, and the first file that is missing without a default (Argo reads no further then)."""
    found: dict[str, str] = {}
    for output in pod.outputs:
        path = Path(output.file.path.replace(OUTPUTS, str(pod.folder / "outputs")))
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            if output.file.default is None:
                return found, output.file.path
            text = output.file.default
        found[output.name] = text.removesuffix("\n")
    return found, None


def explanation(log: Path) -> str:
    """The error that a leicos command's log ends with, as `core.pod.explain` tells it to a cluster; empty if none."""
    try:
        _, found, told = log.read_text(errors="replace").rpartition(TOLD)
    except OSError:
        return ""
    return told.strip()[:EXPLANATION_MAX] if found else ""


def outcome(code: int, reason: str, lost: str | None) -> tuple[str, str]:
    """Phase and message of a pod. Being told to stop outweighs the exit code, that outweighs a missing output."""
    if reason:
        return FAILED, reason
    if code != 0:
        return FAILED, f"main: Error (exit code {code})"
    if lost is not None:
        return ERROR, f"wait: Error (exit code 64): open {lost}: no such file or directory"
    return SUCCEEDED, ""
