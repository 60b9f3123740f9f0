"""Upstream's command line, once per batch: the fallback for checkouts whose Python classes are others.

It has no word for "this one is finished", and its exit code says nothing of single samples: NAME.json appears before
the work on a sample begins, NAME.mp4 grows in place, a guardrail leaves the first without the second at exit code 0,
and any exception ends the batch. So a video counts as finished when the next sample has begun or the process has
ended, and only files, verified later, are believed (docs/decisions/cosmos.md 1.3, 1.4).
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from leicos_jobs.backends.cosmos_predict25 import jobs
from leicos_jobs.backends.cosmos_predict25.checkout import Checkout
from leicos_jobs.backends.cosmos_predict25.command import Weights, inference_command
from leicos_jobs.backends.cosmos_predict25.load_log import LoadReport
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.core.programs import Program

POLL_SECONDS = 0.2


class CommandLine(jobs.Runner):
    """Runs examples/inference.py."""

    name = "cli"

    def __init__(self, checkout: Checkout, settings: CosmosSettings, weights: Weights, work: Path) -> None:
        super().__init__(checkout, settings, weights, work)
        self.batch = settings.batch or 1000
        self._process: Program | None = None

    def run(self, work: Sequence[jobs.Job]) -> Iterator[jobs.Event]:
        """See `Runner`. Every run has a folder of its own: upstream overwrites its logs and what it finds."""
        if not work:
            return  # upstream would exit with 1: "No inference samples"
        home = self.work / f"upstream-{uuid.uuid4().hex}"
        output = home / "out"
        output.mkdir(parents=True)
        batch = home / "batch.jsonl"
        batch.write_text("".join(job.line.line() for job in work))
        command = inference_command(self.checkout.python, self.settings, self.weights, batch, output)
        self._process = Program(command, cwd=self.checkout.root, env=self.environment)
        try:
            yield from _Watch(self._process, work, output).events(self.check_load)
        finally:
            self.close()
            shutil.rmtree(home, ignore_errors=True)

    def close(self) -> None:
        """End upstream."""
        if self._process is not None:
            self._process.kill()
            self._process = None


class _Watch:
    """Sees from the files what upstream is doing. Samples are worked in the order of the batch."""

    def __init__(self, process: Program, work: Sequence[jobs.Job], output: Path) -> None:
        self._process = process
        self._jobs = work
        self._output = output
        self._begun = 0
        self._since = time.monotonic()

    def events(self, check_load: Callable[[Path], LoadReport]) -> Iterator[jobs.Event]:
        checked = False
        while True:
            code = self._process.poll()  # before the look at the files: what it wrote before its end must be seen
            while self._begun < len(self._jobs) and self._named(self._jobs[self._begun].name, ".json").exists():
                if not checked:
                    check_load(self._output / "debug.log")
                    checked = True
                yield from self._settle()
                yield jobs.Started(self._jobs[self._begun].name)
                self._begun += 1
                self._since = time.monotonic()
            if code is not None:
                yield from self._end(code)
                return
            time.sleep(POLL_SECONDS)

    def _named(self, name: str, suffix: str) -> Path:
        return self._output / f"{name}{suffix}"

    def _settle(self) -> Iterator[jobs.Event]:
        """Upstream has left the sample it worked on: it is finished or was declined."""
        if not self._begun:
            return
        job = self._jobs[self._begun - 1]
        video = self._named(job.name, ".mp4")
        seconds = time.monotonic() - self._since
        if video.is_file():
            target = job.out / video.name
            video.replace(target)
            yield jobs.Finished(job.name, target, seconds)
        else:
            self._named(job.name, ".json").unlink(missing_ok=True)  # or it would count as done in upstream's eyes
            yield jobs.Failed(job.name, "upstream made no video: its guardrail blocked the prompt or the result")

    def _end(self, code: int) -> Iterator[jobs.Event]:
        """The process has ended. Whatever the code says, the files of the current sample decide about it."""
        said = f"upstream ended with exit code {code}\n{self._process.tail()}"
        if not self._begun:
            raise jobs.UpstreamLoadError(said)
        last = self._jobs[self._begun - 1]
        if code != 0 and not self._named(last.name, ".mp4").is_file():
            self._named(last.name, ".json").unlink(missing_ok=True)
            raise jobs.UpstreamDiedError(said)
        yield from self._settle()
        if self._begun < len(self._jobs):
            if code != 0:
                raise jobs.UpstreamDiedError(said)
            for job in self._jobs[self._begun :]:
                yield jobs.Failed(job.name, "upstream ended with exit code 0 and never began with this sample")
