"""Heartbeats: a worker names the samples that it works on; the next attempt so knows which ones a vanished one had."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core import logs
from leicos_jobs.run import failures, layout, sealed
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import attempt_facts
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.store import KeyMissingError, Store


class Heartbeat(BaseModel):
    """What a worker says of itself: its attempt and host, and the samples that it works on now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt: str
    host: str
    samples: tuple[str, ...]


def beat(store: Store, stage: str, worker: str, attempt: str, states: Sequence[State]) -> None:
    """Say what an attempt of a worker works on."""
    names = tuple(state.sample.id for state in states)
    heart = Heartbeat(attempt=attempt, host=attempt_facts()["host"], samples=names)
    store.put(layout.heartbeat(stage, worker), sealed.dump(heart))


def settle(store: Store, stage: str, worker: str, pending: Sequence[State]) -> None:
    """Note a loss of each pending sample that an earlier attempt still names: it vanished while it worked on it."""
    key = layout.heartbeat(stage, worker)
    try:
        heart = sealed.load(Heartbeat, store.read(key), key, store.uri)
    except KeyMissingError:
        return
    except DamageError as error:  # it says who vanished, and no more: without it nobody did
        logs.event(f"{stage}.heartbeat_damaged", error=error.message)
        return
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
