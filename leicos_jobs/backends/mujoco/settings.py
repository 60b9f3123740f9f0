"""What a user can set for generation in MuJoCo."""

from __future__ import annotations

from pydantic import Field, field_validator

from leicos_jobs.backends.base import Settings
from leicos_jobs.backends.mujoco import workspace
from leicos_jobs.tasks.task import DEFAULT, Task, require_known, shipped


class MujocoGeneratorSettings(Settings):
    """How the imagined attempts differ from the demos."""

    task: str | Task = DEFAULT
    """A shipped task, or one as data: what is attempted, and in which scene (docs/tasks.md)."""

    control_hz: float = Field(workspace.CONTROL_HZ, gt=0)
    """Control steps per second; a multiple of the dataset's fps."""
    failure_share: float = Field(0.3, ge=0, le=1)
    """Share of attempts that fail on purpose; a few more do by chance, a few succeed against it."""
    defect_share: float = Field(0.1, ge=0, le=1)
    """Share of videos that are defective on purpose: static, cube vanishes, jump, wrong start, truncated file."""
    drift: float = Field(1.0, ge=0)
    """How far light and colour have gone at the video's end, in units of twice the spread of recorded demos."""
    gripper_effort_limit: float = Field(workspace.GRIPPER_EFFORT, gt=0)
    """N m; the gripper servo's largest torque. LeIsaac's for an object of 10 g is 0.0667."""

    @field_validator("task")
    @classmethod
    def _is_known(cls, task: str | Task) -> str | Task:
        return require_known(task)

    @property
    def known_task(self) -> Task:
        """The task itself."""
        return self.task if isinstance(self.task, Task) else shipped()[self.task]
