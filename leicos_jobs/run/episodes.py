"""Episodes of the real dataset: which demo and which rows each came from, and the only arithmetic between the two.

Dataset row k of an episode is row `first_row + k * stride` of its recording.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import parsed, parsed_json
from leicos_jobs.run import layout
from leicos_jobs.run.commits import made_again
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample
from leicos_jobs.store import KeyMissingError


class Episode(BaseModel):
    """One line of dataset/meta/leicos/episodes.jsonl: where an episode of the dataset came from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    episode_index: int
    file: str
    file_sha256: str
    demo: str
    first_row: int
    stride: int
    frames: int
    control_hz: float

    @property
    def fps(self) -> float:
        """Dataset frames per second."""
        return self.control_hz / self.stride

    def row(self, frame: int) -> int:
        """The recording's row that a frame of the dataset shows."""
        return self.first_row + frame * self.stride

    def frame(self, row: int) -> int:
        """The dataset's frame that shows a row of the recording. Raises ValueError for a row that no frame shows."""
        frame, rest = divmod(row - self.first_row, self.stride)
        if rest or not 0 <= frame < self.frames:
            raise ValueError(f"row {row} of {self.demo} is in no frame of the dataset")
        return frame

    def rows(self) -> NDArray[np.int64]:
        """(frames,) the rows of all frames."""
        return self.first_row + self.stride * np.arange(self.frames, dtype=np.int64)


def read(run: Run) -> list[Episode]:
    """Episodes of the real dataset. Raises InputError before convert."""
    try:
        data = run.store.read(layout.EPISODES)
    except KeyMissingError:
        raise InputError(f"{run.store.uri} has no dataset yet", fix="run `leicos convert` first") from None
    where, fix = f"{run.store.uri}/{layout.EPISODES}", made_again("convert")
    return [parsed(Episode, line, where, fix) for line in data.splitlines() if line.strip()]


def start_state(run: Run, sample: Sample) -> dict[str, list[float]]:
    """The simulator's state at a sample's row0, name -> numbers, as LeIsaac's files name it."""
    found: dict[str, list[float]] = parsed_json(
        run.store.read(sample.start), f"{run.store.uri}/{sample.start}", made_again("plan")
    )
    return found


def start_joints(run: Run, sample: Sample) -> list[float]:
    """Joint positions in radians at a sample's row0."""
    return start_state(run, sample)["articulation/robot/joint_position"]


def split(items: Sequence[Episode], config: RunConfig) -> dict[int, Literal["train", "held_out"]]:
    """Which episodes the IDM may train on. A demo's side depends on (seed, file, demo) only, whatever the others."""

    def rank(item: Episode) -> str:
        return hashlib.sha256(f"{config.split.seed}/{item.file_sha256}/{item.demo}".encode()).hexdigest()

    count = math.ceil(config.split.held_out_share * len(items))
    count = min(count, len(items) - 1)
    held = {item.episode_index for item in sorted(items, key=rank)[:count]}
    return {item.episode_index: "held_out" if item.episode_index in held else "train" for item in items}
