"""The two classes that entry points name. They are light: torch is imported when one is constructed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from typing_extensions import override

from leicos_jobs.backends import base
from leicos_jobs.backends.base import Started
from leicos_jobs.backends.gr00t_dreams.settings import UPSTREAM, LabellerSettings, TrainerSettings
from leicos_jobs.backends.requests import LabelRequest, LabelResult, TrainRequest, TrainResult

NAME = "gr00t-dreams"


class Gr00tDreamsLabeller(
    base.Labeller[LabellerSettings], name=NAME, version=1, upstream=UPSTREAM, batch=64, run_ahead=True
):
    """Labels several videos at a time; labels depend on a video's bytes and seed, the artifact and the settings."""

    def __init__(self, settings: LabellerSettings, artifact: Path, work: Path) -> None:
        from leicos_jobs.backends.gr00t_dreams.labeller import Labeller

        super().__init__(settings, artifact, work)
        self.batch = settings.videos
        self._labeller = Labeller(settings, artifact)

    @override
    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield labels as videos are finished."""
        return self._labeller.process(requests, started)

    @override
    def close(self) -> None:
        """End the decoders."""
        self._labeller.close()


class Gr00tDreamsTrainer(base.Trainer[TrainerSettings], name=NAME, version=1, upstream=UPSTREAM):
    """Trains with upstream's own script and publishes the artifact that the labeller loads."""

    @override
    def train(self, request: TrainRequest) -> TrainResult:
        """Train and write the artifact, see `trainer.train`."""
        from leicos_jobs.backends.gr00t_dreams.trainer import train

        return train(self.settings, self.work, request)
