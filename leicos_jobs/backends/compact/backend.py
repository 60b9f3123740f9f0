"""The two classes that entry points name. They are light: torch is imported when one is constructed or trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from leicos_jobs.backends.base import LabelRequest, LabelResult, Started, TrainRequest
from leicos_jobs.backends.compact.settings import CompactSettings, LabellerSettings

NAME = "compact"


class CompactLabeller:
    """Labels videos one at a time; a video's labels depend on its bytes, the artifact and the settings alone."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = 1
    upstream: ClassVar[str] = ""
    batch: int = 1
    Settings: ClassVar[type[BaseModel]] = LabellerSettings

    def __init__(self, settings: BaseModel, artifact: Path, work: Path) -> None:
        from leicos_jobs.backends.compact import infer

        self._labeller = infer.CompactLabeller(settings, artifact, work)

    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield labels in the order of the requests."""
        return self._labeller.process(requests, started)


class CompactTrainer:
    """Trains the encoder, then the temporal head, then judges both on the demos held out."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = 1
    upstream: ClassVar[str] = ""
    batch: int = 1
    Settings: ClassVar[type[BaseModel]] = CompactSettings

    def __init__(self, settings: BaseModel, work: Path) -> None:
        self.settings = settings
        self.work = work

    def train(self, request: TrainRequest) -> dict[str, Any]:
        """Train and write the artifact; facts for the report."""
        from leicos_jobs.backends.compact import train

        return train.CompactTrainer(self.settings, self.work).train(request)
