"""Heartbeats: a worker names the samples that it works on; the next attempt so knows which ones a vanished one had.

A worker that pulls also names all that it has taken, and what it is about to claim: its claims are found again without
reading those of others, and gate and label follow the videos of the worker that made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core import logs
from leicos_jobs.run import failures, layout, sealed
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import attempt_facts
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.store import KeyMissingError, Store


class Heartbeat(BaseModel):
    """What a worker says of itself: its attempt and host, the samples that it works on now or is about to claim, and
    all that it has taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt: str
    host: str
    samples: tuple[str, ...]
    taken: tuple[str, ...] = ()


def beat(
    store: Store, stage: str, worker: str, attempt: str, samples: Iterable[str], taken: Iterable[str] = ()
) -> None:
    """Say what an attempt of a worker works on."""
    host = attempt_facts()["host"]
    heart = Heartbeat(attempt=attempt, host=host, samples=tuple(samples), taken=tuple(taken))
    store.put(layout.heartbeat(stage, worker), sealed.dump(heart))


def read(store: Store, stage: str, worker: str) -> Heartbeat | None:
    """A worker's last heartbeat; None before its first. Raises DamageError."""
    key = layout.heartbeat(stage, worker)
    try:
        return sealed.load(Heartbeat, store.read(key), key, store.uri)
    except KeyMissingError:
        return None


def taken(store: Store, stage: str, worker: str) -> tuple[str, ...]:
    """All samples that a worker has taken; none where it does not say: they are missing in the next round."""
    try:
        heart = read(store, stage, worker)
    except DamageError as error:
        logs.event(f"{stage}.heartbeat_damaged", error=error.message)
        return ()
    return heart.taken if heart else ()


def settle(store: Store, stage: str, heart: Heartbeat, pending: Sequence[State]) -> None:
    """Note a loss of each pending sample that an earlier attempt still names: it vanished while it worked on it."""
    still = {state.sample.id: state.keys[stage] for state in pending}
    for sample in heart.samples:
        if sample in still:
            failure = failures.Failure(
                stage=stage,
                sample=sample,
                key=still[sample],
                kind="lost",
                error=f"worker {heart.host} vanished while it worked on this sample",
            )
            failures.note(store, failure, unique=f"lost-{heart.attempt}")
