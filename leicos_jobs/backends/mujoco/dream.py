"""Imagined attempts: what a video model would make of a clip, with the truth known.

From the demo's state at row0 the arm first follows the demo through the clip's interval, then a new attempt is planned
and carried out: other path, other pace, sometimes a failure. The video begins with the clip's own frames, as Cosmos's
output does; then the picture drifts slowly in light, colour and by LeIsaac's camera jitter. Some videos are defective
on purpose, so that their judges can be judged.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import expert, poses, rollout
from leicos_jobs.backends.mujoco.looks import Look, drifted, fit_look
from leicos_jobs.backends.mujoco.render import Renderer
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.backends.mujoco.settings import MujocoGeneratorSettings
from leicos_jobs.backends.mujoco.simulation import Simulation
from leicos_jobs.backends.requests import CONDITIONING_ACTIONS, GenerateRequest, GenerateResult
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import write_video
from leicos_jobs.tasks.task import Failure, Object

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

Defect = Literal["static", "vanish", "jump", "wrong-start", "truncated"]
"""static: the clip's last frame to the end. vanish: the cube is gone from some frame on. jump: frames are left out.
wrong-start: another arm pose and cube place, and not the clip. truncated: the file's end is missing."""
DEFECTS: tuple[Defect, ...] = get_args(Defect)


class Dreamer:
    """Makes one video after the other in one simulation; holds a GL context for each size it was asked for."""

    def __init__(self, settings: MujocoGeneratorSettings) -> None:
        self._settings = settings
        self._task = settings.known_task
        self._simulation = Simulation(settings.control_hz, settings.gripper_effort_limit, self._task)
        self._renderers: dict[tuple[int, int], Renderer] = {}

    def make(self, request: GenerateRequest) -> GenerateResult:
        """One video with its truth. Raises InputError for a request that does not fit the scene."""
        clip, stride = self._check(request)
        choices, motion, looks = _streams(request)
        fails = bool(choices.random() < self._settings.failure_share)
        broken = bool(choices.random() < self._settings.defect_share)
        defect = DEFECTS[choices.integers(len(DEFECTS))] if broken else None
        dream = self._dream(request, len(clip), stride, motion, fails, defect)
        renderer = self._renderer(request.width, request.height)
        video = request.out_dir / "video.mp4"
        write_video(video, _pictures(renderer, dream, clip, defect, looks, self._settings.drift), request.fps)
        if defect == "truncated":
            with video.open("r+b") as stream:
                stream.truncate(int(video.stat().st_size * looks.uniform(0.4, 0.8)))
        return GenerateResult(
            request.sample,
            video,
            truth={
                "action": JOINTS.to_motor(dream.targets[::stride]),
                "observation.state": JOINTS.to_motor(dream.joint_pos[:-1:stride]),
                "action_full": JOINTS.to_motor(dream.targets),
            },
            truth_facts={"success": dream.success, "planned_failure": fails, "defect": defect},
        )

    def _check(self, request: GenerateRequest) -> tuple[U8, int]:
        """The clip's frames and the control steps per frame. Raises InputError for what cannot be generated."""
        clip = read_all(request.clip)
        stride = round(self._simulation.control_hz / request.fps)
        if not math.isclose(stride * request.fps, self._simulation.control_hz):
            raise InputError(
                f"sample {request.sample}: {request.fps} fps do not divide control_hz {self._simulation.control_hz}",
                fix="set generate.settings.control_hz to a multiple of the dataset's fps",
            )
        if clip.shape[1:] != (request.height, request.width, 3) or request.frames <= len(clip):
            raise InputError(
                f"sample {request.sample}: the clip has {len(clip)} frames of {clip.shape[2]}x{clip.shape[1]}, wanted "
                f"are more than that, namely {request.frames} of {request.width}x{request.height}",
                fix="generate at the dataset's size, and more frames than the clip has",
            )
        return clip, stride

    def _dream(
        self,
        request: GenerateRequest,
        frames: int,
        stride: int,
        rng: np.random.Generator,
        fails: bool,
        defect: Defect | None,
    ) -> _Dream:
        """Follow the demo through the clip of so many `frames`, then do something of one's own."""
        simulation = self._simulation
        state = poses.from_leisaac(request.start, self._task.scene.object.name)
        lead = _lead(request, stride * (frames - 1))
        if defect == "wrong-start":
            state, lead = _elsewhere(state, self._task.scene.object, rng), lead[:0]
        simulation.reset(state)
        judged = rollout.judge(simulation)
        followed = rollout.run(simulation, lead, judged)
        held = bool(len(lead)) and simulation.pinched
        kinds = self._task.expert.failures_after(held)
        failure: Failure | None = kinds[rng.integers(len(kinds))] if fails and kinds else None
        targets = expert.plan(
            simulation.state(),
            rng,
            self._task.expert,
            self._task.expert.wider,
            failure,
            previous=lead[-1].astype(np.float64) if len(lead) else None,
            held=held,
            budget=stride * request.frames - len(lead),
            wait=False,
            control_hz=simulation.control_hz,
        )
        own = rollout.run(simulation, targets, judged)
        return _Dream(
            targets=np.concatenate([followed.targets, own.targets]),
            qpos=np.concatenate([followed.qpos, own.qpos[1:]]),
            joint_pos=np.concatenate([followed.joint_pos, own.joint_pos[1:]]),
            success=judged.succeeded,
            stride=stride,
        )

    def _renderer(self, width: int, height: int) -> Renderer:
        if (width, height) not in self._renderers:
            self._renderers[width, height] = Renderer(width, height, self._task.scene)
        return self._renderers[width, height]


@dataclass(frozen=True)
class _Dream:
    """What happened. targets (n, 6) rad, qpos (n+1, 13), joint_pos (n+1, 6) rad; n = stride * frames."""

    targets: F32
    qpos: NDArray[np.float64]
    joint_pos: F32
    success: bool
    stride: int


def _streams(request: GenerateRequest) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
    """Random numbers for the choices, the motion and the looks of this sample and no other."""
    sample = int.from_bytes(hashlib.sha256(request.sample.encode()).digest()[:16], "big")
    choices, motion, looks = np.random.SeedSequence([request.seed, sample]).spawn(3)
    return np.random.default_rng(choices), np.random.default_rng(motion), np.random.default_rng(looks)


def _lead(request: GenerateRequest, steps: int) -> F32:
    """The demo's targets while the clip runs, (steps, 6) rad."""
    values = np.asarray(request.start.get(CONDITIONING_ACTIONS, []), dtype=np.float64)
    if values.size != steps * JOINTS.width:
        raise InputError(
            f"sample {request.sample}: start has {values.size} numbers under {CONDITIONING_ACTIONS!r}, the clip needs "
            f"{steps * JOINTS.width} ({steps} control steps)",
            fix="give the demo's actions at control_hz (rad) for the rows from row0 to the clip's last frame",
        )
    return expert.settle(values.reshape(steps, JOINTS.width))


def _elsewhere(state: poses.State, item: Object, rng: np.random.Generator) -> poses.State:
    """As if another demo's state had been taken: the cube on the other side, the arm turned and raised."""
    side = -1.0 if state.cube_pos[1] > 0.0 else 1.0
    x, y = item.centre[0] + rng.uniform(-0.03, 0.03), side * rng.uniform(0.06, 0.09)
    turn = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 0.8)
    joints = np.array([turn, -0.6, 0.5, 0.9, turn, 0.6]) + rng.uniform(-0.15, 0.15, JOINTS.width)
    return replace(poses.State.at_rest(joints, [x, y, item.half], state.cube_quat), root=state.root)


def _pictures(
    renderer: Renderer, dream: _Dream, clip: U8, defect: Defect | None, rng: np.random.Generator, drift: float
) -> Iterator[U8]:
    """The video's frames: the clip's own, then drawn ones, or what the defect makes of them."""
    count, total = len(clip), len(dream.targets) // dream.stride
    seen = dream.qpos[dream.stride * (count - 1)]

    def draw(look: Look) -> U8:
        renderer.wear(look)
        return renderer.draw(seen)

    first = drifted(Look(), rng, 2.0) if defect == "wrong-start" else fit_look(clip[-1], draw)
    last = drifted(first, rng, 2.0 * drift)
    onset = int(rng.integers(count + total // 8, max(count + total // 8 + 1, total // 2)))
    skip = int(rng.integers(30, 50)) if defect == "jump" else 0
    if defect != "wrong-start":
        yield from clip
    for frame in range(0 if defect == "wrong-start" else count, total):
        if defect == "static":
            yield clip[-1]
            continue
        shown = min(frame + skip, total - 1) if frame >= onset else frame
        renderer.wear(first.toward(last, max(0, frame - count + 1) / (total - count)))
        yield renderer.draw(dream.qpos[shown * dream.stride], hidden=defect == "vanish" and frame >= onset)
