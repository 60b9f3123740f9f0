"""One demonstration in memory and requests made from it, as plan would make them from its recording."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np

from leicos_jobs.backends.mujoco import recorder, rollout
from leicos_jobs.backends.mujoco.looks import Look
from leicos_jobs.backends.mujoco.render import Renderer
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.requests import GenerateRequest, ReplayRequest
from leicos_jobs.media.encode import write_video
from leicos_jobs.tasks.task import Failure

WIDTH, HEIGHT = 160, 120


@cache
def demo(number: int = 0, failure: Failure | None = None) -> tuple[rollout.Rollout, Look]:
    return recorder.attempt(recorder.Attempt(3, number, failure, WIDTH, HEIGHT))


@cache
def clip_frames(row0: int, number: int = 0) -> np.ndarray:
    done, look = demo(number)
    with closing(Renderer(WIDTH, HEIGHT)) as renderer:
        renderer.wear(look)
        return np.stack([renderer.draw(done.qpos[row0 + 2 * frame]).copy() for frame in range(5)])


def generate_request(folder: Path, sample: str, row0: int = 6, frames: int = 100, number: int = 0) -> GenerateRequest:
    done, _ = demo(number)
    out = folder / sample
    out.mkdir(parents=True)
    clip = out / "clip.mp4"
    write_video(clip, clip_frames(row0, number), 30.0, crf=8, gop=1)
    start = {key: [float(value) for value in row] for key, row in rollout.row(done.states, row0).items()}
    start["conditioning/actions"] = [float(value) for value in done.targets[row0 : row0 + 8].ravel()]
    return GenerateRequest(
        sample=sample, prompt="Lift_the_red_cube_up", seed=11, clip=clip, start=start, fps=30.0, frames=frames,
        width=WIDTH, height=HEIGHT, out_dir=out,
    )  # fmt: skip


def replay_request(done: rollout.Rollout, row0: int = 0, name: str = "demo") -> ReplayRequest:
    start = {key: [float(value) for value in row] for key, row in rollout.row(done.states, row0).items()}
    return ReplayRequest(name, start, SO101.action.to_motor(done.targets[row0:]), 60.0, 30)
