"""What a user can set for generation in MuJoCo."""

from __future__ import annotations

from pydantic import Field

from leicos_jobs.backends.base import Settings
from leicos_jobs.backends.mujoco import lift_cube


class MujocoGeneratorSettings(Settings):
    """How the imagined attempts differ from the demos."""

    control_hz: float = Field(lift_cube.CONTROL_HZ, gt=0)
    """Control steps per second; a multiple of the dataset's fps."""
    failure_share: float = Field(0.3, ge=0, le=1)
    """Share of attempts that fail on purpose; a few more do by chance, a few succeed against it."""
    defect_share: float = Field(0.1, ge=0, le=1)
    """Share of videos that are defective on purpose: static, cube vanishes, jump, wrong start, truncated file."""
    drift: float = Field(1.0, ge=0)
    """How far light and colour have gone at the video's end, in units of twice the spread of recorded demos."""
    gripper_effort_limit: float = Field(lift_cube.GRIPPER_EFFORT, gt=0)
    """N m; the gripper servo's largest torque. LeIsaac's for this cube is 0.0667."""
