"""record: demonstrations to start from where nobody has a robot or Isaac Sim. It comes before a run, not within one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from leicos_jobs.core.errors import InputError
from leicos_jobs.tasks.task import DEFAULT, task_named


def record(
    path: Path,
    episodes: int,
    seed: int,
    width: int,
    height: int,
    failed_share: float = 0.2,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    engine: Literal["mujoco", "physx"] = "mujoco",
    task: str = DEFAULT,
) -> dict[str, Any]:
    """Record an SO-101 at a task in LeIsaac's HDF5; the same arguments give the same file, whatever `workers`.

    width, height: pixels of the camera `front`. failed_share: of the episodes, rounded; they are in the file with
    success False, as LeIsaac's export has them. workers: processes. progress: called with (done, episodes).
    engine: whose physics; MuJoCo draws. task: a shipped one, or the path of a
    task's YAML.
    Returns facts: episodes, successes, rows, frames, bytes, seconds. Raises InputError for sizes that H.264 could not
    take later, for a missing mujoco or ovphysx and for a licence that is not accepted, RetryError when asked to stop.
    """
    if width % 2 or height % 2 or min(width, height) < 16:
        raise InputError(f"images of {width}x{height} cannot become video", fix="use even sizes, e.g. 320x240")
    known = task_named(task)
    from leicos_jobs.backends.mujoco import recorder  # mujoco: a command that records needs it, no other stage here

    return recorder.record(path, episodes, seed, width, height, failed_share, workers, progress, engine, known)
