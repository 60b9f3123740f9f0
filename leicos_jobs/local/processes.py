"""One process group for each pod, and nobody left behind.

A pod's command leads a process group of its own, so that a signal reaches its children and a Ctrl-C in the terminal
does not. When the runner itself is killed, two things end its processes: the kernel kills each command
(`core.programs.die_with`), and a keeper, a tiny process that holds the other end of a pipe, kills whole groups when the
pipe closes. The kernel's signal is tied to the thread that started the process: start commands from a thread that
outlives them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from leicos_jobs.core.programs import bound_to_this_process

NOT_STARTED = 64
"""What Argo's executor exits with when it cannot start the command."""

KEEPER = """
import os, shutil, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Keeper:
    """Kills the process groups that are still there when this process has died, and removes their scratch space."""

    def __init__(self, scratch: Path) -> None:
        # Its own session: what kills the runner's process group must not kill the keeper.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", KEEPER, str(scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """Watch a process group."""
        self._write(f"+{group}\n")

    def release(self, group: int) -> None:
        """Forget a group. To be called before its leader is reaped, while the number cannot be anybody else's."""
        self._write(f"-{group}\n")

    def close(self) -> None:
        """End the keeper; what it still watches is killed."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        # Somebody may have killed the keeper; the kernel's signal still stands.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


class Process:
    """A running command with its process group."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        keeper: Keeper,
    ) -> None:
        self._keeper = keeper
        with log.open("wb") as stream:
            self._popen = subprocess.Popen(
                list(arguments),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=bound_to_this_process(),
            )
        self.group = self._popen.pid
        keeper.watch(self.group)

    def poll(self) -> int | None:
        """The exit code, or None while it runs. With the command its whole group ends, as a container would."""
        if not self._ended():
            return None
        self.signal(signal.SIGKILL)
        self._keeper.release(self.group)
        code = self._popen.wait()
        return 128 - code if code < 0 else code

    def _ended(self) -> bool:
        """Whether the command ended, if possible without reaping it: until then its number cannot be reused."""
        if hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.group, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return self._popen.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, number)
