"""What a stage's work took and takes: pod hours, loading, workers at it, money. All read from the store.

Hours are at least these: a process that was killed leaves no timing, so where the records' own seconds add up to more,
they count. A worker is an object that names samples in hand; one that vanished counts until its shard is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from leicos_jobs.core import logs
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import STAGES
from leicos_jobs.core.validation import parsed_json
from leicos_jobs.run import layout
from leicos_jobs.run.config import CostConfig
from leicos_jobs.run.results import READERS
from leicos_jobs.store import KeyMissingError, Store

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Measured:
    """What the store says of one stage."""

    seconds: float
    """Of its processes, in all."""
    gpu_seconds: float
    """The same, times the GPUs of each process (where it has any)."""
    load_seconds: float
    """Of those, spent loading models."""
    workers: int
    """Processes with samples in hand."""

    @property
    def hours(self) -> float:
        """Pod hours."""
        return self.seconds / 3600

    @property
    def load_share(self) -> float | None:
        """Share of the time spent loading models; None before anything was measured."""
        return self.load_seconds / self.seconds if self.seconds else None

    def dollars(self, stage: str, cost: CostConfig) -> float:
        """Money by the configuration's price table; a pool without a price costs nothing."""
        return self.hours * cost.dollars_per_hour.get(STAGES[stage].pool, 0.0)


def measure(store: Store, stage: str, record_seconds: float = 0.0) -> Measured:
    """Read a stage's timings and heartbeats. `record_seconds`: sum over its records, the least that it took."""
    timings = _read_all(store, layout.timing(stage, ""))
    beats = _read_all(store, layout.heartbeat(stage, ""))
    seconds = sum(float(item["seconds"]) for item in timings)
    return Measured(
        seconds=max(seconds, record_seconds),
        gpu_seconds=max(sum(float(item["seconds"]) * item.get("gpus", 1) for item in timings), record_seconds),
        load_seconds=sum(float(item["load_seconds"]) for item in timings),
        workers=sum(bool(beat["samples"]) for beat in beats),
    )


def _read_all(store: Store, example: str) -> list[dict[str, Any]]:
    """All JSON objects in the folder of a key."""
    keys = store.list(example.rpartition("/")[0] + "/")
    return [item for item in in_parallel(lambda key: _read(store, key), keys) if item is not None]


def _read(store: Store, key: str) -> dict[str, Any] | None:
    try:
        found = parsed_json(store.read(key), f"{store.uri}/{key}")
    except KeyMissingError:
        return None
    except InputError as error:  # a cache: without it the stage took a little less, as far as is known
        logs.event("status.unreadable", error=error.message)
        return None
    return found if isinstance(found, dict) else None


def in_parallel(act: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Results in order; on S3 a read is a round trip, not work."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(act, items))
