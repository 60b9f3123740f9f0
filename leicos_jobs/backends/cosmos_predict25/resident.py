"""Upstream's Python classes in one resident process: the model is loaded once, a bad sample costs only itself."""

from __future__ import annotations

import json
import os
import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from leicos_jobs.backends.cosmos_predict25 import driver, jobs
from leicos_jobs.backends.cosmos_predict25.checkout import Checkout
from leicos_jobs.backends.cosmos_predict25.command import Weights, setup_arguments
from leicos_jobs.backends.cosmos_predict25.load_log import LoadReport
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.core import logs
from leicos_jobs.core.programs import Program

AHEAD = 2
"""Samples that upstream knows of: the one in work and the next, so that it need not wait for our verification."""
LOG_SECONDS = 10.0


class UnusableError(Exception):
    """This upstream does not have the classes that the driver calls."""


class Resident(jobs.Runner):
    """The running driver."""

    name = "api"

    def __init__(self, checkout: Checkout, settings: CosmosSettings, weights: Weights, work: Path) -> None:
        """Start and load. Raises UnusableError, UpstreamLoadError, InputError (weights that do not fit)."""
        super().__init__(checkout, settings, weights, work)
        self.batch = settings.batch or 4
        self._number = 0
        self.report = LoadReport()
        self._start()

    def _start(self) -> None:
        self._number += 1
        home = self.work / f"upstream-{self._number}"
        home.mkdir(parents=True)
        setup = home / "setup.json"
        setup.write_text(json.dumps(setup_arguments(self.settings, self.weights, home)))
        reading, writing = os.pipe()
        self._answers = os.fdopen(reading, "rb", buffering=0)
        self._buffer = b""
        command: list[str | Path] = [
            self.checkout.python, driver.__file__, "--checkout", self.checkout.root, "--setup", setup,
            "--answers", str(writing),
        ]  # fmt: skip
        self._process = Program(
            command,
            cwd=self.checkout.root,
            env=self.environment,
            stdin=True,
            pass_fds=(writing,),
        )
        os.close(writing)
        try:
            self._await_ready(home)
        except BaseException:
            self.close()
            raise

    def _await_ready(self, home: Path) -> None:
        try:
            message = self._receive()
        except jobs.UpstreamDiedError as error:
            raise jobs.UpstreamLoadError(str(error)) from None
        if message["event"] == "unusable":
            raise UnusableError(message["error"])
        logs.event("cosmos.loaded", seconds=message["seconds"], driver=self.name)
        log = home / "debug.log"
        deadline = time.monotonic() + LOG_SECONDS
        while True:  # upstream writes its log in a thread of its own
            self.report = self.check_load(log)
            if self.report.found or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if not self.report.found:
            logs.event("cosmos.load_unverified", log=log, reason="upstream's log says nothing of the weights")

    def run(self, work: Sequence[jobs.Job]) -> Iterator[jobs.Event]:
        """See `Runner`. A driver that died in an earlier batch is started again."""
        if self._process.poll() is not None:
            self.close()
            self._start()
        waiting, sent = deque(work), 0
        while waiting or sent:
            while waiting and sent < AHEAD:
                self._send(waiting.popleft())
                sent += 1
            message = self._receive()
            name = str(message["name"])
            if message["event"] == "started":
                yield jobs.Started(name)
                continue
            sent -= 1
            if message["event"] == "done":
                yield jobs.Finished(name, Path(message["video"]), float(message["seconds"]))
            elif message["fatal"]:
                self.close()
                raise jobs.UpstreamDiedError(message["error"])
            else:
                yield jobs.Failed(name, str(message["error"]))

    def _send(self, job: jobs.Job) -> None:
        line = job.line.model_dump(mode="json", exclude_none=True)
        message = {"name": job.name, "line": line, "out": str(job.out)}
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: the next look at its answers says so, after those it gave before

    def _receive(self) -> dict[str, Any]:
        """The next answer, however long it takes: the worker's own limit ends a hang. Raises UpstreamDiedError."""
        while b"\n" not in self._buffer:
            select.select([self._answers], [], [])
            piece = self._answers.read(1 << 16)
            if not piece:
                code = self._process.wait(10.0)
                if code is None:
                    code = self._process.kill()
                raise jobs.UpstreamDiedError(f"upstream ended with exit code {code}\n{self._process.tail()}")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def close(self) -> None:
        """End the driver and all that it started."""
        self._process.kill()
        self._answers.close()
