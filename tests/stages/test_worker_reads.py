"""A worker reads nothing of the failures of others: the notes of a run grow with its samples, and so do its batches."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.plain_stage import PlainStage, Result, made, name

from leicos_jobs.backends.base import Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.run import failures
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import create_run
from leicos_jobs.work.worker import Worker

SAMPLES = 6
OTHERS = 40
"""Failed samples that belong to other workers."""


class Clumsy(Processor[str, Result]):
    """Fails at the first try of one sample."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def process(self, requests: Sequence[str], started: Started) -> Iterator[Result]:
        for sample in requests:
            started(sample)
            if sample == name(2) and not self.marker.exists():
                self.marker.touch()
                raise RuntimeError("a first try")
            yield Result(sample)


class Stage(PlainStage):
    marker: Path

    def spec(self, scratch: Path) -> BackendSpec:
        return BackendSpec("test_worker_reads:Clumsy", {"marker": self.marker})


class Counting:
    """A store that counts what is asked of the failures."""

    def __init__(self, store: Any) -> None:
        self.store, self.uri, self.asked = store, store.uri, Counter[str]()

    def __getattr__(self, method: str) -> Any:
        def call(key: str, *arguments: Any) -> Any:
            if key.startswith("failures/"):
                self.asked[f"{method} {'one' if key.count('/') > 2 else 'all'}"] += 1
            return getattr(self.store, method)(key, *arguments)

        return call


@pytest.mark.parametrize("others", [0, OTHERS])
def test_the_failures_of_other_samples_cost_a_worker_nothing(tmp_path: Path, others: int) -> None:
    config = RunConfig.model_validate({"source": {"files": ["/none.hdf5"], "task": "Lift."}})
    made_run = create_run(str(tmp_path / "run"), config, known={"/none.hdf5": "sha256:0"})
    for number in range(SAMPLES, SAMPLES + others):
        note = failures.Failure(stage="replay", sample=name(number), key="key", kind="failed", error="theirs")
        failures.note(made_run.store, note)
    store = Counting(made_run.store)
    stage = Stage(dataclasses.replace(made_run, store=store))
    stage.marker = tmp_path / "tried"
    summary = Worker(stage, [made(number) for number in range(SAMPLES)], "shard-0").work()
    assert (summary.committed, summary.failed) == (SAMPLES, 1)
    # one listing as the worker begins, one of the sample that failed, and its own note
    assert store.asked == {"list all": 1, "list one": 1, "create one": 1, "read one": 1}
