"""The least that a worker needs: a stage without inputs or bytes, its samples, and what its backends yield."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.run.chain import State
from leicos_jobs.run.samples import Sample
from leicos_jobs.work.worker import Checked, SampleStage


@dataclass(frozen=True)
class Result:
    """What a backend yields."""

    sample: str


class PlainStage(SampleStage):
    """Everything but the backend."""

    name = "replay"

    def states(self, samples: Sequence[Sample]) -> list[State]:
        return [
            State(sample, {"replay": "key"}, {} if record is None else {"replay": record})
            for sample, record in ((sample, self.run.commits.get("replay", sample.id, "key")) for sample in samples)
        ]

    def request(self, state: State, scratch: Path) -> str:
        return state.sample.id

    def check(self, state: State, result: Any, scratch: Path) -> Checked:
        return Checked(None, {}, {})


def name(number: int) -> str:
    """Id of a sample."""
    return f"{number:020x}"


def made(number: int) -> Sample:
    """A sample."""
    return Sample(
        id=name(number), demo="demo_0", demo_sha256="0" * 64, episode=0, split="train", row0=5, frames=9, prompt="",
        seed=number, start="start",
    )  # fmt: skip
