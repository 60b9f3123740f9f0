"""Where the camera stands, found from the demonstrations themselves: the robot is its own calibration target.

What moves in a demo's pictures is the arm, and its joint angles are recorded. A camera is looked for through which the
arm's skeleton lies on the moving pixels and the moving pixels on the skeleton, over a few hundred frames. A coarse
search over directions is followed by descent. It gets within about one reduced pixel of the true camera of the
embedded scene, which is as good as the encoder needs: it learns to see places of the picture, and places seen through
a slightly wrong camera are still a function of the pose. Whether a camera was found at all is checked by trying the
same with poses and pictures exchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leicos_jobs.backends.compact import images
from leicos_jobs.backends.compact.data import Training
from leicos_jobs.backends.compact.kinematics import Kinematics
from leicos_jobs.robots.embodiment import Embodiment, Skeleton

MOVED = 28.0
"""Difference from the episode's median picture, in grey levels of 255, of a pixel that shows the arm."""
FRAMES, PIXELS, SPINE_STEPS = 240, 80, 6
EPISODES = 80
"""Of more episodes than twice this, only some evenly spaced ones are looked at."""
TRIED, KEPT = 3000, 6
"""Cameras of the coarse search, and how many of them are refined."""
BETTER = 0.7
"""Misfit must be below this share of that with exchanged poses; the embedded scene reaches 0.6, pictures of something
else that moves with the joints 0.75."""


def project(camera: Tensor, points: Tensor) -> Tensor:
    """Points (..., P, 3) in m -> (..., P, 2) places in half window widths from the window's middle, x right, y down.

    camera: (..., 10): eye and a point looked at (m, base frame), roll (rad), log focal length in half window widths,
    and the window's offset x, y. Leading dimensions broadcast.
    """
    eye, target = camera[..., 0:3], camera[..., 3:6]
    back = torch.nn.functional.normalize(eye - target, dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0], device=camera.device).expand_as(back)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, back), dim=-1)
    above = torch.linalg.cross(back, right)
    cos, sin = torch.cos(camera[..., 6:7]), torch.sin(camera[..., 6:7])
    axes = torch.stack([cos * right + sin * above, cos * above - sin * right, back], dim=-1)
    seen = (points - eye[..., None, :]) @ axes
    depth = (-seen[..., 2]).clamp_min(0.05)
    focal = camera[..., 7:8].exp()
    x = camera[..., 8:9] + focal * seen[..., 0] / depth
    y = camera[..., 9:10] - focal * seen[..., 1] / depth
    return torch.stack([x, y], dim=-1)


@dataclass(frozen=True)
class Fit:
    """A camera (10,) as `project` takes it; its misfit in half window widths, and that with poses exchanged."""

    camera: Tensor
    misfit: float
    exchanged: float

    @property
    def found(self) -> bool:
        """Whether the pictures do show this robot from one place."""
        return self.misfit < BETTER * self.exchanged


def find_camera(data: Training, skeleton: Skeleton, robot: Embodiment, seed: int) -> Fit | None:
    """Fit a camera to training data; None if too little moves. Some seconds on one core; always on the CPU."""
    states, pixels = _moving_pixels(data, seed)
    if len(states) < 16:
        return None
    with torch.no_grad():
        points = Kinematics(skeleton)(torch.from_numpy(robot.state.to_recorded(states)))
    spine = _spine(points[:, list(skeleton.spine)])
    random = torch.Generator().manual_seed(seed)
    few = torch.randperm(len(spine), generator=random)[:24]
    cameras = _coarse(spine[few], pixels[few][:, ::2], random)
    refined = [_descend(camera, spine[few], pixels[few], 150, 0.02) for camera in cameras]
    best = min(refined, key=lambda camera: float(_misfit(project(camera, spine[few]), pixels[few])))
    many = torch.randperm(len(spine), generator=random)[:120]
    camera = _descend(best, spine[many], pixels[many], 200, 0.01)
    with torch.no_grad():
        places = project(camera, spine)
        fitted, exchanged = _misfit(places, pixels), _misfit(places.roll(len(places) // 2, 0), pixels)
    return Fit(camera, float(fitted), float(exchanged))


def _moving_pixels(data: Training, seed: int) -> tuple[np.ndarray, Tensor]:
    """States (F, joints) of some frames, and PIXELS places (F, PIXELS, 2) of each that show the arm."""
    random = np.random.default_rng([seed, 41])
    states, places = [], []
    bounds = data.bounds[:: max(1, len(data.bounds) // EPISODES)]
    each = -(-FRAMES // len(bounds))
    frames = images.middle(data.frames, data.spec)
    for first, stop in bounds:
        still = np.median(frames[first : stop : max(1, (stop - first) // 40)], axis=0)
        for row in random.choice(np.arange(first, stop), min(each, stop - first), replace=False):
            moved = np.abs(frames[row] - still).max(axis=2) > MOVED
            y, x = np.nonzero(moved)
            if len(y) < PIXELS // 2:
                continue
            chosen = random.integers(0, len(y), PIXELS)
            states.append(data.states[row])
            places.append(np.stack([x[chosen], y[chosen]], axis=1) + random.random((PIXELS, 2)))
    if not states:
        return np.zeros((0, data.states.shape[1])), torch.zeros(0, PIXELS, 2)
    half = data.spec.width / 2
    centred = (np.stack(places) - [half, data.spec.height / 2]) / half
    return np.stack(states), torch.from_numpy(centred.astype(np.float32))


def _spine(joints: Tensor) -> Tensor:
    """Points along the arm (F, n, 3) from those where its parts meet (F, k, 3)."""
    shares = torch.linspace(0, 1, SPINE_STEPS + 1)[1:, None]
    return torch.cat([a[:, None] + (b - a)[:, None] * shares for a, b in zip(*_pairs(joints), strict=True)], dim=1)


def _pairs(joints: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    each = list(joints.unbind(1))
    return each[:-1], each[1:]


def _misfit(places: Tensor, pixels: Tensor) -> Tensor:
    """Mean distance from skeleton to pixels and from pixels to skeleton, far ones counting less: (..., F) -> (...)."""
    distance = torch.cdist(places, pixels)

    def soft(values: Tensor) -> Tensor:
        return torch.where(values < 0.15, values, 0.12 + 0.2 * values)

    from_skeleton, from_pixels = soft(distance.amin(-1)), soft(distance.amin(-2))
    return (from_skeleton.mean(-1) + 1.5 * from_pixels.mean(-1)).mean(-1)


def _coarse(spine: Tensor, pixels: Tensor, random: torch.Generator) -> Tensor:
    """The KEPT best of TRIED cameras all around, each with the zoom and offset that fit its view best."""
    middle = spine.mean((0, 1))
    draws = torch.rand(TRIED, 4, generator=random)
    round_, rise = draws[:, 0] * 2 * math.pi, torch.asin(draws[:, 1] * 1.1 - 0.1)
    away = torch.stack([rise.cos() * round_.cos(), rise.cos() * round_.sin(), rise.sin()], dim=1)
    cameras = torch.zeros(TRIED, 10)
    cameras[:, 0:3] = middle + (0.4 + 1.2 * draws[:, 2:3]) * away
    cameras[:, 3:6] = middle
    cameras[:, 6] = 0.3 * (draws[:, 3] - 0.5)
    costs = []
    with torch.no_grad():
        for part in torch.chunk(cameras, 12):
            places = project(part[:, None], spine)
            zoom = pixels.std((0, 1)).norm() / places.std((1, 2)).norm(dim=-1)
            part[:, 7] = zoom.log()
            places = places * zoom[:, None, None, None]
            part[:, 8:] = pixels.mean((0, 1)) - places.mean((1, 2))
            costs.append(_misfit(places + part[:, None, None, 8:], pixels))
    return cameras[torch.cat(costs).argsort(stable=True)[:KEPT]]


def _descend(camera: Tensor, spine: Tensor, pixels: Tensor, steps: int, rate: float) -> Tensor:
    moved = camera.clone().requires_grad_()
    optimiser = torch.optim.Adam([moved], rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - 0.95 * step / steps)
        loss = _misfit(project(moved, spine), pixels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return moved.detach()
