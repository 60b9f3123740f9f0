"""A sample that takes the whole worker with it, again and again, is quarantined; the others of its batch are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers.plain_stage import PlainStage, Result, made, name

from leicos_jobs.backends.base import Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.run import failures
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.work.worker import Worker

SAMPLES = 5
POISON = 1
LOSSES_MAX = 4
SOURCE = "/none.hdf5"


class Deadly(Processor[str, Result]):
    """Kills the worker, as a node that runs out of memory would, at one sample."""

    batch = SAMPLES

    def process(self, requests: Sequence[str], started: Started) -> Iterator[Result]:
        for sample in requests:
            started(sample)
            if sample == name(POISON):
                os.kill(os.getppid(), signal.SIGKILL)
                signal.pause()
            yield Result(sample)


class Stage(PlainStage):
    def spec(self, scratch: Path) -> BackendSpec:
        return BackendSpec("test_worker_losses:Deadly", {})


def work(run: Run) -> None:
    Worker(Stage(run), [made(number) for number in range(SAMPLES)], "shard-0").work()


def attempt(root: Path) -> int:
    """One worker in a process of its own; its exit status."""
    here = Path(__file__)
    paths = os.pathsep.join(
        [str(here.parent), str(here.parents[1]), str(here.parents[2]), os.environ.get("PYTHONPATH", "")]
    )
    return subprocess.run([sys.executable, here, root], env={**os.environ, "PYTHONPATH": paths}, check=False).returncode


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = {
        "source": {"files": [SOURCE], "task": "Lift."},
        "rounds": {"losses_max": LOSSES_MAX},
    }
    return create_run(str(tmp_path / "run"), RunConfig.model_validate(config), known={SOURCE: "sha256:0"})


def test_a_sample_that_kills_workers_takes_no_other_with_it(run: Run, tmp_path: Path) -> None:
    ends = []
    while not ends or ends[-1]:
        assert len(ends) <= LOSSES_MAX
        ends.append(attempt(tmp_path / "run"))

    assert ends == [-signal.SIGKILL] * LOSSES_MAX + [0]
    done = {number for number in range(SAMPLES) if run.commits.get("replay", name(number), "key")}
    assert done == set(range(SAMPLES)) - {POISON}
    notes = failures.read_all(run.store, "replay")
    quarantined = {sample for sample, own in notes.items() if failures.quarantined(own, "key", run.config.rounds)}
    assert quarantined == {name(POISON)}


if __name__ == "__main__":
    sys.modules["test_worker_losses"] = sys.modules["__main__"]
    work(open_run(sys.argv[1]))
