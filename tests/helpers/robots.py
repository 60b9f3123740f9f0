"""Recordings of other robots than the SO-101, with every table where their files say."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from helpers.leisaac import DemoSpec, joint, write_recording

from leicos_jobs.robots.embodiment import Embodiment


def recording(folder: Path, robot: Embodiment, demos: int = 3, rows: int = 60) -> Path:
    """A recording with this robot's tables; every value tells demo, row and column."""
    path = write_recording(folder / "demos.hdf5", [DemoSpec(rows=rows, width=robot.action.width)] * demos)
    with h5py.File(path, "r+") as file:
        for number in range(demos):
            demo, place = file[f"data/demo_{number}"], 0
            del demo["obs/joint_pos"]
            for part in ("initial_state", "states"):
                del demo[part]["articulation"]
            for (state, columns), (start, _) in zip(robot.tables("state"), robot.tables("start"), strict=True):
                values = [[joint(number, row, place + j) for j in range(len(columns))] for row in range(rows + 1)]
                table = np.array(values, np.float32)
                demo[state], place = table[:-1], place + len(columns)
                demo[f"states/{start}"], demo[f"initial_state/{start}"] = table[1:], table[:1]
    return path
