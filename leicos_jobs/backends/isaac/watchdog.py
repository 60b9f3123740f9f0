"""The simulator's process, seen from outside.

Isaac's exit code lies (a fast shutdown ends with 0 after any failure), its close() hangs, and a hang holds the GPU for
good. So: only the results file is believed; a heartbeat that does not rise means a hang, whatever the process says; and
the end is a kill of the whole process group.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.backends.isaac import standalone
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver import files
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.loop import Episode
from leicos_jobs.core import logs
from leicos_jobs.core.programs import Program, clean_environment

POLL_SECONDS = 0.1
STOP_SECONDS = 5.0


class SimulatorDiedError(Exception):
    """The simulator ended or hung. in_hand: episodes that it was at."""

    def __init__(self, message: str, in_hand: Sequence[str]) -> None:
        super().__init__(message)
        self.in_hand = list(in_hand)


class TaskUnfitError(Exception):
    """The driver refused the task: no new start will change that."""


@dataclass(frozen=True)
class Launch:
    """How to start a simulator. path: folder put on Python's path before the driver's own, for tests."""

    python: Path
    config: dict[str, Any]
    environment: dict[str, str]
    start_seconds_max: float
    hang_seconds: float
    path: Path | None = None


class Simulator:
    """One running simulator with a folder of its own."""

    def __init__(self, launch: Launch, home: Path) -> None:
        """Start it and wait until the environment stands. Raises SimulatorDiedError, TaskUnfitError."""
        self._launch, self._home = launch, home
        (home / files.INBOX).mkdir(parents=True)
        (home / "config.json").write_text(json.dumps(launch.config))
        (home / files.RESULTS).touch()
        self._read = self._number = 0
        self._count, self._turned = -1, time.monotonic()
        path = [str(folder) for folder in (launch.path, Path(standalone.__file__).parent) if folder]
        environment = clean_environment(launch.environment) | {"PYTHONPATH": os.pathsep.join(path)}
        command = [launch.python, "-m", "leicos_replay_driver", home, "--owner", str(os.getpid())]
        self._process = Program([str(part) for part in command], cwd=home, env=environment)
        begun = time.monotonic()
        try:
            while not (home / files.READY).exists():
                self._look(launch.start_seconds_max)
                time.sleep(POLL_SECONDS)
        except BaseException:
            self.kill()
            raise
        self.facts: dict[str, Any] = json.loads((home / files.READY).read_text())
        logs.event("isaac.ready", seconds=time.monotonic() - begun, envs=self.facts["num_envs"])

    def submit(self, tasks: Sequence[Episode], slots: int | None) -> None:
        """Hand a batch over. slots: environments to use, None for all."""
        self._number += 1
        items = []
        for number, task in enumerate(tasks):
            name = f"{self._number:06d}-{number:06d}.npy"
            np.save(self._home / files.INBOX / name, task.targets, allow_pickle=False)
            items.append(
                {
                    "id": task.id, "start": task.start, "targets": name, "hold": task.hold, "seed": task.seed,
                    "start_height": task.start_height,
                }
            )  # fmt: skip
        text = json.dumps({"slots": slots, "episodes": items})
        files.write_whole(self._home / files.INBOX / f"{self._number:06d}.json", text)
        self._turned = time.monotonic()

    def results(self) -> Iterator[dict[str, Any] | None]:
        """Each new result; None whenever there is none for a moment. Raises SimulatorDiedError, after the last one."""
        while True:
            error: SimulatorDiedError | None = None
            try:
                self._look(self._launch.hang_seconds)
            except SimulatorDiedError as died:
                error = died
            yield from self._new_results()
            if error is not None:
                raise error
            yield None
            time.sleep(POLL_SECONDS)

    def _new_results(self) -> Iterator[dict[str, Any]]:
        with (self._home / files.RESULTS).open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if not line.endswith(b"\n"):
                    return  # cut off by its death, or not all there yet
                self._read += len(line)
                yield json.loads(line)

    def _look(self, patience: float) -> None:
        """Raises SimulatorDiedError if the process has ended, whatever its exit code, or does not turn any more."""
        beat = self._heartbeat()
        if beat["count"] != self._count:
            self._count, self._turned = beat["count"], time.monotonic()
        code = self._process.poll()
        if code is not None:
            if refused := self._text(files.REFUSED):
                raise TaskUnfitError(refused)
            said = self._text(files.FAILURE) or self._process.tail()
            raise SimulatorDiedError(f"the simulator ended (exit code {code})\n{said}", self._heartbeat()["in_hand"])
        waited = time.monotonic() - self._turned
        if waited > patience:
            self.kill()
            phase = f"in phase {beat['phase']}"
            raise SimulatorDiedError(f"the simulator hung: no turn in {waited:.0f} s {phase}", beat["in_hand"])

    def _heartbeat(self) -> dict[str, Any]:
        try:
            beat: dict[str, Any] = json.loads((self._home / files.HEARTBEAT).read_text())
        except (OSError, ValueError):
            return {"count": -1, "phase": "not started", "in_hand": []}
        return beat

    def _text(self, name: str) -> str:
        try:
            return (self._home / name).read_text()
        except OSError:
            return ""

    def stop(self) -> None:
        """Ask it to end, and do not wait long for that."""
        (self._home / files.STOP).touch()
        self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process group and forget its folder."""
        self._process.kill()
        shutil.rmtree(self._home / files.INBOX, ignore_errors=True)
