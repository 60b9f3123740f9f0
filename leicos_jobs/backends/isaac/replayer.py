"""The replayer: labelled actions, from the demo's own state, under the task's own rule, in Isaac Sim.

A simulator that hangs or dies costs the episodes that it works on and a new start. Those episodes are tried again at
the end, one at a time, so that the one that kills simulators is found and only that one is blamed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from leicos_jobs.backends.base import Replayer, Started
from leicos_jobs.backends.isaac.settings import DRIVER_ENV, UPSTREAM, IsaacSettings
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.loop import Episode
from leicos_jobs.backends.isaac.watchdog import Launch, Simulator, SimulatorDiedError, TaskUnfitError
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest, ReplayResult
from leicos_jobs.core import logs
from leicos_jobs.core.errors import DefectError, ExitCode, InputError
from leicos_jobs.robots.embodiment import Embodiment, embodiment

PYTHON_ENV, ASSETS_ENV, COMMIT_ENV = "LEICOS_ISAAC_PYTHON", "LEISAAC_ASSETS_ROOT", "LEICOS_LEISAAC_COMMIT"
LICENCE_ENV = "ACCEPT_EULA"
"""Isaac Sim's own variable: those who run it accept its licence agreement, never we."""
FOLDERS_ENV = "LEICOS_ISAAC_FOLDERS"
"""Folders, separated by colons, to make before the start: where our image's links for Kit's caches lead."""
DEFAULT_PYTHON = "/isaac-sim/python.sh"
START_TRIES = 2


class ReplayError(Exception):
    """An episode that cannot be replayed; counted against its sample."""


class IsaacReplayer(Replayer[IsaacSettings], name="isaac-sim", version=1, upstream=UPSTREAM, batch=32):
    """Replayer `isaac-sim`."""

    def __init__(self, settings: IsaacSettings, work: Path) -> None:
        """Start the simulator. Raises InputError: not here, no assets, another commit, a task that does not fit."""
        super().__init__(settings, work)
        self.robot = embodiment(settings.robot)
        self.batch = settings.batch or 8 * settings.envs
        self._launch = _launch(settings, self.robot)
        self._simulator: Simulator | None = None
        self._start()

    @override
    def process(self, requests: Sequence[ReplayRequest], started: Started) -> Iterator[ReplayResult]:
        """Yield each sample's result when all its repeats are done. Raises ReplayError at the end if one failed."""
        batch = _Batch(requests, self.robot, self.settings.lift_object)
        barren = 0
        if requests:
            started(requests[0].sample)
        while tasks := batch.next_tasks():
            simulator = self._running()
            self._check_rate(simulator, requests)
            simulator.submit(tasks, 1 if len(tasks) == 1 else None)
            try:
                yield from batch.take(simulator.results(), {task.id for task in tasks}, started)
            except SimulatorDiedError as error:
                logs.event("isaac.died", in_hand=",".join(error.in_hand), error=str(error))
                self._drop()
                if not batch.suspect(error, self.settings.tries):
                    barren += 1
                    if barren >= START_TRIES:
                        raise SystemExit(int(ExitCode.DEFECT)) from None
        for number, (sample, text) in enumerate(batch.failed.items(), start=1):
            if number == len(batch.failed):
                started(sample)
                raise ReplayError(text)
            logs.event("isaac.failed", sample=sample, error=text)

    def _running(self) -> Simulator:
        if self._simulator is None:
            try:
                self._start()
            except DefectError as error:
                # No sample's fault: end this process, so that the worker starts the backend again or gives up.
                logs.event("isaac.does_not_start", error=str(error))
                raise SystemExit(int(ExitCode.DEFECT)) from None
        if self._simulator is None:
            raise DefectError("isaac-sim: no simulator after its start")
        return self._simulator

    def _start(self) -> None:
        said = ""
        for attempt in range(1, START_TRIES + 1):
            home = self.work / f"isaac-{uuid.uuid4().hex[:8]}"
            try:
                self._simulator = Simulator(self._launch, home)
                break
            except TaskUnfitError as error:
                raise InputError(
                    f"replay.settings.task: {error}", fix="use a task of LeIsaac with a success term"
                ) from None
            except SimulatorDiedError as error:
                said = str(error)
                logs.event("isaac.start_failed", attempt=attempt, error=said)
        if self._simulator is None:
            raise DefectError(f"Isaac Sim did not start in {START_TRIES} tries: {said}", fix="see docs/verify.md")
        self._check_facts(self._simulator)

    def _check_facts(self, simulator: Simulator) -> None:
        facts = simulator.facts
        names = self.robot.action.names
        if facts["width"] != self.robot.action.width or facts["joint_names"][: self.robot.action.width] != names:
            self._drop()
            raise InputError(
                f"task {self.settings.task} takes {facts['width']} actions for {facts['joint_names']}, "
                f"robot {self.robot.name} has {names}",
                fix="use a task of this robot",
            )

    def _check_rate(self, simulator: Simulator, requests: Sequence[ReplayRequest]) -> None:
        rate = float(simulator.facts["control_hz"])
        for request in requests:
            if abs(request.control_hz - rate) > 0.01:
                raise InputError(
                    f"the demos were recorded at {request.control_hz:g} control steps/s, {self.settings.task} makes "
                    f"{rate:g}",
                    fix="replay in the task that they were recorded in, or correct time.control_hz",
                )

    def _drop(self) -> None:
        if self._simulator is not None:
            self._simulator.kill()
            self._simulator = None

    @override
    def close(self) -> None:
        """End the simulator."""
        if self._simulator is not None:
            self._simulator.stop()
            self._simulator = None


class _Batch:
    """The episodes of a batch: requests times repeats, what came of them, who is suspect."""

    def __init__(self, requests: Sequence[ReplayRequest], robot: Embodiment, lift_object: str) -> None:
        self.failed: dict[str, str] = {}
        self._repeats = {request.sample: max(1, request.repeats) for request in requests}
        self._metrics: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self._todo = {
            f"{request.sample}#{repeat}": _task(request, repeat, robot, lift_object)
            for request in requests
            for repeat in range(max(1, request.repeats))
        }
        self._deaths: Counter[str] = Counter()

    def next_tasks(self) -> list[Episode]:
        """All that are beyond suspicion; after those the suspects, one at a time; empty when nothing is left."""
        clean = [task for name, task in self._todo.items() if not self._deaths[name]]
        return clean or list(self._todo.values())[:1]

    def take(
        self, results: Iterator[dict[str, Any] | None], wanted: set[str], started: Started
    ) -> Iterator[ReplayResult]:
        """Results of the wanted episodes until all are there."""
        open_ = set(wanted)
        for result in results:
            if result is None:
                continue
            name = str(result["id"])
            if name not in open_:
                continue
            open_.discard(name)
            self._todo.pop(name, None)
            sample, _, repeat = name.rpartition("#")
            if "error" in result:
                self._give_up(sample, str(result["error"]))
            else:
                self._metrics[sample][int(repeat)] = result["metrics"]
                if len(self._metrics[sample]) == self._repeats[sample]:
                    started(sample)
                    yield ReplayResult(
                        sample, combine([self._metrics[sample][n] for n in range(self._repeats[sample])])
                    )
            if not open_:
                return

    def suspect(self, error: SimulatorDiedError, tries: int) -> bool:
        """A simulator died: count it for the episodes it worked on. Returns whether there were any."""
        names = [name for name in error.in_hand if name in self._todo]
        for name in names:
            self._deaths[name] += 1
            if self._deaths[name] >= tries and len(names) == 1:
                self._give_up(name.rpartition("#")[0], str(error))
        return bool(names)

    def _give_up(self, sample: str, text: str) -> None:
        self.failed[sample] = text
        for name in [name for name in self._todo if name.rpartition("#")[0] == sample]:
            del self._todo[name]


def _task(request: ReplayRequest, repeat: int, robot: Embodiment, lift_object: str) -> Episode:
    pose = request.start.get(f"rigid_object/{lift_object}/root_pose")
    return Episode(
        id=f"{request.sample}#{repeat}",
        start=request.start,
        targets=robot.action.to_recorded(request.require_actions(robot.action.width)),
        hold=request.hold,
        seed=(request.seed + repeat) % 2**31,
        start_height=pose[2] if pose else None,
    )


def combine(repeats: Sequence[dict[str, Any]]) -> ReplayMetrics:
    """One sample's metrics from those of its repeats: means, the median of first_grasp_row, success by majority."""
    successes = [bool(metrics["success"]) for metrics in repeats]
    rows = [metrics["first_grasp_row"] for metrics in repeats if metrics["first_grasp_row"] is not None]

    def mean(name: str) -> float | None:
        values = [float(metrics[name]) for metrics in repeats if metrics[name] is not None]
        return statistics.fmean(values) if values else None

    return ReplayMetrics(
        success=2 * sum(successes) >= len(successes),
        success_held=2 * sum(bool(metrics["success_held"]) for metrics in repeats) >= len(repeats),
        success_rate=sum(successes) / len(successes),
        repeats=len(repeats),
        max_lift=mean("max_lift"),
        tracking_error_deg=statistics.fmean(float(metrics["tracking_error_deg"]) for metrics in repeats),
        gripper_error_deg=mean("gripper_error_deg"),
        limit_clip_share=mean("limit_clip_share"),
        first_grasp_row=int(statistics.median(rows)) if rows else None,
        final_joint_pos=repeats[0]["final_joint_pos"],
    )


def _launch(settings: IsaacSettings, robot: Embodiment) -> Launch:
    name = settings.python or os.environ.get(PYTHON_ENV) or DEFAULT_PYTHON
    python = shutil.which(name)
    if python is None:
        raise InputError(
            f"Isaac Sim is not on this machine: no {name}", fix=f"run in the isaac image, or set ${PYTHON_ENV}"
        )
    commit = os.environ.get(COMMIT_ENV, "")
    if commit not in ("", UPSTREAM):
        raise InputError(
            f"LeIsaac here is at commit {commit}, not {UPSTREAM}", fix="use the image of this leicos version"
        )
    if not os.environ.get(LICENCE_ENV):
        raise InputError(
            "Isaac Sim's licence agreement is not accepted", fix=f"read it, then set {LICENCE_ENV}=Y in the environment"
        )
    root = assets_root(settings)
    if not (root / "robots").is_dir():
        raise InputError(
            f"no LeIsaac assets at {root}: it needs robots/ and scenes/",
            fix=f"python -m leicos_jobs.backends.isaac.assets TASK FOLDER, then name it in ${ASSETS_ENV}",
        )
    for folder in filter(None, os.environ.get(FOLDERS_ENV, "").split(":")):
        Path(folder).mkdir(parents=True, exist_ok=True)
    config = {
        "env": DRIVER_ENV,
        "task": settings.task,
        "envs": settings.envs,
        "device": settings.device,
        "lift_object": settings.lift_object,
        "limits_rad": [[float(low), float(high)] for low, high in robot.action.recorded_limits()],
    }
    environment = {ASSETS_ENV: str(root.absolute()), "OMNI_KIT_ACCEPT_EULA": "YES"}
    return Launch(Path(python), config, environment, settings.start_seconds_max, settings.hang_seconds)


def assets_root(settings: IsaacSettings) -> Path:
    """LeIsaac's assets: as set, or in the environment, or beside the weights in the model cache."""
    named = settings.assets or os.environ.get(ASSETS_ENV)
    return Path(named) if named else Path(os.environ.get("HF_HOME", "/models")) / "leisaac"
