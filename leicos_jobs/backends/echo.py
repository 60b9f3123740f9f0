"""generate/echo: the demo itself, encoded again. How good would labels be on *my* data?

It works for any robot and needs no simulator: the real episode from row0 on is the video, and its real actions are the
truth. It says nothing about a generator; point the plan at held-out demos to ask about the IDM alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat

import numpy as np
from pydantic import Field
from typing_extensions import override

from leicos_jobs.backends.base import Generator, Settings, Started
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core.errors import DefectError
from leicos_jobs.media.decode import read_frames
from leicos_jobs.media.encode import write_video


class EchoSettings(Settings):
    """Settings of the echo generator."""

    crf: int = Field(28, ge=0, le=51)
    """x264 quality of the second encoding; higher is worse than the training videos."""


class EchoGenerator(Generator[EchoSettings], name="echo", version=1, needs_demo=True):
    """Re-encodes the demo's own video from row0 on; the last frame is held where the demo is shorter."""

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield one video per request. Raises DefectError if the demo's episode was not given."""
        for request in requests:
            started(request.sample)
            if request.demo is None or request.demo_actions is None:
                raise DefectError(f"sample {request.sample}: echo was given no video and actions of the demo")
            first = request.demo_first
            frames = list(islice(read_frames(request.demo), first, first + request.frames))
            rows = request.demo_actions[first : first + request.frames]
            held = request.frames - len(frames)
            video = request.out_dir / "video.mp4"
            write_video(video, chain(frames, repeat(frames[-1], held)), request.fps, crf=self.settings.crf)
            actions = np.concatenate([rows, np.repeat(rows[-1:], held, axis=0)]).astype(np.float32)
            facts = {"defect": None, "held_frames": held}
            yield GenerateResult(request.sample, video, truth={"action": actions}, truth_facts=facts)
