"""Where the gripper is, from joint angles, for robots whose geometry we know.

Errors of shoulder, elbow and wrist can cancel or add up at the fingertips, and it is there that a grasp succeeds or
fails. The encoder's loss therefore also counts the error of two points of the gripper, computed by this chain.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Quaternion = tuple[float, float, float, float]
Vector = tuple[float, float, float]

SO101_CHAIN: tuple[tuple[Vector, Quaternion], ...] = (
    ((0.0388353, 0.0, 0.0624), (0.0, 0.0, -1.0, 0.0)),
    ((-0.0303992, -0.0182778, -0.0542), (0.5, -0.5, -0.5, -0.5)),
    ((-0.11257, -0.028, 0.0), (0.707107, 0.0, 0.0, 0.707107)),
    ((-0.1349, 0.0052, 0.0), (0.707107, 0.0, 0.0, -0.707107)),
    ((0.0, -0.0611, 0.0181), (0.0172091, -0.0172091, 0.706897, 0.706897)),
)
"""Offset (m) and turn (w, x, y, z) of each link in the one before it, up to the gripper; every joint turns about its
own z. From so101_new_calib.xml (github.com/TheRobotStudio/SO-ARM100), whose angles are LeIsaac's."""

SO101_POINTS: tuple[Vector, ...] = ((0.02, 0.0, -0.1), (0.0, 0.0, 0.0))
"""Points in the gripper's frame (m): between the fingertips, and its origin, which adds the approach direction."""

CHAINS = {"so101": (SO101_CHAIN, SO101_POINTS)}


def _rotation(quaternion: Quaternion) -> list[list[float]]:
    norm = math.sqrt(sum(value * value for value in quaternion))
    w, x, y, z = (value / norm for value in quaternion)
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]


class Chain(torch.nn.Module):
    """Forward kinematics of a robot's arm."""

    offsets: Tensor
    turns: Tensor
    points: Tensor

    def __init__(self, robot: str) -> None:
        super().__init__()
        chain, points = CHAINS[robot]
        self.register_buffer("offsets", torch.tensor([offset for offset, _ in chain]))
        self.register_buffer("turns", torch.tensor([_rotation(turn) for _, turn in chain]))
        self.register_buffer("points", torch.tensor(points))

    def forward(self, radians: Tensor) -> Tensor:
        """Joint angles (B, >= 5) in radians -> gripper points (B, points, 3) in metres, in the base's frame."""
        joints = len(self.offsets)
        # From the tool inwards: points are carried through one joint after the other, no matrix is multiplied.
        where = self.points.expand(len(radians), -1, -1)
        for index in reversed(range(joints)):
            angle = radians[:, index, None]
            cos, sin = torch.cos(angle), torch.sin(angle)
            x, y, z = where.unbind(-1)
            turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=-1)
            where = turned @ self.turns[index].T + self.offsets[index]
        return where
