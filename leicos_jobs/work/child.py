"""The process in which a model runs. It may crash, hang or be killed without taking the commits with it.

Messages: parent sends a list of requests; the child answers ("started", sample), ("result", result, waits),
("failed", sample or None, text, traceback), ("retry", message, fix) where no sample is to blame, and ("end",). After a
result it waits until the parent asks for the next message: by then that result is committed, so a kill costs the
sample in hand and no finished one (a backend with `run_ahead` does not wait). The process dies with its parent, and
leaves SIGTERM to it.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from leicos_jobs.core import logs
from leicos_jobs.core.errors import InputError, RetryError, no_room
from leicos_jobs.core.programs import die_with

GO_ON = None


@dataclass(frozen=True)
class BackendSpec:
    """How the child makes its backend: `module:name` called with `arguments`."""

    target: str
    arguments: dict[str, Any]

    def make(self) -> Any:
        """Construct the backend (loads the model)."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)(**self.arguments)


def child_main(connection: Connection, spec: BackendSpec, parent: int) -> None:
    """Serve requests until the pipe closes. parent: the process to end with; not on Linux the closed pipe ends it."""
    die_with(parent)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begun = time.monotonic()
    try:
        backend = spec.make()
    except InputError as error:
        connection.send(("refused", error.message, error.fix))
        return
    except Exception as error:  # noqa: BLE001 - the parent decides, from what is sent
        if passing := _passing(error):
            connection.send(("retry", passing.message, passing.fix))
            return
        connection.send(("broken", f"{type(error).__name__}: {error}", traceback.format_exc()))
        return
    connection.send(("ready", int(getattr(backend, "batch", 1)), time.monotonic() - begun))
    while True:
        try:
            requests = connection.recv()
        except EOFError:
            return
        _serve(connection, backend, requests)


def _serve(connection: Connection, backend: Any, requests: Sequence[Any]) -> None:
    current: list[str | None] = [None]
    waits = not getattr(backend, "run_ahead", False)

    def started(sample: str) -> None:
        current[0] = sample
        logs.event("backend.started", sample=sample)
        connection.send(("started", sample))

    try:
        for result in backend.process(requests, started):
            connection.send(("result", result, waits))
            current[0] = None
            if waits:
                _until_asked(connection)
    except Exception as error:  # noqa: BLE001 - counted against the sample by the parent
        if passing := _passing(error):
            connection.send(("retry", passing.message, passing.fix))
            return
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        connection.send(("failed", current[0], text, traceback.format_exc()))
        return
    connection.send(("end",))


def _passing(error: Exception) -> RetryError | None:
    return no_room(error) or (error if isinstance(error, RetryError) else None)


def _until_asked(connection: Connection) -> None:
    try:
        connection.recv()
    except EOFError:  # nobody is left to ask
        raise SystemExit from None


class Child:
    """A running backend process, seen from the parent."""

    def __init__(self, spec: BackendSpec) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=child_main, args=(other, spec, os.getpid()), daemon=True)
        self.process.start()
        other.close()
        self._waits = False

    def receive(self, timeout: float) -> tuple[Any, ...] | None:
        """The next message, None if none came in time. Raises EOFError when the child is dead.

        To ask is to say that the result received before is dealt with: only then does the child go on.
        """
        if self._waits:
            self._waits = False
            with contextlib.suppress(OSError):  # it died: the pipe says so below
                self.connection.send(GO_ON)
        if self.connection.poll(timeout):
            message = self.connection.recv()
            self._waits = message[0] == "result" and message[2]
            return tuple(message)
        return None

    def kill(self) -> int | None:
        """End the process; returns its exit code if it had died by itself."""
        code = self.process.exitcode
        self.process.kill()
        self.process.join()
        self.connection.close()
        return code if code is not None else self.process.exitcode
