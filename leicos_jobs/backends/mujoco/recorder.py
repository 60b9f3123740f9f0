"""Demonstrations of LiftCube in the HDF5 that LeIsaac's recorder writes, without Isaac Sim: in MuJoCo, or in PhysX.

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
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import expert, lift_cube, poses, rollout
from leicos_jobs.backends.mujoco.looks import Look, draw_look
from leicos_jobs.backends.mujoco.render import Renderer
from leicos_jobs.backends.mujoco.simulation import Simulation
from leicos_jobs.backends.physx.library import require_licence
from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_writer import describe_demo, describe_file, write_pictures, write_tables

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
class Task:
    """One demo to record. seed of the recording, number of the demo, how to fail (None: try to succeed)."""

    seed: int
    number: int
    failure: expert.Failure | None
    width: int
    height: int
    engine: Engine = "mujoco"


@dataclass(frozen=True)
class Done:
    """What came of a demo: rows written, success by the task's rule."""

    number: int
    rows: int
    success: bool


def tasks(
    episodes: int, seed: int, width: int, height: int, failed_share: float, engine: Engine = "mujoco"
) -> list[Task]:
    """What to record: `failed_share` of the demos, rounded, are attempts that fail on purpose."""
    if episodes < 1 or not 0.0 <= failed_share <= 1.0:
        raise InputError(f"cannot record {episodes} episodes of which a share of {failed_share} fails")
    rng = np.random.default_rng([seed, 0])
    failing = set(rng.permutation(episodes)[: round(failed_share * episodes)].tolist())
    kinds = rng.choice(len(expert.FAILURES), episodes)
    return [
        Task(seed, number, expert.FAILURES[kinds[number]] if number in failing else None, width, height, engine)
        for number in range(episodes)
    ]


def draw_start(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """A start as LeIsaac's reset draws it: arm near home, cube at its place +-75 mm and +-30 degrees, in its format."""
    joints = HOME + rng.uniform(-1.0, 1.0, 6) * HOME_SPREAD
    x, y = np.array(lift_cube.CUBE_CENTRE) + rng.uniform(-lift_cube.CUBE_SPREAD, lift_cube.CUBE_SPREAD, 2)
    half = 0.5 * rng.uniform(-lift_cube.CUBE_YAW, lift_cube.CUBE_YAW)
    quaternion = [math.cos(half), 0.0, 0.0, math.sin(half)]
    return poses.to_leisaac(poses.State.at_rest(joints, [x, y, lift_cube.CUBE_HALF], quaternion))


def attempt(task: Task) -> tuple[rollout.Rollout, Look]:
    """Plan and carry out one demo, and draw how it looks."""
    rng = np.random.default_rng([task.seed, 1, task.number])
    state = poses.from_leisaac(draw_start(rng))
    simulation = _simulation(task.engine)
    simulation.reset(state)
    turn = rollout.roll(simulation.roll_zero)
    planned = expert.plan(replace(state, joint_pos=state.joint_pos + turn), rng, failure=task.failure, least=LEAST_ROWS)
    targets = expert.settle(planned - turn) if simulation.roll_zero else planned
    return rollout.run(simulation, targets), draw_look(rng)


def _simulation(engine: Engine) -> rollout.Simulation:
    if engine == "mujoco":
        return Simulation()
    from leicos_jobs.backends.physx import simulation  # ovphysx: where it is asked for

    return simulation.Simulation(simulation.opened(None, None), lift_cube.CONTROL_HZ)


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
) -> dict[str, Any]:
    """Write `episodes` demos to `path` (which appears only when complete) and return facts about them.

    workers: processes; 1 works in this one. progress: called with (demos done, demos). Facts: episodes, successes,
    rows, frames (pictures drawn), bytes, seconds. Raises RetryError when asked to stop; nothing is left then.
    """
    started = time.monotonic()
    if engine == "physx":
        require_licence(False)
    wanted = tasks(episodes, seed, width, height, failed_share, engine)
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
        _join(parts, done, engine)
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


def _work(wanted: list[Task], parts: Path, workers: int) -> Iterator[Done]:
    if workers <= 1:
        with closing(Renderer(wanted[0].width, wanted[0].height)) as renderer:
            for task in wanted:
                yield _write(task, parts, renderer)
        return
    # Fresh processes: a forked one would share the GL context and whatever locks were held.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures: list[Future[Done]] = [pool.submit(_write_apart, task, parts) for task in wanted]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _write_apart(task: Task, parts: Path) -> Done:
    return _write(task, parts, _renderer(task.width, task.height))


@functools.cache
def _renderer(width: int, height: int) -> Renderer:
    """One renderer a process: making one takes as long as drawing fifty pictures."""
    return Renderer(width, height)


def _write(task: Task, parts: Path, renderer: Renderer) -> Done:
    done, look = attempt(task)
    renderer.wear(look)
    rows = len(done.targets)
    with h5py.File(parts / f"{task.number}", "w") as file:
        group = file.create_group("demo")
        write_tables(group, done.tables())
        drawn = (renderer.draw(done.qpos[index]) for index in range(0, rows, STRIDE))
        repeated = itertools.chain.from_iterable(itertools.repeat(picture, STRIDE) for picture in drawn)
        write_pictures(group, lift_cube.CAMERA, rows, itertools.islice(repeated, rows))
        describe_demo(group, rows, done.success, task.seed)
    return Done(task.number, rows, done.success)


def _join(parts: Path, done: list[Done], engine: Engine) -> None:
    with h5py.File(parts / "joined", "w") as file:
        data = file.create_group("data")
        for result in done:
            with h5py.File(parts / f"{result.number}", "r") as part:
                part.copy("demo", data, f"demo_{result.number}")
            (parts / f"{result.number}").unlink()
        env_args = {"env_name": f"leicos-{engine}/LiftCube", "type": 2}
        describe_file(data, sum(result.rows for result in done), env_args)
