"""The two classes that entry points name. They are light: torch is imported when one is constructed or trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from leicos_jobs.backends.base import LabelRequest, LabelResult, Started, TrainRequest
from leicos_jobs.backends.compact.settings import NAME, TRAINER_VERSION, CompactSettings, LabellerSettings


class CompactLabeller:
    """Labels videos one at a time; a video's labels depend on its bytes, the artifact and the settings alone.

    There is nothing random, so `LabelRequest.seed` is not used.
    """

    name: ClassVar[str] = NAME
    version: ClassVar[int] = 1
    upstream: ClassVar[str] = ""
    batch: int = 1
    Settings: ClassVar[type[BaseModel]] = LabellerSettings

    def __init__(self, settings: BaseModel, artifact: Path, work: Path) -> None:
        from leicos_jobs.backends.compact.artifact import Artifact

        self.settings = LabellerSettings.model_validate(settings.model_dump())
        self._model = Artifact.load(artifact)

    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield labels in the order of the requests."""
        rows = self.settings.smoothing_rows if self.settings.smoothing == "hann" else 1
        for request in requests:
            started(request.sample)
            yield LabelResult(request.sample, self.label(request.video), {"smoothing_rows": rows})

    def label(self, video: Path) -> NDArray[np.float32]:
        """Actions of one video, see `infer.label`."""
        from leicos_jobs.backends.compact import infer

        return infer.label(self._model, self.settings, video)


class CompactTrainer:
    """Trains the encoder, then the temporal head."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = TRAINER_VERSION
    upstream: ClassVar[str] = ""
    batch: int = 1
    Settings: ClassVar[type[BaseModel]] = CompactSettings

    def __init__(self, settings: BaseModel, work: Path) -> None:
        self.settings = CompactSettings.model_validate(settings.model_dump())

    def train(self, request: TrainRequest) -> dict[str, Any]:
        """Train and write the artifact; facts for the report, see `train.train`."""
        from leicos_jobs.backends.compact import train

        return train.train(self.settings, request)
