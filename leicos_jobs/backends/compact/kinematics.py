"""Where the parts of a robot are, from its joint angles, for robots whose geometry we know.

It serves twice. Errors of shoulder, elbow and wrist can cancel or add up at the fingertips, and it is there that a
grasp succeeds or fails, so the loss counts the fingertips' error too. And seen through the camera (`camera`), the parts
are places in the picture that the encoder can be told to look for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Quaternion = tuple[float, float, float, float]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Skeleton:
    """A robot's links and the points of interest on them.

    links: offset (m) and turn (w, x, y, z) of each link in the one before it; every joint turns its link about the
    link's own z. points: (link, place in it in m), links ascending. spine: points that follow one another along the
    arm, base first. tool: points whose position decides a grasp.
    """

    links: tuple[tuple[Vector, Quaternion], ...]
    points: tuple[tuple[int, Vector], ...]
    spine: tuple[int, ...]
    tool: tuple[int, ...]


_O: Vector = (0.0, 0.0, 0.0)
SKELETONS = {
    # so101_new_calib.xml (github.com/TheRobotStudio/SO-ARM100); angles are LeIsaac's (docs/decisions/leisaac.md 5.1).
    "so101": Skeleton(
        links=(
            ((0.0388353, 0.0, 0.0624), (0.0, 0.0, -1.0, 0.0)),
            ((-0.0303992, -0.0182778, -0.0542), (0.5, -0.5, -0.5, -0.5)),
            ((-0.11257, -0.028, 0.0), (0.707107, 0.0, 0.0, 0.707107)),
            ((-0.1349, 0.0052, 0.0), (0.707107, 0.0, 0.0, -0.707107)),
            ((0.0, -0.0611, 0.0181), (0.0172091, -0.0172091, 0.706897, 0.706897)),
            ((0.0202, 0.0188, -0.0234), (0.707107, 0.707107, 0.0, 0.0)),
        ),
        # Joints; then the fixed finger's tip, two points beside the gripper that tell its roll, the finger's middle;
        # the moving finger's tip and middle.
        points=(
            (1, _O), (2, _O), (3, _O), (4, _O), (4, (-0.0079, 0.0, -0.098)), (4, (0.0, 0.03, -0.03)),
            (4, (0.0, -0.03, -0.03)), (4, (-0.005, 0.0, -0.06)), (5, (-0.012, -0.076, 0.019)),
            (5, (-0.005, -0.04, 0.019)),
        ),
        spine=(0, 1, 2, 3, 4),
        tool=(3, 4),
    )
}  # fmt: skip


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
