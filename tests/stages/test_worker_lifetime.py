"""A backend whose library keeps memory gets a new process after its lifetime; no sample notices."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.plain_stage import PlainStage, made, name

from leicos_jobs.backends.base import Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.run.chain import State
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import create_run
from leicos_jobs.work.worker import Checked, Worker

SAMPLES = 7
SOURCE = "/none.hdf5"


@dataclass(frozen=True)
class Result:
    """Who worked on the sample."""

    sample: str
    pid: int


class Forgetful(Processor[str, Result]):
    batch, lifetime = 2, 3

    def process(self, requests: Sequence[str], started: Started) -> Iterator[Result]:
        for sample in requests:
            started(sample)
            yield Result(sample, os.getpid())


class Stage(PlainStage):
    def spec(self, scratch: Path) -> BackendSpec:
        return BackendSpec("test_worker_lifetime:Forgetful", {})

    def check(self, state: State, result: Any, scratch: Path) -> Checked:
        return Checked(None, {"pid": result.pid}, {})


def test_a_process_lives_for_its_batches_until_the_lifetime_is_over(tmp_path: Path) -> None:
    config = RunConfig.model_validate({"source": {"files": [SOURCE], "task": "Lift."}})
    run = create_run(str(tmp_path / "run"), config, known={SOURCE: "sha256:0"})
    summary = Worker(Stage(run), [made(number) for number in range(SAMPLES)], "shard-0").work()
    assert (summary.committed, summary.failed) == (SAMPLES, 0)
    records = [run.commits.get("replay", name(number), "key") for number in range(SAMPLES)]
    pids = [record.facts["pid"] for record in records if record is not None]
    lives = [pids.count(pid) for pid in dict.fromkeys(pids)]
    assert lives == [4, 3], "two batches of two, then a new process"
