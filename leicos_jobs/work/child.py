"""The process in which a model runs. It may crash, hang or be killed without taking the commits with it.

After a result it waits until the parent asks for the next message: by then that result is committed, so a kill costs
the current sample and no finished one (a backend with `run_ahead` does not wait). The process dies with its parent, and
leaves SIGTERM to it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from leicos_jobs.backends.base import Processor
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.core import logs, signals
from leicos_jobs.core.error_codes import code_of
from leicos_jobs.core.errors import DefectError, InputError, RetryError, no_room
from leicos_jobs.core.programs import die_with
from leicos_jobs.work import messages

LOAD_SECONDS_MAX = 1800.0


def child_main(connection: Connection, spec: BackendSpec[Processor[Any, Any]], parent: int) -> None:
    """Serve requests until the pipe closes. parent: the process to end with; not on Linux the closed pipe ends it."""
    die_with(parent)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begun = time.monotonic()
    try:
        backend = spec.make()
    except InputError as error:
        connection.send(messages.Refused(error.message, error.fix, code_of(error)))
        return
    except Exception as error:  # noqa: BLE001 - the parent decides, from what is sent
        if passing := _passing(error):
            connection.send(messages.Retry(passing.message, passing.fix))
            return
        connection.send(messages.Broken(f"{type(error).__name__}: {error}", traceback.format_exc()))
        return
    connection.send(messages.Ready(backend.batch, time.monotonic() - begun))
    served = 0
    while True:
        try:
            work: messages.Work = connection.recv()
        except EOFError:
            return
        served += len(work.requests)
        _serve(connection, backend, work.requests, worn=backend.lifetime is not None and served >= backend.lifetime)


def _serve(connection: Connection, backend: Processor[Any, Any], requests: Sequence[Any], worn: bool) -> None:
    current: list[str | None] = [None]
    waits = not backend.run_ahead

    def started(sample: str) -> None:
        current[0] = sample
        logs.event("backend.started", sample=sample)
        connection.send(messages.Started(sample))

    try:
        for result in backend.process(requests, started):
            connection.send(messages.Result(result, waits))
            current[0] = None
            if waits:
                _until_asked(connection)
    except Exception as error:  # noqa: BLE001 - counted against the sample by the parent
        if passing := _passing(error):
            connection.send(messages.Retry(passing.message, passing.fix))
            return
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        connection.send(messages.Failed(current[0], text, traceback.format_exc()))
        return
    connection.send(messages.End(worn))


def _passing(error: Exception) -> RetryError | None:
    return no_room(error) or (error if isinstance(error, RetryError) else None)


def _until_asked(connection: Connection) -> None:
    try:
        connection.recv()
    except EOFError:  # nobody is left to ask
        raise SystemExit from None


class Child:
    """A running backend process, seen from the parent."""

    def __init__(self, spec: BackendSpec[Processor[Any, Any]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self.process = context.Process(target=child_main, args=(other, spec, os.getpid()), daemon=True)
        self.process.start()
        other.close()
        self._waits = False

    def ready(self, name: str) -> messages.Ready:
        """Wait until the model is loaded. name: of the stage, for messages.

        Raises InputError if the backend refuses what it was given, DefectError if it cannot be made, RetryError on a
        stop or if it takes too long, EOFError if the process dies. The child is then dead.
        """
        try:
            return self._ready(name)
        except BaseException:
            self.kill()
            raise

    def _ready(self, name: str) -> messages.Ready:
        begun = time.monotonic()
        while (answer := self.receive(0.2)) is None:
            signals.check()
            if time.monotonic() - begun > LOAD_SECONDS_MAX:
                raise RetryError(f"{name}: the backend did not load in {LOAD_SECONDS_MAX:.0f} s")
        match answer:
            case messages.Ready():
                return answer
            case messages.Refused(message, fix, code):
                raise InputError(message, fix=fix, code=code)
            case messages.Retry(message, fix):
                raise RetryError(message, fix=fix)
            case messages.Broken(text, where):
                raise DefectError(f"{name}: the backend does not start: {text}\n{where}")
            case _:
                raise DefectError(f"{name}: the backend's process began with {answer}")

    def send(self, requests: Sequence[Any]) -> None:
        """Hand over a batch. Raises EOFError when the child is dead."""
        try:
            self._connection.send(messages.Work(requests))
        except ConnectionError as error:
            raise EOFError(str(error)) from None

    def receive(self, timeout: float) -> messages.Answer | None:
        """The next message, None if none came in time. Raises EOFError when the child is dead.

        The call also tells the child that the result received before is dealt with, and the child goes on only then.
        """
        if self._waits:
            self._waits = False
            with contextlib.suppress(OSError):  # it died: the pipe says so below
                self._connection.send(messages.GoOn())
        try:
            if not self._connection.poll(timeout):
                return None
            answer: messages.Answer = self._connection.recv()
        except ConnectionError as error:
            raise EOFError(str(error)) from None
        self._waits = isinstance(answer, messages.Result) and answer.waits
        return answer

    def kill(self) -> int | None:
        """End the process; returns its exit code if it had died by itself."""
        code = self.process.exitcode
        self.process.kill()
        self.process.join()
        self._connection.close()
        return code if code is not None else self.process.exitcode
