"""What geometry tells the encoder while it is trained; nothing of it is needed to label.

Through the found camera each pose says where in the picture the robot's parts are. Some of the encoder's maps are
taught these places, and a small network that turns places into angles is taught by drawn poses too, far more various
than the demonstrations. So poses that no demonstration had are understood from what they have in common with those
that were: single parts at single places.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from leicos_jobs.backends.compact.artifact import Norms
from leicos_jobs.backends.compact.camera import project
from leicos_jobs.backends.compact.images import ImageSpec
from leicos_jobs.backends.compact.kinematics import Kinematics
from leicos_jobs.robots.embodiment import Embodiment, Skeleton

TOOL_SCALE = 0.02
"""Metres of fingertip error that weigh as much as one standard deviation of a joint."""
SPREAD = 0.6
"""Poses are drawn around the demonstrated ones with up to this standard deviation, in standard deviations."""
SEEN_SHIFT, SEEN_NOISE = 0.034, 0.032
"""Errors of drawn places, in half windows: of all together (the camera stands a little elsewhere), and of each."""
DRAWN = 4
"""Drawn poses for each frame of a batch."""


class Guide(nn.Module):
    """Geometry of one training: robot, camera (a parameter, so that training can improve it), window."""

    slope: Tensor
    offset: Tensor

    def __init__(self, skeleton: Skeleton, robot: Embodiment, norms: Norms, camera: Tensor, spec: ImageSpec) -> None:
        super().__init__()
        self.kinematics = Kinematics(skeleton)
        self.tool = list(skeleton.tool)
        self.size, self.margin = (spec.width, spec.height), spec.margin
        self.camera = nn.Parameter(camera.clone())
        zero, one = (
            robot.state.to_recorded(np.full(robot.state.width, value, dtype=np.float32)) for value in (0.0, 1.0)
        )
        slope = (one - zero).astype(np.float32)
        self.register_buffer("slope", torch.from_numpy(slope * norms.std))
        self.register_buffer("offset", torch.from_numpy(zero + slope * norms.mean))

    def points(self, states: Tensor) -> Tensor:
        """Normalised states (B, joints) -> points (B, P, 3) in m."""
        where: Tensor = self.kinematics(states * self.slope + self.offset)
        return where

    def places(self, points: Tensor) -> Tensor:
        """Points (B, P, 3) -> places (B, P, 2) in the window, -1..1 from edge to edge."""
        return project(self.camera, points) * torch.tensor([1.0, self.size[0] / self.size[1]], device=points.device)

    def shifted(self, places: Tensor, shift: Tensor) -> Tensor:
        """Places in windows cut at `shift` (B, 2) y, x instead of the middle."""
        moved = (shift.flip(1) - self.margin) * torch.tensor([2 / length for length in self.size], device=shift.device)
        return places - moved[:, None]

    def tool_error(self, guess: Tensor, wanted: Tensor) -> Tensor:
        """Mean distance of the tool's points between two sets of normalised states, in TOOL_SCALE."""
        ours, true = self.points(torch.cat([guess, wanted]))[:, self.tool].chunk(2)
        error: Tensor = (ours - true).norm(dim=-1).mean() / TOOL_SCALE
        return error

    def drawn(self, states: Tensor, numbers: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Poses around normalised states and the places (n, P, 2) at which an imperfect eye sees their parts."""
        poses = states.repeat(DRAWN, 1)
        count, parts = len(poses), len(self.kinematics.points)

        def normal(*shape: int) -> Tensor:
            return torch.from_numpy(numbers.normal(size=shape).astype(np.float32)).to(states.device)

        far, blur = torch.from_numpy(numbers.random((2, count, 1)).astype(np.float32)).to(states.device)
        poses = poses + SPREAD * far * normal(count, poses.shape[1])
        places = self.places(self.points(poses))
        noise = SEEN_SHIFT * normal(count, 1, 2) + SEEN_NOISE * blur[:, None] * normal(count, parts, 2)
        return poses, places + noise
