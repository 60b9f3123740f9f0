"""A spot notice: SIGTERM, and 15 s later the node is gone. Whatever the worker is at, it ends before with exit 75, what
was committed stays, and nothing counts against the current sample."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.plain_stage import PlainStage, Result, made, name
from helpers.slow_s3 import slow_s3

from leicos_jobs.backends.base import Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.core import logs
from leicos_jobs.core.errors import ExitCode, RetryError
from leicos_jobs.run import failures
from leicos_jobs.run.commits import Record
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.store import open_store
from leicos_jobs.work.worker import Worker

SAMPLES = 4
WITHIN = 12.0
"""Seconds from notice to exit: GKE gives a spot pod 15 in all, cluster autoscalers give more."""
LONG = 600.0


class Slow(Processor[str, Result]):
    """Loads or works for ever at one place, and says so; at a place that it does not know it just works."""

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


class Stage(PlainStage):
    place = ""

    def spec(self, scratch: Path) -> BackendSpec:
        if self.place == "fetching":
            print("at fetching", flush=True)
            open_store("s3://slow/run").fetch("cosmos/checkpoint/model.pt", scratch)
        return BackendSpec("test_worker_notice:Slow", {"place": self.place})


def stay(place: str) -> None:
    print(f"at {place}", flush=True)
    time.sleep(LONG)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = RunConfig.model_validate({"source": {"files": ["/none.hdf5"], "task": "Lift."}})
    return create_run(str(tmp_path / "run"), config, known={"/none.hdf5": "sha256:0"})


@contextmanager
def worker(root: Path, place: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own, which stays at `place`; killed at the end, should it still be there."""
    here = Path(__file__)
    folders = [str(here.parent), str(here.parents[1]), str(here.parents[2]), os.environ.get("PYTHONPATH", "")]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), **environment}
    command = [sys.executable, str(here), str(root), place]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def arrived(process: subprocess.Popen[str], place: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"at {place}\n"


def end_on_notice(process: subprocess.Popen[str]) -> None:
    """The promise: exit 75, in time."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(WITHIN) == ExitCode.RETRY


def committed(run: Run) -> dict[int, Record]:
    found = {number: run.commits.get("replay", name(number), "key") for number in range(SAMPLES)}
    return {number: record for number, record in found.items() if record is not None}


@pytest.mark.parametrize(("place", "kept"), [("loading", 0), ("working", 2), ("finishing", 3)])
def test_a_worker_ends_within_its_notice(run: Run, tmp_path: Path, place: str, kept: int) -> None:
    with worker(tmp_path / "run", place) as process:
        arrived(process, place)
        end_on_notice(process)
    before = committed(run)
    assert list(before) == list(range(kept))
    with worker(tmp_path / "run", "nowhere") as process:
        assert process.wait(120) == ExitCode.DONE
    after = committed(run)
    assert list(after) == list(range(SAMPLES))
    assert {number: after[number] for number in before} == before
    assert failures.read_all(run.store, "replay") == {}
    timings = [json.loads(run.store.read(key)) for key in run.store.list("timings/replay/")]
    assert sorted((timing["samples"], timing["gpus"]) for timing in timings) == sorted([(kept, 1), (SAMPLES - kept, 1)])


def test_a_notice_ends_a_worker_that_still_fetches_its_checkpoint(run: Run, tmp_path: Path) -> None:
    with slow_s3() as server, worker(tmp_path / "run", "fetching", **server.environment()) as process:
        arrived(process, "fetching")
        assert server.under_way.wait(60)
        end_on_notice(process)
    assert committed(run) == {}
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
