"""Episodes of the real dataset: which demo and which rows each came from, and the only arithmetic between the two.

Dataset row k of an episode is row `first_row + k * stride` of its recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.validation import parsed
from leicos_jobs.formats.cosmos import trains
from leicos_jobs.run import layout
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results

Side = Literal["train", "held_out"]
"""Of the split: whether the IDM trains on a demo."""


class Content(BaseModel):
    """One line of the dataset's episodes.jsonl: what an episode's demo is, whatever it was called."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    episode_index: int
    demo_sha256: str
    """Digest of the demo's tables and of its images that are in the dataset."""
    tables_sha256: str
    """Of its tables alone."""
    first_row: int
    stride: int
    frames: int
    control_hz: float
    states: bool = True
    """Whether its source has the simulator's states."""


class Origin(BaseModel):
    """One line of origins.jsonl: where an episode's demo was found. No part of any identity."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    episode_index: int
    file: str
    demo: str


class Episode(Content):
    """An episode with its origin."""

    file: str
    """As the configuration names it."""
    demo: str
    """Name in the recording, e.g. demo_3."""
    task: str = ""
    """Its task text."""

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


def read(run: Run, results: Results | None = None) -> list[Episode]:
    """Episodes of the real dataset. Raises InputError before convert, DamageError."""
    from leicos_jobs.formats.lerobot_meta import EpisodeLine  # both bring pyarrow
    from leicos_jobs.formats.lerobot_v21 import META

    record = (results or Results(run)).needed("convert")

    def lines(name: str) -> list[bytes]:
        return list(run.commits.read_lines(record, name))

    content = [parsed(Content, line, record.path(layout.EPISODES)) for line in lines(layout.EPISODES)]
    origins = [parsed(Origin, line, record.path(layout.ORIGINS)) for line in lines(layout.ORIGINS)]
    texts = [parsed(EpisodeLine, line, record.path(META["episodes"])).tasks for line in lines(META["episodes"])]
    return [
        Episode(**one.model_dump(), file=other.file, demo=other.demo, task=tasks[0])
        for one, other, tasks in zip(content, origins, texts, strict=True)
    ]


def of_clips(items: Sequence[Episode]) -> list[Episode]:
    """The episodes of the post-training folder, in the order of its clips: videos/1.mp4 is the first one's."""
    return [item for item in items if trains(item.frames)]


def image_digests(run: Run) -> list[list[str]]:
    """For each episode, digests of the images of its frames as the recording has them."""
    record = Results(run).needed("convert")
    return [line.decode().split() for line in run.commits.read_lines(record, layout.IMAGES)]


def split(items: Sequence[Episode], config: RunConfig) -> dict[int, Side]:
    """Which episodes the IDM may train on. A demo's side depends on (seed, its content) only, whatever the others.

    But for the first two: where both would fall on one side, one of them changes it, so that neither side is empty.
    Demos that are appended to a recording change nothing.
    """
    share = config.split.held_out_share

    def rank(demo: str) -> float:
        digest = hashlib.sha256(f"{config.split.seed}/{demo}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64

    demos = list(dict.fromkeys(item.demo_sha256 for item in sorted(items, key=lambda item: item.episode_index)))
    sides: dict[str, Side] = {demo: "held_out" if rank(demo) < share else "train" for demo in demos}
    if len(demos) >= 2 and share > 0 and sides[demos[0]] == sides[demos[1]]:
        lower, higher = sorted(demos[:2], key=rank)
        sides[lower], sides[higher] = "held_out", "train"
    elif len(demos) < 2:
        sides = dict.fromkeys(demos, "train")
    return {item.episode_index: sides[item.demo_sha256] for item in items}
