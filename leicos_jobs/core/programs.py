"""Programs that are not ours: in an environment of their own, in a process group of their own, and never left behind.

Upstreams bring their own Python and their own libraries, so they run as programs, not as imports. Two things go wrong
with that on a cluster and are settled here: variables of an operator or of our own Python leak into theirs (RANK and
WORLD_SIZE turn an independent Cosmos worker into a member of a group that does not exist), and a program outlives the
worker that was killed, holding the GPU. `die_with` is the one owner of "end with the parent" for our own processes too;
only the drivers that run in an upstream's Python, where leicos is not installed, spell it themselves.
"""

from __future__ import annotations

import ctypes
import functools
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_DROPPED = frozenset(
    {
        "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "GROUP_WORLD_SIZE",
        "ROLE_RANK", "ROLE_NAME", "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
        "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__",
    }
)  # fmt: skip
_DROPPED_PREFIXES = ("TORCHELASTIC_", "PET_")
TAIL_LINES = 60
_LOOK_SECONDS = 0.2
_DRAIN_SECONDS = 2.0
"""How long the last output of an ended program may take: what it started may hold the pipe open for longer."""
COMMIT_FILE = ".leicos-commit"
"""Written by our images, where there is no git folder: the commit of the sources beside it."""


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without what makes a program think it belongs to a distributed job or to our Python."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
    return kept | dict(extra or {})


def commit_of(root: Path) -> str | None:
    """The commit that a checkout says it is at; None if it does not say."""
    if (root / COMMIT_FILE).is_file():
        return (root / COMMIT_FILE).read_text().strip()
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())
    return found.stdout.strip() or None


# Loaded here: between fork and exec, beside other threads, as little as possible may happen.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when the process `parent`, its parent, dies; end it if that has happened already.

    The signal is tied to the thread that started this process: start it from one that lives as long as it should.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def bound_to_this_process() -> Callable[[], None]:
    """What a new process does before its program starts (`preexec_fn`): see `die_with`."""
    return functools.partial(die_with, os.getpid())


class Program:
    """A running program. Its output goes to our stderr line by line; the last lines are kept for error messages.

    marker: lines that begin with it are not output but messages to us, see `messages`. Start it from the thread that
    lives as long as it should: Linux ends it when that thread ends.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: bool = False,
        pass_fds: Sequence[int] = (),
        marker: str | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self._marker = marker
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = subprocess.Popen(
            self.command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=bound_to_this_process(),
        )
        self.pid = self._process.pid
        self._pump = threading.Thread(target=self._copy_output, daemon=True)
        self._pump.start()

    def _copy_output(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        with output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                if self._marker is not None and line.startswith(self._marker):
                    self._messages.put(line.removeprefix(self._marker))
                elif line:
                    self._tail.append(line)
                    print(f"    | {line}", file=sys.stderr, flush=True)

    def messages(self) -> Iterator[str]:
        """Each message as it comes, without its marker, in the caller's thread, until the program has ended."""
        ended = False
        while True:
            try:
                yield self._messages.get(timeout=0.0 if ended else _LOOK_SECONDS)
            except queue.Empty:
                if ended:
                    return
                if self.poll() is not None:
                    self._pump.join(_DRAIN_SECONDS)
                    ended = True

    @property
    def stdin(self) -> IO[bytes]:
        """Where its standard input is written to."""
        if self._process.stdin is None:
            raise ValueError("the process was started without standard input")
        return self._process.stdin

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait, for at most `seconds` if they are given; the exit code, or None if it still runs."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> int:
        """End it and everything that it started; returns its exit code."""
        code = self._process.poll()
        with suppress(ProcessLookupError):  # the group is gone already
            os.killpg(self.pid, signal.SIGKILL)
        ended = self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):  # what it never read
                self._process.stdin.close()
        self._pump.join(_DRAIN_SECONDS)
        return code if code is not None else ended

    def tail(self) -> str:
        """The last lines of its output."""
        if self.poll() is not None:
            self._pump.join(_DRAIN_SECONDS)
        return "\n".join(self._tail)
