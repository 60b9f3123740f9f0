"""generate/still: the first picture of the clip, held. A floor: a generator must beat it, and the gate must refuse it.

All of a backend is here: what it is called, its settings, and a result for each request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

from pydantic import Field
from typing_extensions import override

from leicos_jobs.backends.base import Generator, Settings, Started
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.media.decode import read_frames
from leicos_jobs.media.encode import write_video


class StillSettings(Settings):
    """Values that differ from the defaults enter each sample's id; unknown ones are refused."""

    crf: int = Field(23, ge=0, le=51)
    """x264 quality; higher is worse."""


class StillGenerator(Generator[StillSettings], name="still", version=1, batch=4):
    """Raise `version` whenever the same request gives another video: its samples are then made again."""

    def __init__(self, settings: StillSettings, checkpoint: Path | None, work: Path) -> None:
        """Import and load heavy things here, not in the module. work: a folder to use."""
        super().__init__(settings, checkpoint, work)

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield a result as soon as it is finished. An exception counts against the request announced last."""
        for request in requests:
            started(request.sample)
            frames = repeat(next(read_frames(request.clip)), request.frames)
            video = request.out_dir / "video.mp4"
            size = (request.width, request.height)
            write_video(video, frames, request.fps, crf=self.settings.crf, size=size)
            yield GenerateResult(request.sample, video)
