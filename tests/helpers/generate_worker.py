"""A run with a plan made by hand, and a worker that generates it as a process of its own: what the kill tests kill.

python generate_worker.py RUN          one pass of the real worker loop over all samples of RUN
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a process of its own it has no conftest

import numpy as np
from helpers.whole import commit_episodes, commit_plan
from pydantic import BaseModel

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Backend
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.programs import die_with
from leicos_jobs.media.decode import read_frames
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.probe import verify
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run import identity, layout, starts
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample
from leicos_jobs.stages.generate import GenerateStage
from leicos_jobs.work import child
from leicos_jobs.work.worker import Worker

UPSTREAM, DIFFUSERS = "cosmos-predict2.5", "cosmos"
"""Generators that it knows."""
WIDTH, HEIGHT, FRAMES, FPS = 64, 48, 100, 30.0
KILL = (signal.SIGKILL,)


class Nothing(BaseModel):
    pass


class Elsewhere(Backend[Nothing], name="elsewhere", version=1):
    """In the place of the other stages' backends: only asked for what enters their keys."""

    @classmethod
    def cannot(cls, settings: Nothing, robot: Embodiment, states: bool) -> str | None:
        """As a replayer's: it can replay all."""
        return None


def load(stage: str, name: str) -> Any:
    """The registry, independent of which entry points the installed leicos happens to have. The generator works with
    its base model here; the child process loads it by its place."""
    if (stage, name) == ("generate", DIFFUSERS):
        from leicos_jobs.backends.cosmos.generator import CosmosGenerator as OnDiffusers

        return OnDiffusers
    if (stage, name) == ("generate", UPSTREAM):
        from leicos_jobs.backends.cosmos_predict25.generator import CosmosGenerator

        class Untrained(
            CosmosGenerator, name=UPSTREAM, version=CosmosGenerator.version, upstream=CosmosGenerator.upstream
        ):
            __module__, __qualname__ = CosmosGenerator.__module__, CosmosGenerator.__qualname__

        return Untrained
    return Elsewhere


def make_run(
    root: Path,
    prompts: list[str],
    settings: dict[str, Any],
    quarantine_after: int = 3,
    backend: str = UPSTREAM,
    frames: int = FRAMES,
) -> list[Sample]:
    config = RunConfig.model_validate(
        {
            "source": {"files": ["/nowhere.hdf5"], "task": "Lift the red cube up."},
            "generate": {
                "backend": backend, "settings": settings, "frames": frames, "width": WIDTH, "height": HEIGHT,
            },
            "rounds": {"losses_max": 1000, "sample_seconds_max": 60, "quarantine_after": quarantine_after},
        }
    )  # fmt: skip
    run = create_run(str(root), config, known={"/nowhere.hdf5": "sha256:" + "0" * 64})
    clip = write_clip(root.parent / f"{root.name}.mp4")
    samples = [
        Sample(
            id=f"{number:020x}", demo="demo_0", demo_sha256="0" * 64, episode=0, split="train", row0=5, frames=frames,
            prompt=prompt, seed=number * 3, start="a",
        )
        for number, prompt in enumerate(prompts)
    ]  # fmt: skip
    episode = Episode(
        episode_index=0, file="/nowhere.hdf5", demo_sha256="0" * 64, tables_sha256="0" * 64, demo="demo_0", first_row=5,
        stride=2, frames=100, control_hz=60,
    )  # fmt: skip
    starts.commit(run, "a", clip, {})
    with mock.patch.object(registry, "load", load):
        commit_episodes(run, [episode])
        commit_plan(run, samples)
    return samples


def start_worker(root: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    log = (root.parent / f"{root.name}.log").open("ab")
    with log:
        return subprocess.Popen(
            [sys.executable, __file__, str(root)], stdout=log, stderr=log, env={**os.environ, **environment}
        )


class ForkedWorker:
    """A worker, and its backend's process, as forks of this one, which has imported what takes most of a start."""

    def __init__(self, root: Path, _environment: dict[str, str]) -> None:
        self.returncode: int | None = None
        from helpers.forking_leicos import Forking  # brings what a command line brings

        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                die_with(parent)
                with (root.parent / f"{root.name}.log").open("a", buffering=1) as log:
                    os.dup2(log.fileno(), 1)
                    os.dup2(log.fileno(), 2)
                    sys.stdout = sys.stderr = log
                    child.multiprocessing = Forking  # type: ignore[assignment]
                    work(root)
                    code = 0
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        return self._waited(os.WNOHANG)

    def wait(self, _seconds: float | None = None) -> int | None:
        return self._waited(0)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _waited(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def kill_and_finish(
    root: Path,
    kills: int,
    environment: dict[str, str],
    seed: int,
    longest: float,
    stops: Sequence[signal.Signals] = KILL,
    start: Callable[[Path, dict[str, str]], subprocess.Popen[bytes] | ForkedWorker] = start_worker,
) -> None:
    """Kill the worker, its child or upstream itself at random moments; then let a worker finish.

    Every kill counts: a worker that had nothing left to do when its time came fails the test. Every second one comes at
    a random moment after a sample was begun; on a busy machine all others may come while the model loads. stops: what
    the worker gets; its child and upstream get SIGKILL.
    """
    chance = random.Random(seed)
    for number in range(kills):
        before = begun(root)
        worker = start(root, environment)
        if number % 2:
            while worker.poll() is None and begun(root) == before:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, longest / 4))
        else:
            time.sleep(chance.uniform(0.2, longest))
        assert worker.poll() is None, f"it had done all before kill {number + 1}: the test needs more samples"
        victims = [worker.pid, *descendants(worker.pid)]
        victim = worker.pid if chance.random() < 0.5 else chance.choice(victims)
        with contextlib.suppress(ProcessLookupError):  # it had finished
            os.kill(victim, chance.choice(stops) if victim == worker.pid else signal.SIGKILL)
        if victim != worker.pid:
            time.sleep(chance.uniform(0.0, longest / 2))  # the worker starts its child anew meanwhile
            worker.kill()
        worker.wait()
    assert start(root, environment).wait(900) == 0


def descendants(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == pid:
                found += [int(entry.name), *descendants(int(entry.name))]
    return found


def begun(root: Path) -> int:
    """How many times a backend began with a sample, by the workers' log."""
    log = root.parent / f"{root.name}.log"
    return log.read_text().count("backend.started") if log.exists() else 0


def assert_all_committed(root: Path, samples: list[Sample], grey: Any = None) -> None:
    """Every sample has one record, whose bytes are there, whole, verified and its own."""
    run = open_run(str(root))
    for sample in samples:
        key = generate_key(run, sample)
        records = [key for key in run.store.list(f"generate/{sample.id}/") if key.endswith(".json")]
        assert records == [layout.sample_record("generate", sample.id, key)]
        record = run.commits.get("generate", sample.id, key)
        assert record is not None
        path = root / str(record.object)
        assert sha256_file(path) == record.sha256
        verify(path, frames=sample.frames, fps=30, size=(WIDTH, HEIGHT))
        if grey is not None:
            first = next(iter(read_frames(path)))
            assert abs(float(first.mean()) - grey(sample.seed)) < 3, f"{sample.id} has another sample's video"


def generate_key(run: Run, sample: Sample) -> str:
    """Key of a sample's video."""
    return str(identity.sample_rules(run.config, None).key("generate", sample, {}))


def write_clip(path: Path) -> Path:
    images = [np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8) for index in range(5)]
    write_video(path, images, FPS)
    return path


def read_journal(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def worked(journal: Path) -> int:
    """How many times upstream began with a sample."""
    return sum(entry["name"] != "load" for entry in read_journal(journal))


def work(root: Path) -> None:
    """One pass of the real worker loop."""
    registry.load = load
    run = open_run(str(root))
    print(Worker(GenerateStage(run), Results(run).samples(), "shard-0").work())


if __name__ == "__main__":
    work(Path(sys.argv[1]))
