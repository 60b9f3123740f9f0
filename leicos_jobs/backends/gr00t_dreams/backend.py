"""The two classes that entry points name. They are light: torch and the model are imported when one is constructed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from leicos_jobs.backends.base import LabelRequest, LabelResult, Started, TrainRequest
from leicos_jobs.backends.gr00t_dreams.settings import UPSTREAM, LabellerSettings, TrainerSettings

NAME = "gr00t-dreams"


class Gr00tDreamsLabeller:
    """Labels several videos at a time; labels depend on a video's bytes and seed, the artifact and the settings."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = 1
    upstream: ClassVar[str] = UPSTREAM
    Settings: ClassVar[type[BaseModel]] = LabellerSettings
    run_ahead: ClassVar[bool] = True

    def __init__(self, settings: BaseModel, artifact: Path, work: Path) -> None:
        from leicos_jobs.backends.gr00t_dreams.labeller import Labeller

        checked = settings if isinstance(settings, LabellerSettings) else LabellerSettings(**settings.model_dump())
        self.batch: int = checked.videos
        self._labeller = Labeller(checked, artifact)

    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield labels as videos are finished."""
        return self._labeller.process(requests, started)


class Gr00tDreamsTrainer:
    """Trains with upstream's own script and publishes the artifact that the labeller loads."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = 1
    upstream: ClassVar[str] = UPSTREAM
    Settings: ClassVar[type[BaseModel]] = TrainerSettings
    batch: int = 1

    def __init__(self, settings: BaseModel, work: Path) -> None:
        checked = settings if isinstance(settings, TrainerSettings) else TrainerSettings(**settings.model_dump())
        self.settings: TrainerSettings = checked
        self.work = work

    def train(self, request: TrainRequest) -> dict[str, Any]:
        """Train and write the artifact; facts for the report."""
        from leicos_jobs.backends.gr00t_dreams.trainer import train

        return train(self.settings, self.work, request)
