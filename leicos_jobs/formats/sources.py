"""What a source of demos is, and how one is opened: an HDF5 recording, or a LeRobot dataset's folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_hdf5 import Demo, Recording
from leicos_jobs.formats.leisaac_probe import probe
from leicos_jobs.formats.lerobot_layout import INFO
from leicos_jobs.formats.lerobot_places import is_dataset
from leicos_jobs.formats.lerobot_source import LeRobotDemo, LeRobotSource
from leicos_jobs.robots.embodiment import Embodiment

Source = Recording | LeRobotSource
SourceDemo = Demo | LeRobotDemo

KINDS = "a LeIsaac or Isaac Lab HDF5 file, or a LeRobot dataset's folder"
FRONT = "front"


def open_source(path: Path, robot: Embodiment | None = None, *, probed: bool = False) -> Source:
    """Open for reading. robot: whose demos they are; None: their tables or names tell. probed: somebody made sure that
    HDF5's library survives the file. Raises InputError."""
    if path.is_dir():
        if not is_dataset(path):
            raise InputError(f"{path}: is a folder without {INFO}", fix=f"name {KINDS}")
        return LeRobotSource(path, robot)
    if not probed:
        probe(path)
    return Recording(path, robot)


def camera_names(source: Source) -> list[str]:
    """Cameras of a source: of the whole dataset, or of a recording's first demo that has any."""
    if isinstance(source, LeRobotSource):
        return source.cameras
    return next((list(demo.camera_sizes) for demo in source.demos(()) if demo.camera_sizes), [])


def usual_camera(cameras: Iterable[str], robot: Embodiment | None = None) -> str | None:
    """Which of the cameras to generate where nobody said it: the robot's first, `front`, or the first by name."""
    there = sorted(cameras)
    preferred: Sequence[str] = (*(robot.cameras if robot else ()), FRONT)
    return next((camera for camera in preferred if camera in there), there[0] if there else None)


def task_of(task: str | None, tasks: Sequence[str | None], place: int, own: str | None) -> str | None:
    """The task text of a demo: that of its source (`tasks`, by the source's place), that of all, or its own."""
    return (tasks[place] if tasks else None) or task or own


def control_rate(recordings: Sequence[Source], given: float | None) -> float:
    """The one control rate of several files: their own, else `given`. Raises InputError if unknown or different."""
    rates = {recording.path: recording.control_hz or given for recording in recordings}
    unknown = [path for path, rate in rates.items() if rate is None]
    if unknown:
        raise InputError(f"{unknown[0]}: does not say its control rate", fix="give control_hz (LeIsaac single-arm: 60)")
    known = sorted({rate for rate in rates.values() if rate is not None})
    if len(known) != 1:
        listed = ", ".join(f"{path.name} {rate:g} Hz" for path, rate in rates.items() if rate is not None)
        raise InputError(f"the files have different control rates: {listed}", fix="convert them one by one")
    if known[0] <= 0:
        raise InputError(f"control_hz {known[0]} is not positive", fix="LeIsaac single-arm: 60")
    return float(known[0])
