"""What every trainer of an inverse dynamics model asks of its dataset before it reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.robots.embodiment import Embodiment


def open_training(root: Path, episodes: Sequence[int], robot: Embodiment, camera: str) -> Dataset:
    """A LeRobot v2.1 dataset to train on. camera: without prefix.

    Raises InputError: no such dataset, no episode, another robot's width, no such camera.
    """
    dataset = Dataset(root)
    if not episodes:
        raise InputError("no training episode", fix="record more demonstrations or hold fewer out")
    for column, vector in ((layout.ACTION, robot.action), (layout.STATE, robot.state)):
        if (width := dataset.widths[column]) != vector.width:
            raise InputError(
                f"{root}: {column} has width {width}, {robot.name} has {vector.width}", fix="correct source.robot"
            )
    if camera not in dataset.cameras:
        raise InputError(f"{root} has no camera {camera!r}", fix=f"it has: {', '.join(dataset.cameras)}")
    return dataset
