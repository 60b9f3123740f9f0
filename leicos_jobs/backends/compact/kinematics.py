"""Where the parts of a robot are, from its joint angles, for robots whose geometry we know.

It serves twice. Errors of shoulder, elbow and wrist can cancel or add up at the fingertips, and it is there that a
grasp succeeds or fails, so the loss counts the fingertips' error too. And seen through the camera (`camera`), the parts
are places in the picture that the encoder can be told to look for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from leicos_jobs.robots.embodiment import Quaternion, Skeleton


def _rotation(quaternion: Quaternion) -> list[list[float]]:
    norm = math.sqrt(sum(value * value for value in quaternion))
    w, x, y, z = (value / norm for value in quaternion)
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]


class Kinematics(torch.nn.Module):
    """Forward kinematics of a skeleton."""

    offsets: Tensor
    turns: Tensor
    points: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.counts = [sum(link == i for link, _ in skeleton.points) for i in range(len(skeleton.links))]
        self.register_buffer("offsets", torch.tensor([offset for offset, _ in skeleton.links]))
        self.register_buffer("turns", torch.tensor([_rotation(turn) for _, turn in skeleton.links]))
        self.register_buffer("points", torch.tensor([place for _, place in skeleton.points]))

    def forward(self, radians: Tensor) -> Tensor:
        """Joint angles (B, links) in radians -> points (B, points, 3) in metres, in the base's frame."""
        # From the last link inwards: points are carried through one joint after the other, no matrix is multiplied.
        rest = self.points
        where = self.points[:0].expand(len(radians), -1, -1)
        for index in reversed(range(len(self.counts))):
            own, rest = rest[len(rest) - self.counts[index] :], rest[: len(rest) - self.counts[index]]
            where = torch.cat([own.expand(len(radians), -1, -1), where], dim=1)
            angle = radians[:, index, None]
            cos, sin = torch.cos(angle), torch.sin(angle)
            x, y, z = where.unbind(-1)
            turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=-1)
            where = turned @ self.turns[index].T + self.offsets[index]
        return where
