"""Failures of samples, and the quarantine they lead to.

Each failure is an object of its own (create-if-absent, so two workers cannot overwrite each other's). A sample is
quarantined after `quarantine_after` failures, or after `losses_max` workers that vanished while they worked on it: a
node that was taken away says little about the sample. Notes belong to a key, so new settings give a sample new chances.
"""

from __future__ import annotations

import itertools
import shlex
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core import stages
from leicos_jobs.run import layout, sealed
from leicos_jobs.run.chain import State
from leicos_jobs.run.config import RoundsConfig
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.store import S3, KeyMissingError, Store

Kind = Literal["failed", "lost"]


class Failure(BaseModel):
    """One failure of one sample."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    sample: str
    key: str
    kind: Kind
    error: str


def note(store: Store, failure: Failure, unique: str | None = None) -> None:
    """Write a failure down. `unique` names the event, so that two who saw the same one count it once."""
    name = f"{layout.failures(failure.stage, failure.sample)}{unique or uuid.uuid4().hex}.json"
    store.create(name, sealed.dump(failure))


def noted(store: Store, stage: str) -> dict[str, list[str]]:
    """Keys of a stage's notes by sample: one listing."""
    keys: dict[str, list[str]] = defaultdict(list)
    for key in store.list(layout.failures(stage)):
        keys[key.split("/")[2]].append(key)
    return dict(keys)


def read_all(store: Store, stage: str) -> dict[str, list[Failure]]:
    """All failures of a stage by sample. Raises DamageError."""
    return {sample: read(store, stage, sample, keys) for sample, keys in noted(store, stage).items()}


def read(store: Store, stage: str, sample: str, keys: Iterable[str]) -> list[Failure]:
    """A sample's notes that have these keys. Raises DamageError."""
    return [note for key in keys for note in _read(store, stage, sample, key)]


def read_of(store: Store, stage: str, sample: str) -> list[Failure]:
    """The failures of one sample in a stage, whatever others have. Raises DamageError."""
    return read(store, stage, sample, store.list(layout.failures(stage, sample)))


def _read(store: Store, stage: str, sample: str, key: str) -> Iterator[Failure]:
    """One note; none if it was forgotten meanwhile."""
    try:
        failure = sealed.load(Failure, store.read(key), key, store.uri)
    except KeyMissingError:
        return
    if (failure.stage, failure.sample) != (stage, sample):
        what = f"it is a failure of sample {failure.sample} in {failure.stage}"
        raise DamageError(key, store.uri, what)
    yield failure


def quarantined(failures: list[Failure], key: str, limits: RoundsConfig) -> Failure | None:
    """The failure that explains why a sample is quarantined under this key, or None if it may be tried."""
    own = [failure for failure in failures if failure.key == key]
    failed = [failure for failure in own if failure.kind == "failed"]
    lost = [failure for failure in own if failure.kind == "lost"]
    if len(failed) >= limits.quarantine_after:
        return failed[-1]
    if len(lost) >= limits.losses_max:
        return lost[-1]
    return None


def why_quarantined(state: State, notes: dict[str, dict[str, list[Failure]]], limits: RoundsConfig) -> Failure | None:
    """The failure that quarantines a sample in its next stage, or None. notes: by stage, as `read_all` gives them."""
    for stage in notes:
        if state.pending(stage):
            own = notes[stage].get(state.sample.id, [])
            return quarantined(own, state.keys[stage], limits)
    return None


def suspected(failures: list[Failure], key: str, limits: RoundsConfig) -> bool:
    """Whether so many workers vanished while they worked on the sample that it must be worked alone: half of those that
    quarantine it. The others of its batch were lost with it, and may be innocent."""
    return sum(failure.key == key and failure.kind == "lost" for failure in failures) >= limits.losses_max / 2


def forget(store: Store) -> str:
    """Delete all failure notes of a run, so that what is quarantined gets new chances; returns what that was."""
    counts = {stage: list(store.list(layout.failures(stage))) for stage in stages.SAMPLE}
    for key in itertools.chain(*counts.values()):
        store.delete(key)
    said = ", ".join(f"{len(keys)} in {stage}" for stage, keys in counts.items() if keys)
    return f"failures forgotten: {said or 'there were none'}"


def go_on_command(uri: str) -> str:
    """The command that goes on with a run, by where it lives."""
    return f"leicos resubmit {shlex.quote(uri)}" if uri.startswith(S3) else f"leicos run --out {shlex.quote(uri)}"


def retry_command(uri: str) -> str:
    """The same, which also calls `forget`."""
    return f"{go_on_command(uri)} --retry-quarantined"
