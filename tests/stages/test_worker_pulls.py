"""A worker that pulls: stopped, killed or late, each sample is done once, and what is not done is there for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers.plain_stage import PlainStage, Result, made, name
from helpers.whole import commit_plan

from leicos_jobs.backends.base import Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.core import stages
from leicos_jobs.run import failures, layout
from leicos_jobs.run.claims import Pull
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.rounds import Round, write_round
from leicos_jobs.work import heartbeats
from leicos_jobs.work.pulling import worker_of
from leicos_jobs.work.worker import Worker

SAMPLES = 7
WORKERS = 2
FOLDER = "rounds/w/replay"
SOURCE = "/none.hdf5"
STOPS_AT, DIES_AT = 1, 2


class Struck(Processor[str, Result]):
    """At one sample its worker is told to stop, at another it is killed; each once."""

    batch = 2

    def __init__(self, marks: Path) -> None:
        self.marks = marks

    def process(self, requests: Sequence[str], started: Started) -> Iterator[Result]:
        for sample in requests:
            started(sample)
            for number, what in ((STOPS_AT, signal.SIGTERM), (DIES_AT, signal.SIGKILL)):
                if sample == name(number) and not (mark := self.marks / str(number)).exists():
                    mark.touch()
                    os.kill(os.getppid(), what)
                    signal.pause()
            yield Result(sample)


class Stage(PlainStage):
    def spec(self, scratch: Path) -> BackendSpec:
        return BackendSpec(
            "test_worker_pulls:Struck", {"marks": Path(self.run.store.uri.removeprefix("file://")).parent}
        )


def worker(run: Run, index: int) -> Worker:
    plan = {name(number): made(number) for number in range(SAMPLES)}
    pull = Pull(run.store, FOLDER, list(plan), index, WORKERS, uuid.uuid4().hex)
    return Worker(Stage(run), [], f"w-replay-{index}", pull, plan)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = RunConfig.model_validate({"source": {"files": [SOURCE], "task": "Lift."}})
    return create_run(str(tmp_path / "run"), config, known={SOURCE: "sha256:0"})


def attempt(root: Path, index: int) -> int:
    """One attempt in a process of its own; its exit status."""
    here = Path(__file__)
    paths = os.pathsep.join(
        [str(here.parent), str(here.parents[1]), str(here.parents[2]), os.environ.get("PYTHONPATH", "")]
    )
    command = [sys.executable, here, root, str(index)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode


def claims(run: Run) -> set[str]:
    prefix = layout.claims(FOLDER)
    return {key.removeprefix(prefix).removesuffix(".json") for key in run.store.list(prefix)}


def committed(run: Run) -> set[int]:
    return {number for number in range(SAMPLES) if run.commits.get("replay", name(number), "key")}


def test_nothing_is_lost_when_a_worker_is_stopped_and_killed(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "run"
    assert attempt(root, 0) == 75
    assert committed(run) == {0}
    assert claims(run) == {name(0)}, "what was in hand is given back"
    assert heartbeats.taken(run.store, "replay", "w-replay-0") == (name(0),)

    assert attempt(root, 0) == -signal.SIGKILL
    assert name(DIES_AT) in claims(run), "nobody gives back for one that is killed"
    before = claims(run)

    summary = worker(run, 1).work()
    assert summary.committed == SAMPLES - len(before), "the other takes all but what the killed one holds"
    assert attempt(root, 0) == 0
    assert committed(run) == set(range(SAMPLES))
    own = [heartbeats.taken(run.store, "replay", f"w-replay-{index}") for index in range(WORKERS)]
    assert sorted([*own[0], *own[1]]) == [name(number) for number in range(SAMPLES)], "each was taken by one"
    kinds = {sample: [note.kind for note in notes] for sample, notes in failures.read_all(run.store, "replay").items()}
    assert kinds.pop(name(DIES_AT)) == ["lost"]
    assert set(kinds) <= {name(DIES_AT + 1)}, "at most the other one of its batch"


def test_a_late_worker_that_finds_nothing_starts_no_backend(run: Run) -> None:
    plan = {name(number): made(number) for number in range(SAMPLES)}
    other = Pull(run.store, FOLDER, list(plan), 0, WORKERS, "a")
    while other.take(2, lambda _names: None):
        pass
    late = worker(run, 1)
    assert late.work().committed == 0
    assert late.summary.load_seconds == 0


def test_where_its_heartbeat_is_damaged_a_worker_finds_its_claims_by_reading_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / str(STOPS_AT)).touch()
    assert attempt(tmp_path / "run", 0) == -signal.SIGKILL
    run.store.put(layout.heartbeat("replay", "w-replay-0"), b"{")
    worker(run, 1).work()
    assert name(DIES_AT) in claims(run)
    assert len(committed(run)) < SAMPLES
    assert attempt(tmp_path / "run", 0) == 0
    assert committed(run) == set(range(SAMPLES))


def test_gate_and_label_follow_the_worker_that_made_the_videos(run: Run) -> None:
    """And have their part of the videos that were there when the round was planned."""
    samples = [made(number) for number in range(SAMPLES)]
    commit_plan(run, samples)
    ids = [sample.id for sample in samples]
    write_round(run, "rounds/w/00", Round(workers=2, samples=tuple(ids[3:]), made=tuple(ids[:3])))
    heartbeats.beat(run.store, "generate", "w-00-00001", "an attempt", [], [ids[6], ids[4]])
    for stage in (stages.GATE, stages.LABEL):
        other, own = (worker_of(stage, Stage(run), "w", "00", index) for index in range(2))
        assert [sample.id for sample in other.samples] == [ids[0], ids[2]], "its generator took nothing"
        assert [sample.id for sample in own.samples] == [ids[1], ids[6], ids[4]]
        assert own.pull is None
    run.store.put(layout.heartbeat("generate", "w-00-00001"), b"{")
    assert [sample.id for sample in worker_of(stages.GATE, Stage(run), "w", "00", 1).samples] == [ids[1]]
    generate = worker_of(stages.GENERATE, Stage(run), "w", "00", 1)
    assert generate.samples == []
    assert generate.pull is not None
    assert list(generate.pull.samples) == ids[3:]


if __name__ == "__main__":
    sys.modules["test_worker_pulls"] = sys.modules["__main__"]
    from leicos_jobs.core.errors import LeicosError

    try:
        worker(open_run(sys.argv[1]), int(sys.argv[2])).work()
    except LeicosError as error:
        print(error, file=sys.stderr)
        sys.exit(int(error.exit_code))
