"""Runs made by hand in a folder, with stand-in backends: no model is loaded and no workflow runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.whole import commit_plan, commit_whole
from pydantic import BaseModel

from leicos_jobs.backends.base import Generator, Started
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core import stages
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run import failures, layout, sealed
from leicos_jobs.run.commits import Record, StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.work.heartbeats import Heartbeat

INPUTS = {"demos.hdf5": "sha256:" + "f" * 64}
"""The fingerprint of the recording that `configuration` names, and that nobody wrote."""


class NoSettings(BaseModel):
    """None."""


class StandInBackend(Generator[NoSettings], name="stand-in", version=1):
    """What identities need of a backend of any kind."""

    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        raise NotImplementedError

    @classmethod
    def judges(cls, settings: NoSettings) -> bool:
        """As a replayer's."""
        return True

    @classmethod
    def cannot(cls, settings: NoSettings, robot: Embodiment, states: bool) -> str | None:
        """As a replayer's: it can replay all."""
        return None


class TrainedBackend(StandInBackend, name="trained", version=1, trained=True):
    """A generator that is trained, and its trainer."""

    holds_out = False


def configuration(**changes: Any) -> RunConfig:
    return RunConfig.model_validate({"source": {"files": ["demos.hdf5"], "task": "Lift the red cube up."}, **changes})


def sample(number: int) -> Sample:
    return Sample(
        id=f"{number:020x}",
        demo=f"demo_{number}",
        demo_sha256="f" * 64,
        episode=number,
        split="train",
        row0=5,
        frames=140,
        prompt="Lift_the_red_cube_up",
        seed=21,
        start=f"{number:020x}",
    )


MADE_BY = {"leicos": "0.1.0", "git": "aaa"}
FILES = {"report": {"index.html": b"<p>a report</p>"}, "assemble": {"meta/info.json": b"{}"}}


@dataclass
class HandMade:
    """A run whose records are written one by one."""

    run: Run

    def plan(self, count: int) -> list[Sample]:
        samples = [sample(number) for number in range(count)]
        self._timed(commit_plan(self.run, samples, attempt=MADE_BY), 10.0)
        return samples

    def whole(self, stage: str, seconds: float = 10.0, **facts: Any) -> StageRecord:
        record = commit_whole(self.run, stage, FILES.get(stage), attempt=MADE_BY, **facts)
        self._timed(record, seconds)
        return record

    def _timed(self, record: StageRecord, seconds: float) -> None:
        self.timing(record.stage, record.key, seconds)

    def idm(self) -> None:
        self.whole("train-idm", seconds=3600.0, artifact="i" * 64)

    def commit(self, stage: str, item: Sample, seconds: float = 60.0, *, git: str = "aaa", **facts: Any) -> None:
        """Commit a stage under its current key; the stages before it must stand."""
        (state,) = read_states(self.run, [item], stage)
        known = {"passed": True, "reasons": []} if stage == "gate" else {}
        record = Record(
            stage=stage,
            key=state.keys[stage],
            sample=item.id,
            sha256="0" * 64,
            facts={**known, "seconds": seconds, **facts},
            attempt={"leicos": "0.1.0", "git": git, "image": "sha256:1"},
        )
        self.run.commits.commit(record)

    def through(self, item: Sample, last: str) -> None:
        for stage in stages.SAMPLE[: stages.SAMPLE.index(last) + 1]:
            self.commit(stage, item)

    def fail(self, stage: str, item: Sample, error: str, times: int = 3) -> None:
        (state,) = read_states(self.run, [item])
        key = state.keys[stage]
        for _ in range(times):
            note = failures.Failure(stage=stage, sample=item.id, key=key, kind="failed", error=error)
            failures.note(self.run.store, note)

    def timing(self, stage: str, name: str, seconds: float, load: float = 0.0, **more: int) -> None:
        facts = {"stage": stage, "seconds": seconds, "load_seconds": load, "samples": 1, **more}
        self.run.store.put(layout.timing(stage, name), json.dumps(facts).encode())

    def worker(self, stage: str, name: str, in_hand: list[Sample]) -> None:
        beat = Heartbeat(attempt="a", host="h", samples=tuple(item.id for item in in_hand))
        self.run.store.put(layout.heartbeat(stage, name), sealed.dump(beat))
