"""Critics: a vision-language model's opinion of a generated video, between gate and label. None is on by default.

`gate.critic` in the configuration switches one on. It sees the video and the task text, never truth, and only videos
that the gate's own checks let through. Its scores go into the gate's record; thresholds are the configuration's, not
the critic's. Found by entry point `leicos.critic`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from leicos_jobs.backends.base import Backend, Started


@dataclass(frozen=True)
class CriticRequest:
    """One video to judge. task: what the robot should be doing, as prose. seed: derives from the sample's id."""

    sample: str
    video: Path
    task: str
    seed: int


@dataclass(frozen=True)
class CriticResult:
    """`scores`: name -> 0..1, 1 is good, e.g. physics, task. `notes` (the model's words) go into the record."""

    sample: str
    scores: dict[str, float]
    notes: dict[str, Any] = field(default_factory=dict)


class Critic(Backend, Protocol):
    """video + task text -> scores. `scores`: the names of all scores that it gives."""

    scores: ClassVar[tuple[str, ...]]

    def __init__(self, settings: BaseModel, work: Path) -> None: ...

    def process(self, requests: Sequence[CriticRequest], started: Started) -> Iterator[CriticResult]:
        """Yield a result for each request, as the other backends do."""
        ...
