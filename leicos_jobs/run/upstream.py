"""What the keys of whole stages ask of a run: its configuration, and what was made before."""

from __future__ import annotations

from typing import Protocol

from leicos_jobs.run.config import RunConfig


class Upstream(Protocol):
    """What the keys of whole stages are made from. Each method gives None for what is not there (yet)."""

    @property
    def config(self) -> RunConfig:
        """The run's configuration."""
        ...

    def outside(self, name: str) -> str:
        """Fingerprint of a file or folder that the configuration names."""
        ...

    def result(self, stage: str) -> str | None:
        """Digest of the current result of a whole stage."""
        ...

    def artifact(self, stage: str) -> str | None:
        """Digest of the model that a training stage made."""
        ...

    def standing(self) -> str:
        """Digest of all records of the plan's samples, and of what is quarantined."""
        ...

    def controls(self) -> str:
        """The same of the samples that are drawn for controls."""
        ...
