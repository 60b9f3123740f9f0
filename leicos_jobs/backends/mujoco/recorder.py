"""Demonstrations of a task in the HDF5 that LeIsaac's recorder writes, without Isaac Sim: in MuJoCo, or in PhysX.

The layout is LeIsaac's to the attribute (docs/decisions/leisaac.md 2): one row a control step at 60 Hz; obs and actions
before the step, states after it, so states[t] belongs to obs/joint_pos[t+1]; the camera runs at 30 Hz, so each picture
stands in two rows; failed attempts are in the file with success False; lzf, chunks of 100 rows, extensible.

Each demo is a function of (seed, its number) alone. It is written to a file of its own by whichever process is free,
and the parts are joined in order by copying compressed chunks, so the file does not depend on the number of processes.
"""

from __future__ import annotations

import functools
import itertools
import math
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from leicos_jobs.backends.mujoco import expert, poses, rollout, workspace
from leicos_jobs.backends.mujoco.looks import Look, draw_look
from leicos_jobs.backends.mujoco.render import Renderer
from leicos_jobs.backends.mujoco.simulation import Simulation
from leicos_jobs.backends.physx.library import require_licence
from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_hdf5 import TASK
from leicos_jobs.formats.leisaac_writer import describe_demo, describe_file, write_pictures, write_tables
from leicos_jobs.tasks.task import DEFAULT, Failure, Scene, Task, shipped, task_named

STRIDE = 2
"""Control steps per camera picture: 60 Hz control, 30 Hz camera."""
LEAST_ROWS = 210
"""So that 102 pictures remain after the converter's five dropped rows; Cosmos needs more than 93 to train."""
HOME = np.radians([0.0, -95.0, 85.0, 50.0, 0.0, -3.0])
HOME_SPREAD = np.radians([8.0, 5.0, 5.0, 8.0, 10.0, 4.0])
"""Where an attempt begins: near LeIsaac's rest pose (0, -100, 90, 50, 0, -10 degrees), +-."""

Engine = Literal["mujoco", "physx"]
"""In what an attempt is carried out; MuJoCo plans and draws both. The recording's env_name says which, which LeIsaac's
streaming handler leaves empty: it tells these recordings from real ones."""


@dataclass(frozen=True)
class Attempt:
    """One demo to record. seed of the recording, number of the demo, how to fail (None: try to succeed); task: None for
    the default one."""

    seed: int
    number: int
    failure: Failure | None
    width: int
    height: int
    engine: Engine = "mujoco"
    task: Task | None = None

    @property
    def known_task(self) -> Task:
        """The task itself."""
        return self.task or task_named(DEFAULT)


@dataclass(frozen=True)
class Done:
    """What came of a demo: rows written, success by the task's rule."""

    number: int
    rows: int
    success: bool


def attempts(
    episodes: int,
    seed: int,
    width: int,
    height: int,
    failed_share: float,
    engine: Engine = "mujoco",
    task: Task | None = None,
) -> list[Attempt]:
    """What to record: `failed_share` of the demos, rounded, are attempts that fail on purpose."""
    if episodes < 1 or not 0.0 <= failed_share <= 1.0:
        raise InputError(f"cannot record {episodes} episodes of which a share of {failed_share} fails")
    rng = np.random.default_rng([seed, 0])
    failing = set(rng.permutation(episodes)[: round(failed_share * episodes)].tolist())
    failures = (task or task_named(DEFAULT)).expert.failures
    kinds = rng.choice(len(failures), episodes)
    return [
        Attempt(seed, number, failures[kinds[number]] if number in failing else None, width, height, engine, task)
        for number in range(episodes)
    ]


def draw_start(rng: np.random.Generator, task: Task | None = None) -> poses.State:
    """A start as LeIsaac's reset draws it: arm near home, the object at its place and turned, each by chance;
    rounded as recordings hold it."""
    item = (task or task_named(DEFAULT)).scene.object
    joints = HOME + rng.uniform(-1.0, 1.0, 6) * HOME_SPREAD
    x, y = np.array(item.centre) + rng.uniform(-item.spread, item.spread, 2)
    half = 0.5 * rng.uniform(-math.radians(item.yaw), math.radians(item.yaw))
    quaternion = [math.cos(half), 0.0, 0.0, math.sin(half)]
    return poses.from_leisaac(poses.to_leisaac(poses.State.at_rest(joints, [x, y, item.half], quaternion)))


def attempt(wanted: Attempt) -> tuple[rollout.Rollout, Look]:
    """Plan and carry out one demo, and draw how it looks."""
    rng, task = np.random.default_rng([wanted.seed, 1, wanted.number]), wanted.known_task
    state = draw_start(rng, task)
    simulation = _simulation(wanted.engine, task)
    simulation.reset(state)
    turn = rollout.roll(simulation.roll_zero)
    turned, person = replace(state, joint_pos=state.joint_pos + turn), task.expert
    planned = expert.plan(turned, rng, person, person.person, wanted.failure, least=LEAST_ROWS)
    targets = expert.settle(planned - turn) if simulation.roll_zero else planned
    return rollout.run(simulation, targets), draw_look(rng)


def _simulation(engine: Engine, task: Task) -> rollout.Simulation:
    if engine == "mujoco":
        return Simulation(task=task)
    from leicos_jobs.backends.physx import simulation  # ovphysx: where it is asked for

    return simulation.Simulation(simulation.opened(None, None, task.scene), workspace.CONTROL_HZ, task=task)


def record(
    path: Path,
    episodes: int,
    seed: int,
    width: int,
    height: int,
    failed_share: float = 0.2,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    engine: Engine = "mujoco",
    task: Task | None = None,
) -> dict[str, Any]:
    """Write `episodes` demos of a task to `path` (which appears only when complete) and return facts about them.

    task: None for the default one. workers: processes; 1 works in this one. progress: called with (demos done,
    demos). Facts: episodes, successes, rows, frames (pictures drawn), bytes, seconds. Raises RetryError when asked to
    stop; nothing is left then.
    """
    started = time.monotonic()
    if engine == "physx":
        require_licence(False)
    wanted = attempts(episodes, seed, width, height, failed_share, engine, task)
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        done = []
        for result in _work(wanted, parts, workers):
            done.append(result)
            if progress is not None:
                progress(len(done), episodes)
            signals.check()
        done.sort(key=lambda result: result.number)
        _join(parts, done, wanted[0])
        (parts / "joined").replace(path)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    rows = [result.rows for result in done]
    return {
        "episodes": episodes,
        "successes": sum(result.success for result in done),
        "rows": sum(rows),
        "frames": sum(-(-count // STRIDE) for count in rows),
        "bytes": path.stat().st_size,
        "seconds": time.monotonic() - started,
    }


def _work(wanted: list[Attempt], parts: Path, workers: int) -> Iterator[Done]:
    if workers <= 1:
        with closing(Renderer(wanted[0].width, wanted[0].height, wanted[0].known_task.scene)) as renderer:
            for one in wanted:
                yield _write(one, parts, renderer)
        return
    # Fresh processes: a forked one would share the GL context and whatever locks were held.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures: list[Future[Done]] = [pool.submit(_write_apart, one, parts) for one in wanted]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _write_apart(wanted: Attempt, parts: Path) -> Done:
    return _write(wanted, parts, _renderer(wanted.width, wanted.height, wanted.known_task.scene))


@functools.cache
def _renderer(width: int, height: int, shown: Scene) -> Renderer:
    """One renderer a process: making one takes as long as drawing fifty pictures."""
    return Renderer(width, height, shown)


def _write(wanted: Attempt, parts: Path, renderer: Renderer) -> Done:
    done, look = attempt(wanted)
    renderer.wear(look)
    rows = len(done.targets)
    with h5py.File(parts / f"{wanted.number}", "w") as file:
        group = file.create_group("demo")
        write_tables(group, done.tables())
        drawn = (renderer.draw(done.qpos[index]) for index in range(0, rows, STRIDE))
        repeated = itertools.chain.from_iterable(itertools.repeat(picture, STRIDE) for picture in drawn)
        write_pictures(group, workspace.CAMERA, rows, itertools.islice(repeated, rows))
        describe_demo(group, rows, done.success, wanted.seed)
    return Done(wanted.number, rows, done.success)


def _join(parts: Path, done: list[Done], wanted: Attempt) -> None:
    with h5py.File(parts / "joined", "w") as file:
        data = file.create_group("data")
        for result in done:
            with h5py.File(parts / f"{result.number}", "r") as part:
                part.copy("demo", data, f"demo_{result.number}")
            (parts / f"{result.number}").unlink()
        env_args: dict[str, Any] = {"env_name": f"leicos-{wanted.engine}/{wanted.known_task.environment}", "type": 2}
        if wanted.known_task not in shipped().values():
            env_args[TASK] = wanted.known_task.model_dump(mode="json", exclude_defaults=True)
        describe_file(data, sum(result.rows for result in done), env_args)
