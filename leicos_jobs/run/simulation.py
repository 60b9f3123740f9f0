"""A run's generation played through, by the very rules that plan its rounds and let its workers pull.

Pods wait for a GPU in the order in which they were made. A pod starts, pulls, loads its model, and works one sample
after the other. It is lost at any time, at a constant rate, or stopped when the pool shrinks; it is then tried again as
Argo does (hera_workflows.policies), and does its sample from the beginning. Gate and labels, which follow each worker
on other pods, are not played; a round's end costs two short pods.
"""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leicos_jobs.core.stages import GENERATE
from leicos_jobs.core.workflow_size import ROUNDS, most_workers
from leicos_jobs.run import layout
from leicos_jobs.run.claims import Pull
from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.config_gate import GateConfig
from leicos_jobs.run.rounds import Round, round_of
from leicos_jobs.store import KeyMissingError, Store

BACKOFF, BACKOFF_MAX = 10.0, 300.0
"""Seconds before the second attempt, doubling, and at most: hera_workflows.policies."""


@dataclass(frozen=True)
class Scenario:
    """What is played. seconds: what each sample of the plan takes. gpus: of the pool; changes: (second, GPUs from then
    on). load, start: seconds of a pod until its model is there, and before that until its program runs."""

    seconds: Sequence[float]
    gpus: int
    plan: PlanConfig
    changes: tuple[tuple[float, int], ...] = ()
    load: float = 180.0
    start: float = 60.0
    lost_per_hour: float = 0.05
    batch: int = 1
    worker_seconds: float = 20 * 3600
    gate: GateConfig | None = None
    """Where it is given, the first worker is a scout if `rounds.scouted` says so."""
    puller: type[Pull] = Pull

    def bound(self, losses: int) -> float:
        """Seconds that the pool needs at least: all samples, a load per GPU, another and half a sample per lost pod."""
        mean = sum(self.seconds) / len(self.seconds)
        work = sum(self.seconds) + self.gpus * self.load + losses * (self.load + mean / 2)
        begun, gpus = 0.0, self.gpus
        for second, later in self.changes:
            if work <= (second - begun) * gpus:
                break
            work -= (second - begun) * gpus
            begun, gpus = second, later
        return begun + work / gpus


@dataclass
class Outcome:
    """What came of it. gpu_seconds: in which a pod had a GPU. lost_seconds: of those, spent on work that was lost, the
    loading of lost pods included. missing: samples that no round has made. requests: claims asked for, and pages of
    listings."""

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    lost_seconds: float = 0.0
    losses: int = 0
    rounds: int = 0
    missing: int = 0
    requests: int = 0


@dataclass(eq=False)
class _Pod:
    """One attempt of a worker."""

    worker: int
    attempt: int
    begun: float = 0.0
    useful_from: float = 0.0
    """Since when nothing is finished: of a lost pod, what follows is lost."""
    pull: Pull | None = None
    queue: deque[str] = field(default_factory=deque)
    ended: bool = False


class Memory(Store):
    """Objects of this process, as a store that answers at once."""

    uri = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests = 0

    def create(self, key: str, data: bytes) -> bytes:
        """See `Store.create`."""
        self.requests += 1
        return self.objects.setdefault(key, data)

    def list(self, prefix: str) -> Iterator[str]:
        """See `Store.list`; in the order of creation."""
        keys = [key for key in self.objects if key.startswith(prefix)]
        self.requests += 1 + len(keys) // 1000
        return iter(keys)

    def read(self, key: str) -> bytes:
        """See `Store.read`."""
        if key not in self.objects:
            raise KeyMissingError(f"no object {key}")
        return self.objects[key]

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.objects.pop(key, None)

    def size(self, key: str) -> int | None:
        """See `Store.size`."""
        return len(self.objects[key]) if key in self.objects else None

    def fingerprint(self, key: str) -> str | None:
        """See `Store.fingerprint`."""
        return None

    def put(self, key: str, data: bytes) -> None:
        """See `Store.put`."""
        self.objects[key] = data

    def upload(self, key: str, path: Path) -> None:
        """See `Store.upload`."""
        self.objects[key] = path.read_bytes()

    def fetch(self, key: str, scratch: Path) -> Path:
        """See `Store.fetch`."""
        path = scratch / key.replace("/", "-")
        path.write_bytes(self.read(key))
        return path


def simulate(scenario: Scenario, seed: int, *, rounds: int = ROUNDS) -> Outcome:
    """Play a scenario once. seed: of losses."""
    return _Play(scenario, random.Random(seed)).run(rounds)


class _Play:
    """The clock and what happens at it."""

    def __init__(self, scenario: Scenario, chance: random.Random) -> None:
        self.scenario, self.chance = scenario, chance
        self.seconds = {f"{number:020x}": each for number, each in enumerate(scenario.seconds)}
        self.now = 0.0
        self.outcome = Outcome()
        self.done: set[str] = set()
        self.store = Memory()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._waiting: deque[_Pod] = deque()
        self._running: list[_Pod] = []

    def run(self, rounds: int) -> Outcome:
        """Rounds until nothing is missing, or no more are left."""
        for second, _ in self.scenario.changes:
            self._at(second, self._resize)
        missing = list(self.seconds)
        while missing and self.outcome.rounds < rounds:
            first = self.scenario.gate if not self.done else None
            self._round(round_of(missing, frozenset(), self.scenario.plan, most_workers(rounds), 0, first))
            missing = [sample for sample in missing if sample not in self.done]
            if missing:
                self.now += 2 * self.scenario.start
        self.outcome.missing, self.outcome.requests = len(missing), self.store.requests
        return self.outcome

    def _round(self, planned: Round) -> None:
        self.planned, self.folder = planned, layout.round_folder("w", layout.round_name(self.outcome.rounds))
        self.outcome.rounds += 1
        self.own: list[dict[str, None]] = [{} for _ in range(planned.workers)]
        self.left = planned.workers
        for worker in range(planned.workers):
            self._waiting.append(_Pod(worker, 0))
        self._fill()
        while self.left:
            second, _, event = heapq.heappop(self._events)
            self.now = max(self.now, second)
            event()
        self.outcome.seconds = self.now

    def _at(self, second: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (second, next(self._count), event))

    def _later(self, pod: _Pod, seconds: float, event: Callable[[_Pod], None]) -> None:
        """Something that happens to a pod, unless it has ended."""
        self._at(self.now + seconds, lambda: None if pod.ended else event(pod))

    def _gpus(self) -> int:
        seconds = [second for second, _ in self.scenario.changes]
        index = bisect_right(seconds, self.now)
        return self.scenario.changes[index - 1][1] if index else self.scenario.gpus

    def _resize(self) -> None:
        """The pool changes: pods without a place are told to stop."""
        gone = self.chance.sample(self._running, max(0, len(self._running) - self._gpus()))
        for pod in gone:
            if pod.pull is not None:
                self._stop(pod)
            self._lose(pod)
        self._fill()

    def _stop(self, pod: _Pod) -> None:
        assert pod.pull is not None
        pod.pull.give_back(list(pod.queue))
        self.own[pod.worker] = pod.pull.own

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._gpus():
            pod = self._waiting.popleft()
            pod.begun = pod.useful_from = self.now
            self._running.append(pod)
            self._later(pod, self.scenario.start, self._begin)
            if self.scenario.lost_per_hour:
                self._later(pod, self.chance.expovariate(self.scenario.lost_per_hour / 3600), self._lose)

    def _begin(self, pod: _Pod) -> None:
        """Its program runs: it takes up its own, or the next, and loads its model if there is anything."""
        most = self.planned.most_of(pod.worker)
        pod.pull = self.scenario.puller(
            self.store, self.folder, self.planned.samples, pod.worker, self.planned.workers, str(pod.attempt), most
        )
        earlier = self.own[pod.worker]
        todo = [sample for sample in earlier if sample not in self.done]
        pod.queue.extend(sample for sample in todo if pod.pull.claim(sample, again=True))
        pod.pull.own |= {sample: None for sample in earlier if sample in self.done}
        if pod.queue or self._pull(pod, 1):
            self._later(pod, self.scenario.load, self._next)
        else:
            self._end(pod)

    def _pull(self, pod: _Pod, wanted: int) -> bool:
        assert pod.pull is not None
        pod.queue.extend(pod.pull.take(wanted, lambda _names: None))
        self.own[pod.worker] = dict(pod.pull.own)
        return bool(pod.queue)

    def _next(self, pod: _Pod) -> None:
        """It is loaded, or has finished a sample."""
        assert pod.pull is not None
        if self.now - pod.begun > self.scenario.worker_seconds:
            self._end(pod)
        elif pod.queue or self._pull(pod, pod.pull.share(self.scenario.batch)):
            self._later(pod, self.seconds[pod.queue[0]], self._finished)
        else:
            self._end(pod)

    def _finished(self, pod: _Pod) -> None:
        self.done.add(pod.queue.popleft())
        pod.useful_from = self.now
        self._next(pod)

    def _lose(self, pod: _Pod) -> None:
        self.outcome.losses += 1
        self.outcome.lost_seconds += self.now - pod.useful_from
        self._release(pod)
        if pod.attempt < GENERATE.retries:
            again = _Pod(pod.worker, pod.attempt + 1)
            self._at(self.now + min(BACKOFF * 2**pod.attempt, BACKOFF_MAX), lambda: self._queue(again))
        else:
            self.left -= 1
        self._fill()

    def _queue(self, pod: _Pod) -> None:
        self._waiting.append(pod)
        self._fill()

    def _end(self, pod: _Pod) -> None:
        self._release(pod)
        self.left -= 1
        self._fill()

    def _release(self, pod: _Pod) -> None:
        pod.ended = True
        self._running.remove(pod)
        self.outcome.gpu_seconds += self.now - pod.begun
