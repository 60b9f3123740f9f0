"""What a stage's work took and takes: pod hours, loading, workers at it, money. All read from the store.

Hours are at least these: a process that was killed leaves no timing, so where the records' own seconds add up to more,
they count. A worker is an object that names the samples that it works on; one that vanished counts until its step
is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leicos_jobs.core import logs
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.core.stages import STAGES
from leicos_jobs.core.validation import describe_errors, parsed_json
from leicos_jobs.run import layout
from leicos_jobs.run.config import CostConfig
from leicos_jobs.store import KeyMissingError, Store


class Timing(BaseModel):
    """How long one process of a stage took. A cache: one that cannot be read is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    stage: str
    seconds: float = Field(ge=0)
    load_seconds: float = Field(0.0, ge=0)
    """Of those, spent loading a model."""
    samples: int | None = None
    """How many it committed; None for a stage done as a whole."""
    gpus: int = Field(1, ge=1)
    """Of its pod."""
    ended: float | None = None
    """Unix time."""
    attempt: str | None = None
    """The worker's, as its records have it."""


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
    """Processes that work on samples."""

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
    timings = [item for item in in_parallel(_reader(store), _beside(store, layout.timing(stage, ""))) if item]
    beats = list(in_parallel(lambda key: _json(store, key), _beside(store, layout.heartbeat(stage, ""))))
    seconds = sum(item.seconds for item in timings)
    return Measured(
        seconds=max(seconds, record_seconds),
        gpu_seconds=max(sum(item.seconds * item.gpus for item in timings), record_seconds),
        load_seconds=sum(item.load_seconds for item in timings),
        workers=sum(isinstance(beat, dict) and bool(beat.get("samples")) for beat in beats),
    )


def read_timing(store: Store, key: str) -> Timing | None:
    """A timing, None if there is none that can be read."""
    found = _json(store, key)
    try:
        return Timing.model_validate(found) if found is not None else None
    except ValidationError as error:
        logs.event("timing.unreadable", key=key, error=describe_errors(error))
        return None


def _reader(store: Store) -> Callable[[str], Timing | None]:
    return lambda key: read_timing(store, key)


def _beside(store: Store, example: str) -> Iterator[str]:
    """All keys in the folder of a key."""
    return store.list(example.rpartition("/")[0] + "/")


def _json(store: Store, key: str) -> Any:
    """What an object holds, None if it cannot be read: without it the stage took a little less, as far as is known."""
    try:
        return parsed_json(store.read(key), f"{store.uri}/{key}")
    except KeyMissingError:
        return None
    except InputError as error:
        logs.event("timing.unreadable", key=key, error=error.message)
        return None
