"""A process and all that it started, stopped at one moment and looked at, then killed or let go."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

LOG = ".{}("
"""In the name of a log of a stage."""


def _children() -> dict[int, list[tuple[int, str]]]:
    """parent -> (pid, command line) of every process that is not a zombie."""
    found: dict[int, list[tuple[int, str]]] = {}
    told = subprocess.run(["ps", "-axwwo", "pid=,ppid=,stat=,args="], check=True, capture_output=True, text=True).stdout
    for line in told.splitlines():
        pid, parent, state, arguments = line.split(None, 3)
        if not state.startswith("Z"):
            found.setdefault(int(parent), []).append((int(pid), arguments))
    return found


def freeze(root: int) -> dict[int, str]:
    """SIGSTOP a process and its descendants, whatever group they are in; pid -> command line."""
    frozen = {root: ""}
    os.kill(root, signal.SIGSTOP)
    while True:
        children = _children()
        fresh = {pid: arguments for parent in frozen for pid, arguments in children.get(parent, [])}
        fresh = {pid: arguments for pid, arguments in fresh.items() if pid not in frozen}
        if not fresh:
            return frozen
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        frozen |= fresh


def works_on(stage: str, pids: Iterable[int]) -> bool:
    """Whether one of these processes is a pod of a stage, or started by one: by the log NODE.STAGE(ITEM)(ATTEMPT).log
    that it writes."""
    outputs = [Path(f"/proc/{pid}/fd/1") for pid in pids]
    return any(LOG.format(stage) in output.readlink().name for output in outputs if output.is_symlink())


def send(frozen: dict[int, str], number: signal.Signals) -> None:
    """SIGKILL or SIGCONT to them all; none of them has run since they were frozen."""
    for pid in frozen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
