"""A spot notice: SIGTERM, and 15 s later the node is gone. Whatever the worker is at, it ends before with exit 75, what
was committed stays, and nothing counts against the sample in hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leicos_jobs.backends.contracts import Started
from leicos_jobs.core import logs
from leicos_jobs.core.errors import ExitCode, RetryError
from leicos_jobs.run import failures
from leicos_jobs.run.chain import State
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.samples import Sample
from leicos_jobs.stages.child import BackendSpec
from leicos_jobs.stages.worker import Checked, SampleStage, Worker

SAMPLES = 4
NOTICE = 15.0
"""Seconds that GKE gives a spot pod in all; cluster autoscalers give more."""
LONG = 600.0


@dataclass(frozen=True)
class Result:
    """What a backend yields."""

    sample: str


class Slow:
    """Loads or works for ever at one place, and says so."""

    def __init__(self, place: str) -> None:
        self.place = place
        if place == "loading":
            stay(place)

    def process(self, requests: Sequence[str], started: Started) -> Iterator[Result]:
        for sample in requests:
            started(sample)
            if sample == name(2):
                if self.place == "finishing":
                    print("at finishing", flush=True)
                    time.sleep(2)
                elif self.place == "working":
                    stay(self.place)
            yield Result(sample)


class Stage(SampleStage):
    name = "replay"
    place = ""

    def states(self, samples: Sequence[Sample]) -> list[State]:
        return [
            State(sample, {"replay": "key"}, replay=self.run.commits.get("replay", sample.id, "key"))
            for sample in samples
        ]

    def spec(self, scratch: Path) -> BackendSpec:
        return BackendSpec("test_worker_notice:Slow", {"place": self.place})

    def request(self, state: State, scratch: Path) -> str:
        return state.sample.id

    def check(self, state: State, result: Any, scratch: Path) -> Checked:
        return Checked(None, {}, {})


def stay(place: str) -> None:
    print(f"at {place}", flush=True)
    time.sleep(LONG)


def name(number: int) -> str:
    return f"{number:020x}"


def made(number: int) -> Sample:
    return Sample(
        id=name(number), demo="demo_0", file_sha256="0" * 64, episode=0, split="train", row0=5, frames=9, prompt="",
        seed=number, clip="clip", start="start",
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(
        str(tmp_path / "run"), RunConfig.model_validate({"source": {"files": ["/nowhere.hdf5"], "task": "Lift."}})
    )


@pytest.mark.parametrize(("place", "kept"), [("loading", 0), ("working", 2), ("finishing", 3)])
def test_a_worker_ends_within_its_notice(run: Run, tmp_path: Path, place: str, kept: int) -> None:
    here = Path(__file__)
    paths = os.pathsep.join([str(here.parent), str(here.parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(here), str(tmp_path / "run"), place]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == f"at {place}\n"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(NOTICE) == ExitCode.RETRY
    assert [number for number in range(SAMPLES) if run.commits.get("replay", name(number), "key")] == list(range(kept))
    assert failures.read_all(run.store, "replay") == {}


def main(root: str, place: str) -> None:
    Stage.place = place
    try:
        Worker(Stage(open_run(root)), [made(number) for number in range(SAMPLES)], "shard-0").work()
    except RetryError as error:
        logs.event("stopped", error=str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    sys.modules["test_worker_notice"] = sys.modules["__main__"]
    main(*sys.argv[1:])
