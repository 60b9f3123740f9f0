"""What a user can set for the replay in Isaac Sim."""

from __future__ import annotations

from pydantic import Field

from leicos_jobs.backends.base import Settings

UPSTREAM = "24d3bcd3f1e4585740fc79921782c41617237812"
"""Commit of LightwheelAI/leisaac that everything here was checked against (0.4.0; Isaac Lab 2.3.0, Isaac Sim 5.1.0)."""

DRIVER_ENV = "leicos_replay_driver.leisaac_env:make"


class IsaacSettings(Settings):
    """The task, and where and how the simulator runs; the latter stays out of identities."""

    task: str = Field("LeIsaac-SO101-LiftCube-v0", pattern=r"LeIsaac-[A-Za-z0-9-]+")
    """Gym id of a LeIsaac task; success is this task's own term."""
    robot: str = "so101"
    """Embodiment that the actions belong to; the task must take as many."""
    lift_object: str = "cube"
    """Rigid object whose rise is max_lift and whose grasp is first_grasp_row; a task without it reports neither."""

    envs: int = Field(4, ge=1, le=256, exclude=True)
    """Environments that work at once."""
    batch: int | None = Field(None, ge=1, exclude=True)
    """Samples handed over at a time; unset: eight an environment."""
    python: str | None = Field(None, exclude=True)
    """Isaac's Python; unset: $LEICOS_ISAAC_PYTHON, then /isaac-sim/python.sh."""
    assets: str | None = Field(None, exclude=True)
    """Folder with LeIsaac's robots/ and scenes/; unset: $LEISAAC_ASSETS_ROOT, then leisaac/ in the model cache."""
    device: str = Field("cuda:0", exclude=True)
    """PhysX device; LeIsaac's tasks cannot grasp on the CPU (its issue 18)."""
    start_seconds_max: float = Field(850.0, gt=0, exclude=True)
    """s for one start, of which two are tried; a first one compiles shaders for many minutes. Twice this must stay
    below the 1800 s that the worker waits for a backend."""
    hang_seconds: float = Field(180.0, gt=0, exclude=True)
    """s without a turn of the simulator's main loop after which it is taken to hang and is killed."""
    tries: int = Field(2, ge=1, exclude=True)
    """Simulators that may die while they work on one episode, the last on it alone, before the episode is blamed."""
