"""What a runner of upstream is given and what it tells: shared by the resident driver and the command line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.backends.cosmos_predict25.checkout import Checkout
from leicos_jobs.backends.cosmos_predict25.command import Weights
from leicos_jobs.backends.cosmos_predict25.load_log import LoadReport, check_load_log
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
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


class Runner(ABC):
    """Makes videos by one of upstream's two ways."""

    name: str
    batch: int

    def __init__(self, checkout: Checkout, settings: CosmosSettings, weights: Weights, work: Path) -> None:
        self.checkout, self.settings, self.weights, self.work = checkout, settings, weights, work

    @property
    def environment(self) -> dict[str, str]:
        """Of upstream's programs, as this process's is now."""
        return self.checkout.environment(offline=self.settings.offline)

    def check_load(self, log: Path) -> LoadReport:
        """What upstream's log says of the weights. Raises InputError naming the keys that did not fit."""
        what = str(self.weights.checkpoint or self.weights.model)
        return check_load_log(log, what, self.settings.tolerated_keys)

    @abstractmethod
    def run(self, work: Sequence[Job]) -> Iterator[Event]:
        """Work the jobs in order. Raises UpstreamDiedError and UpstreamLoadError."""

    @abstractmethod
    def close(self) -> None:
        """End upstream."""
