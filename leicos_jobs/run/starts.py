"""Starts: where a video begins. A conditioning clip and the simulator's state at one row of one demo, committed once.

A start is found by its identity, which is what it was made from; whichever plan made it first, all others use it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from leicos_jobs.backends.requests import CONDITIONING_ACTIONS
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run import layout, sealed
from leicos_jobs.run.opened import Run
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.store import KeyMissingError

State = dict[str, list[float]]
"""The simulator's state, name -> numbers, as LeIsaac's files name it."""


class Start(BaseModel):
    """Record of a start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: str
    clip_sha256: str
    state: State

    @property
    def scene(self) -> State:
        """The simulator's state alone."""
        return {path: values for path, values in self.state.items() if path != CONDITIONING_ACTIONS}


def commit(run: Run, identity: str, clip: Path, state: State) -> Start:
    """Write a start; returns the one that counts."""
    digest = sha256_file(clip)
    run.store.upload(layout.clip(identity, digest), clip)
    record = Start(identity=identity, clip_sha256=digest, state=state)
    return _parsed(run, identity, run.store.create(layout.start(identity), sealed.dump(record)))


def find(run: Run, identity: str) -> Start | None:
    """The start of an identity, None if there is none yet. Raises DamageError."""
    try:
        return _parsed(run, identity, run.store.read(layout.start(identity)))
    except KeyMissingError:
        return None


def read(run: Run, identity: str) -> Start:
    """The same. Raises InputError if there is none."""
    if (start := find(run, identity)) is None:
        uri = run.store.uri
        raise InputError(
            f"{uri}/{layout.start(identity)} is missing", fix=f"run `leicos check {uri} --repair`, then start again"
        )
    return start


def fetch_clip(run: Run, start: Start, scratch: Path) -> Path:
    """The conditioning clip as a local file. Raises DamageError."""
    return run.commits.fetch_object(layout.clip(start.identity, start.clip_sha256), start.clip_sha256, scratch)


def joints(start: Start, robot: Embodiment) -> NDArray[np.float32]:
    """(state width,) joint positions as recorded. Raises InputError if the start has none of this robot."""
    by_name: dict[str, float] = {}
    for path, columns in robot.tables("start"):
        values = start.state.get(path, [])
        if len(values) != len(columns):
            raise InputError(
                f"start {start.identity}: {path} has {len(values)} numbers, a {robot.name} has {len(columns)}",
                fix="correct recording.start of the robot's file",
            )
        by_name |= {name: value for name, value in zip(columns, values, strict=True) if name is not None}
    return np.array([by_name[name] for name in robot.state.names], dtype=np.float32)


def _parsed(run: Run, identity: str, data: bytes) -> Start:
    start = sealed.load(Start, data, layout.start(identity), run.store.uri)
    if start.identity != identity:
        raise DamageError(layout.start(identity), run.store.uri, f"it is the start {start.identity}")
    return start
