"""What a runner of upstream is given and what it tells: shared by the resident driver and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from leicos_jobs.formats.cosmos import BatchLine


@dataclass(frozen=True)
class Job:
    """One video to make: upstream's line for it, and an empty folder of its own."""

    line: BatchLine
    out: Path

    @property
    def name(self) -> str:
        """The sample's id, which is also upstream's name for it."""
        return self.line.name


@dataclass(frozen=True)
class Started:
    """Upstream works on this one now."""

    name: str


@dataclass(frozen=True)
class Finished:
    """Upstream is done with it and left a file that nobody writes any more; not verified yet."""

    name: str
    video: Path
    seconds: float


@dataclass(frozen=True)
class Failed:
    """Upstream made no video of it, and goes on with the next."""

    name: str
    error: str


Event = Started | Finished | Failed


class UpstreamDiedError(Exception):
    """Upstream ended while it worked; it worked on the sample announced last."""


class UpstreamLoadError(Exception):
    """Upstream ended, or gave up, before it began with a sample: nobody's fault but its own."""


class Runner(Protocol):
    """Makes videos by one of upstream's two ways."""

    name: str
    batch: int

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Work the jobs in order. Raises UpstreamDiedError and UpstreamLoadError."""

    def close(self) -> None:
        """End upstream."""
