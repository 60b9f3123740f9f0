"""The loop that works samples through a backend and commits each as soon as it is verified.

The backend runs in a child process. What goes wrong counts against the current sample: an exception, the child's death
or a failed verification as a failure, a vanished worker (found by its heartbeat) as a loss. SIGTERM: the current sample
gets a few seconds to finish, no new one is taken, exit 75. Having nothing to do is success.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from leicos_jobs.backends.base import Processor
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.core import logs, signals
from leicos_jobs.core.errors import DefectError, InputError, LeicosError, RetryError, no_room
from leicos_jobs.run import failures, layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.claims import Pull
from leicos_jobs.run.commits import Record, attempt_facts
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.work import messages
from leicos_jobs.work.child import Child
from leicos_jobs.work.intake import Intake

GRACE_SECONDS = 5.0
"""How long the current sample may take after SIGTERM; GKE gives a spot pod 15 s in all."""
START_TRIES = 3


@dataclass(frozen=True)
class Checked:
    """A verified result: the bytes to commit (or None) and what to say about them."""

    path: Path | None
    facts: dict[str, Any]
    inputs: dict[str, str]


class SampleStage(ABC):
    """What generate, gate, label and replay differ in."""

    name: ClassVar[str]
    another_round: ClassVar[bool] = True
    """Whether a later round takes what is left. If not, a worker has no time budget."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @abstractmethod
    def states(self, samples: Sequence[Sample]) -> list[State]:
        """States of the samples, read as far as this stage needs."""

    @abstractmethod
    def spec(self, scratch: Path) -> BackendSpec[Processor[Any, Any]]:
        """The backend; inputs that all samples share (models) are fetched into `scratch`."""

    @abstractmethod
    def request(self, state: State, scratch: Path) -> Any:
        """The backend's request for one sample; its inputs are fetched into `scratch`."""

    @abstractmethod
    def check(self, state: State, result: Any, scratch: Path) -> Checked:
        """Verify a result. Raises LeicosError saying what is wrong; it then counts against the sample."""

    def finish(self, samples: Sequence[Sample]) -> None:
        """After the last of the worker's samples: a look at all of them. Raises LeicosError to stop the run."""
        return None


@dataclass
class Summary:
    """What a worker did."""

    committed: int = 0
    failed: int = 0
    left: int = 0
    load_seconds: float = 0.0
    seconds: float = 0.0


@dataclass
class Worker:
    """One attempt of one worker, which `worker` names, the same in every attempt.

    samples: its own from the start. pull, plan: what it takes more from, and the samples of that list by id.
    """

    stage: SampleStage
    samples: Sequence[Sample]
    worker: str
    pull: Pull | None = None
    plan: Mapping[str, Sample] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)

    def __post_init__(self) -> None:
        self.run = self.stage.run
        self.limits = self.run.config.rounds
        self.attempt = uuid.uuid4().hex
        self.intake = Intake(
            self.run, self.stage.name, self.stage.states, self.worker, self.attempt, self.pull, self.plan
        )
        self.damaged: list[str] = []
        self.committed: set[str] = set()
        self.current: str | None = None
        """The current sample, as far as the backend has said."""

    def work(self) -> Summary:
        """Do what is missing. Raises RetryError when stopped, DefectError when the backend cannot start."""
        signals.install()
        begun = time.monotonic()
        queue = deque(self.intake.begin(self.samples) or self.intake.more(1))
        self._progress()
        if not queue:
            logs.event(f"{self.stage.name}.nothing_to_do", samples=len(self.intake.had))
            self.intake.beat([])
            self.stage.finish(self.intake.had)
            return self.summary
        scratch = Path(tempfile.mkdtemp(prefix="leicos-"))
        try:
            self._through(queue, scratch, begun + self.limits.worker_seconds)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            self.summary.seconds = time.monotonic() - begun
            self._timing()
        if self.damaged:
            uri = self.run.store.uri
            fix = f"run `leicos check {uri} --repair`, then start the run again"
            raise InputError("\n".join(self.damaged), fix=fix, code="damaged")
        self.stage.finish(self.intake.had)
        return self.summary

    def _through(self, queue: deque[State], scratch: Path, deadline: float) -> None:
        spec = self.stage.spec(scratch)
        child: Child | None = None
        batch: list[State] = []
        batch_size = 1
        try:
            while True:
                signals.check()
                left = len(queue) + self.intake.left
                if left and self.stage.another_round and time.monotonic() > deadline:
                    self.summary.left = left
                    logs.event(f"{self.stage.name}.time_budget_spent", left=left)
                    break
                if not queue and not self._refill(queue, 1):
                    break
                if child is None:
                    child, batch_size = self._start(spec)
                self._refill(queue, self.intake.share(batch_size) - len(queue))
                batch = self._next(queue, batch_size)
                self.intake.beat(batch)
                rest, alive = self._batch(child, batch, scratch)
                if len(batch) > 1:
                    self.intake.alone |= {state.sample.id for state in rest}
                if any(state.sample.id not in self.committed for state in batch):
                    self.intake.beat([])
                batch = []
                queue.extendleft(reversed(rest))
                if not alive:
                    child.kill()
                    child = None
            self.intake.beat([])
        except (LeicosError, OSError) as error:
            if isinstance(error, RetryError) or no_room(error):  # the boundary says it
                self.intake.stop(state for state in (*batch, *queue) if state.sample.id not in self.committed)
            raise
        finally:
            if child is not None:
                child.kill()

    def _refill(self, queue: deque[State], wanted: int) -> bool:
        """Take more where there is more; whether there is anything to do."""
        if wanted > 0:
            queue.extend(self.intake.more(wanted, queue))
            self._progress()
        return bool(queue)

    def _next(self, queue: deque[State], size: int) -> list[State]:
        """The next batch off the queue: samples that may be what kills workers share none."""
        alone = self.intake.alone
        batch = [queue.popleft()]
        while queue and len(batch) < size and not ({batch[0].sample.id, queue[0].sample.id} & alone):
            batch.append(queue.popleft())
        return batch

    def _start(self, spec: BackendSpec[Processor[Any, Any]]) -> tuple[Child, int]:
        """Start the backend's process and wait until its model is loaded."""
        for attempt in range(1, START_TRIES + 1):
            child, begun = Child(spec), time.monotonic()
            try:
                ready = child.ready(self.stage.name)
            except EOFError:
                logs.event(f"{self.stage.name}.backend_died_at_start", attempt=attempt, exit_code=child.kill())
                continue
            self.summary.load_seconds += time.monotonic() - begun
            return child, ready.batch
        raise DefectError(f"{self.stage.name}: the backend's process died {START_TRIES} times while it started")

    def _batch(self, child: Child, batch: list[State], scratch: Path) -> tuple[list[State], bool]:
        """Work one batch; returns the samples to try again and whether the child is to live on."""
        folder = scratch / uuid.uuid4().hex
        folder.mkdir()
        opened: dict[str, State] = {}
        requests = []
        for state in batch:
            try:
                requests.append(self.stage.request(state, folder))
                opened[state.sample.id] = state
            except DamageError as error:  # this sample's alone: the others are worked, then the worker says so
                self.damaged.append(error.message)
                logs.event(f"{self.stage.name}.damaged", sample=state.sample.id, error=error.message)
            except (RetryError, InputError):
                raise
            except LeicosError as error:
                self._fail(state, str(error))
        try:
            if requests:
                child.send(requests)
                return self._receive(child, opened, folder)
            return [], True
        except EOFError:
            return self._blame(opened, self.current, f"the backend's process died (exit {child.kill()})"), False
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _receive(self, child: Child, opened: dict[str, State], folder: Path) -> tuple[list[State], bool]:
        self.current = None
        begun = last = time.monotonic()
        stop_at: float | None = None
        again: list[State] = []
        while True:
            message = child.receive(0.2)
            now = time.monotonic()
            if signals.stopping():
                stop_at = stop_at or now + GRACE_SECONDS
                if now > stop_at or not opened:
                    signals.check()
            match message:
                case None:
                    if now - last > self.limits.sample_seconds_max:
                        text = f"no result in {self.limits.sample_seconds_max} s: taken to hang"
                        return again + self._blame(opened, self.current, text), False
                case messages.Started(sample):
                    self.current = sample
                case messages.Result(result):
                    state = opened.pop(result.sample)
                    if not self._accept(state, result, folder, now - last):
                        again += self.intake.retryable([state])
                    last, self.current = time.monotonic(), None
                    if signals.stopping():
                        signals.check()
                case messages.Retry(text, fix):
                    raise RetryError(text, fix=fix)
                case messages.Failed(sample, text, where):
                    logs.event(f"{self.stage.name}.exception", text=where)
                    return again + self._blame(opened, sample, text), True
                case messages.End(worn):
                    missing = f"the backend ended its batch without a result ({now - begun:.0f} s)"
                    for state in opened.values():
                        self._fail(state, missing)
                    return again + self.intake.retryable(list(opened.values())), not worn
                case _:
                    raise DefectError(f"{self.stage.name}: the backend's process said {message} within a batch")

    def _accept(self, state: State, result: Any, folder: Path, seconds: float) -> bool:
        """Verify and commit one result; False if it failed verification."""
        name = self.stage.name
        try:
            checked = self.stage.check(state, result, folder)
        except LeicosError as error:
            if isinstance(error, RetryError) or no_room(error):
                raise
            self._fail(state, str(error))
            return False
        record = Record(
            stage=name,
            key=state.keys[name],
            sample=state.sample.id,
            inputs=checked.inputs,
            facts=checked.facts | {"seconds": round(seconds, 3)},
            attempt=attempt_facts(worker=self.worker, attempt=self.attempt),
        )
        self.run.commits.commit(record, checked.path)
        self.summary.committed += 1
        self.committed.add(state.sample.id)
        self._progress()
        logs.event(f"{name}.committed", sample=state.sample.id, seconds=seconds)
        return True

    def _blame(self, opened: dict[str, State], sample: str | None, text: str) -> list[State]:
        """Count a failure against the current sample; the others of the batch are tried again."""
        states = list(opened.values())
        if sample is None and len(states) == 1:
            sample = states[0].sample.id
        for state in states:
            if state.sample.id == sample:
                self._fail(state, text)
        return self.intake.retryable(states)

    def _fail(self, state: State, text: str) -> None:
        self.summary.failed += 1
        failure = failures.Failure(
            stage=self.stage.name,
            sample=state.sample.id,
            key=state.keys[self.stage.name],
            kind="failed",
            error=text,
        )
        failures.note(self.run.store, failure)
        logs.event(f"{self.stage.name}.failed", sample=state.sample.id, error=text)

    def _progress(self) -> None:
        """Argo shows `N/M` from this file beside the pod."""
        if path := os.environ.get("ARGO_PROGRESS_FILE"):
            total = len(self.intake.had)
            Path(path).write_text(f"{total - self.intake.opened + self.summary.committed}/{total}\n")

    def _timing(self) -> None:
        facts = {
            "stage": self.stage.name,
            "attempt": self.attempt,
            "ended": time.time(),
            "seconds": self.summary.seconds,
            "load_seconds": self.summary.load_seconds,
            "samples": self.summary.committed,
            "gpus": 1,  # a backend of samples works on one; for more of them there are more workers
        }
        key = layout.timing(self.stage.name, f"{self.worker.replace('/', '-')}-{self.attempt[:8]}")
        self.run.store.put(key, json.dumps(facts).encode())
