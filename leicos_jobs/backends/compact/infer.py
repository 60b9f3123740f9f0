"""The labeller: a trained folder and videos in, actions out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel

from leicos_jobs.backends.base import LabelRequest, LabelResult, Started
from leicos_jobs.backends.compact import images, machine, predict
from leicos_jobs.backends.compact.artifact import Artifact
from leicos_jobs.backends.compact.settings import LabellerSettings
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.media.probe import probe


class CompactLabeller:
    """Labels videos one at a time; a video's labels depend on its bytes, the artifact and the settings alone.

    There is nothing random, so `LabelRequest.seed` is not used.
    """

    name: ClassVar[str] = "compact"
    version: ClassVar[int] = 1
    upstream: ClassVar[str] = ""
    Settings: ClassVar[type[BaseModel]] = LabellerSettings
    batch: int = 8

    def __init__(self, settings: BaseModel, artifact: Path, work: Path) -> None:
        self.settings = LabellerSettings.model_validate(settings.model_dump())
        self.model = Artifact.load(artifact)

    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield labels in the order of the requests."""
        for request in requests:
            started(request.sample)
            rows = self.settings.smoothing_rows if self.settings.smoothing == "hann" else 1
            yield LabelResult(request.sample, self.label(request.video), {"smoothing_rows": rows})

    def label(self, video: Path) -> predict.F32:
        """Actions (frames, joints) in motor units. Raises InputError if size or frame rate are not the training's."""
        info = probe(video)
        if info.size != self.model.spec.source:
            raise images.geometry_error(video, info.size, self.model.spec.source)
        if abs(float(info.fps) - self.model.fps) > 0.01:
            raise InputError(
                f"{video} plays at {float(info.fps):g} frames/s, the model was trained on {self.model.fps:g}",
                fix="re-stamp the video to the dataset's frame rate",
            )
        windows = images.read_windows(video, self.model.spec)
        with machine.settled(self.settings.device, self.settings.threads) as device:
            self.model.encoder.to(device)
            actions = predict.label(self.model, windows, device)
        if self.settings.smoothing == "hann":
            actions = predict.hann(actions, self.settings.smoothing_rows)
        if len(actions) != info.frames or not np.isfinite(actions).all():
            raise DefectError(f"{video}: {len(actions)} labels for {info.frames} frames, or some not finite")
        return actions
