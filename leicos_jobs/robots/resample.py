"""From dataset rows to control steps: arm targets interpolated, the gripper held.

A gripper target between open and closed would be a grasp that nobody commanded; the arm's targets move smoothly, so a
line between two rows is closer to what was commanded than a step.
"""

from __future__ import annotations

import numpy as np

from leicos_jobs.robots.embodiment import F32, Embodiment


def to_control_rate(actions: F32, stride: int, embodiment: Embodiment) -> F32:
    """(n, width) targets at dataset rows to (n * stride, width) at control steps; the last row is held.

    Step k * stride has exactly row k, for every joint.
    """
    rows = len(actions)
    steps = np.arange(rows * stride) / stride
    below = np.floor(steps).astype(int)
    above = np.minimum(below + 1, rows - 1)
    weight = (steps - below)[:, None]
    out = actions[below] * (1 - weight) + actions[above] * weight
    for index, joint in enumerate(embodiment.action.joints):
        if joint.gripper:
            out[:, index] = actions[below, index]
    return np.asarray(out, dtype=np.float32)
