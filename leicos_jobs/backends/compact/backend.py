"""The two classes that entry points name. They are light: torch is imported when one is constructed or trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from leicos_jobs.backends.base import Labeller, Started, Trainer
from leicos_jobs.backends.compact.settings import NAME, TRAINER_VERSION, CompactSettings, LabellerSettings
from leicos_jobs.backends.requests import LabelRequest, LabelResult, TrainRequest, TrainResult


class CompactLabeller(Labeller[LabellerSettings], name=NAME, version=1):
    """Labels videos one at a time; a video's labels depend on its bytes, the artifact and the settings alone.

    There is nothing random, so `LabelRequest.seed` is not used.
    """

    def __init__(self, settings: LabellerSettings, artifact: Path, work: Path) -> None:
        from leicos_jobs.backends.compact.artifact import Artifact

        super().__init__(settings, artifact, work)
        self._model = Artifact.load(artifact)

    @override
    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield labels in the order of the requests."""
        rows = self.settings.smoothing_rows if self.settings.smoothing == "hann" else 1
        for request in requests:
            started(request.sample)
            yield LabelResult(request.sample, self.label(request.video), {"smoothing_rows": rows})

    def label(self, video: Path) -> NDArray[np.float32]:
        """Actions of one video, see `predict.label`."""
        from leicos_jobs.backends.compact import predict

        return predict.label(self._model, self.settings, video)


class CompactTrainer(Trainer[CompactSettings], name=NAME, version=TRAINER_VERSION):
    """Trains the encoder, then the temporal head."""

    @override
    def train(self, request: TrainRequest) -> TrainResult:
        """Train and write the artifact; see `train.train`."""
        from leicos_jobs.backends.compact import train

        return train.train(self.settings, request)
