"""Starts and stops long-running programs that may outlive the Python process.

`up` and `down` are two processes, and a test run may be killed between them, so
a program is found again by a file with its process id. A process id alone is no
proof, the system hands it out again: the start time beside it is compared before
any signal is sent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .places import LOGS, WORK

PIDS = WORK / "pids"
_children: dict[int, subprocess.Popen[bytes]] = {}


class HarnessError(RuntimeError):
    """The cluster could not be started or a command against it failed."""


def run(
    *command: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run a command to its end and return its output; its error text is raised, not lost."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
        )
    except FileNotFoundError as error:
        raise HarnessError(f"{error.filename} is not there") from error
    if done.returncode:
        shown = " ".join(str(part) for part in command)
        raise HarnessError(f"{shown}\nexited {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    return done.stdout


def start(name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Start a program in a session of its own, its output in logs/NAME.log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    PIDS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            cwd=WORK,
        )
    _children[child.pid] = child
    (PIDS / name).write_text(json.dumps({"pid": child.pid, "started": started_at(child.pid)}))


def running(name: str) -> bool:
    """Whether the program of that name still runs."""
    return _pid_of(name) is not None


def stop(name: str, patience: float = 15) -> None:
    """End a program: politely, then by force; nothing happens when it is gone already."""
    pid = _pid_of(name)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not _gone_within(name, patience):
            os.kill(pid, signal.SIGKILL)
            _gone_within(name, 5)
    (PIDS / name).unlink(missing_ok=True)


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes by id, ignoring those that went away meanwhile."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_until(what: str, ready: Callable[[], bool], patience: float, needs: str | None = None) -> None:
    """Poll until ready; give up early, with the log's end, when the program that it needs has died."""
    deadline = time.monotonic() + patience
    while not ready():
        died = needs is not None and not running(needs)
        if died or time.monotonic() > deadline:
            reason = f"{needs} died" if died else f"not within {patience:.0f} s"
            raise HarnessError(f"{what}: {reason}\n{tail(needs) if needs else ''}")
        time.sleep(0.2)


def tail(name: str, characters: int = 4000) -> str:
    """The end of a program's log."""
    log = LOGS / f"{name}.log"
    return log.read_text(errors="replace")[-characters:] if log.exists() else ""


def started_at(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the command's name may contain spaces and brackets
    return None if fields[0] == "Z" else fields[19]


def _pid_of(name: str) -> int | None:
    try:
        known = json.loads((PIDS / name).read_text())
    except (OSError, ValueError):
        return None
    pid = int(known["pid"])
    if pid in _children:
        _children[pid].poll()  # reaps it: a zombie would look alive for ever
    now = started_at(pid)
    return pid if now is not None and now == known["started"] else None


def _gone_within(name: str, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while running(name):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
