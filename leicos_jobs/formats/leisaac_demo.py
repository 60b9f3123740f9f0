"""One demonstration of a LeIsaac recording: its tables, images and states, checked before anything is taken.

What a demo's group holds, and at which row, is told in `leisaac_hdf5`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import leisaac_checks as checks
from leicos_jobs.formats.leisaac_images import find_changes, image_digest, read_blocks, read_rows
from leicos_jobs.formats.leisaac_links import require_own
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import TimeBase, Timing, find_timing
from leicos_jobs.robots.embodiment import Embodiment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

POSE = 7
"""Numbers of a pose: x, y, z and a quaternion."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError)
"""What h5py and numpy raise over a damaged or absurd part of a file."""

DEMO = re.compile(r"demo_([0-9]{1,100})")
"""Longer numbers are nobody's, and Python converts no number of more than 4300 digits."""


class Demo:
    """One demonstration. Cheap to make; tables and images are read when asked for.

    file, name: where it is. rows: T, the length that everything has. success: marked successful (a missing mark, as in
    an interrupted recording, is not). marked: whether there is a mark. task: its own task text (attribute `task`), if
    it has one. camera_sizes: camera -> (width, height). robot: whose tables it holds. problem: why nothing may be taken
    from it, found without reading images; None if it is sound. Its other properties are only valid then.
    """

    def __init__(
        self,
        file: Path,
        name: str,
        group: h5py.Group,
        wanted: Sequence[str],
        format_version: int = 0,
        robot: Embodiment | None = None,
    ) -> None:
        """robot: None for the shipped one whose tables it has."""
        self.file = file
        self._version = format_version
        self.name = name
        self.number = int(DEMO.fullmatch(name)[1])  # type: ignore[index]
        self._group = group
        self.marked = self.success = False
        self.seed: int | None = None
        self.task: str | None = None
        self._ahead = 0
        self.camera_sizes: dict[str, tuple[int, int]] = {}
        self.rows = 0
        try:
            self.robot = robot or checks.recognised(group)
            self.problem = self._look(wanted)
        except DAMAGE as error:
            self.problem = Problem("unreadable", f"it is damaged ({type(error).__name__}: {error})")

    def _look(self, wanted: Sequence[str]) -> Problem | None:
        for key in self._group.id:
            require_own(self.file, self._group, key)
        attributes = self._group.attrs
        self.marked = "success" in attributes
        mark = attributes["success"] if self.marked else False
        self.seed = whole(attributes.get("seed"))
        self.task = _text(attributes.get("task"))
        sizes = {key: item.shape for key, item in checks.cameras(self._group).items()}
        self.camera_sizes = {key: (int(width), int(height)) for key, (_, height, width, _) in sizes.items()}
        if (known := whole(mark)) not in (0, 1):
            return Problem("malformed", f"its mark `success` is {mark!r}, neither true nor false")
        self.success = known == 1
        problem = checks.structure(self._group, wanted, self.robot)
        if problem:
            return problem
        # the targets in an observation are those that the row before commanded
        action = dict(checks.vector_tables(self._group, "action", self.robot))
        self._ahead = int(self.robot.recording.targets in action)
        self.rows = min(checks.row_counts(self._group, wanted, self.robot).values()) - self._ahead
        upto = self.rows + self._ahead
        problems = (checks.values(name, table, upto, self.robot) for name, table in self._tables().items())
        return next((problem for problem in problems if problem), None)

    @property
    def actions(self) -> F32:
        """(T, action width) targets as recorded (angles in radians), one a row."""
        return self._vector("action")

    @property
    def joint_pos(self) -> F32:
        """(T, state width) joint positions as recorded (angles in radians), before the row's action acts."""
        return self._vector("state")

    def _vector(self, field: str) -> F32:
        vector = self.robot.action if field == "action" else self.robot.state
        found = np.empty((self.rows, vector.width), dtype=np.float32)
        ahead = self._ahead if field == "action" else 0
        for path, joints in checks.vector_tables(self._group, field, self.robot):
            values = self._group[path][ahead : self.rows + ahead]
            for column, name in enumerate(joints):
                if name is not None:
                    found[:, vector.names.index(name)] = values[:, column]
        return found

    def _tables(self) -> dict[str, h5py.Dataset]:
        """All that is read of the demo but its images, by path."""
        tables = {path: self._group[path] for path in checks.vector_paths(self._group, self.robot)}
        for part in ("initial_state", "states"):
            if part in self._group:
                tables |= {f"{part}/{path}": item for path, item in checks.leaves(self._group[part]).items()}
        return tables

    def tables_sha256(self) -> str:
        """Digest of the tables that are read of a sound demo, with their names, types and shapes."""
        digest = hashlib.sha256()
        for path, table in sorted(self._tables().items()):
            values = np.ascontiguousarray(table[: self.rows + self._ahead])
            digest.update(f"{path} {values.dtype.str} {values.shape}\n".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()

    @property
    def has_states(self) -> bool:
        """Whether `state_at` works for rows other than 0."""
        states = self._group.get("states")
        return isinstance(states, h5py.Group) and bool(checks.leaves(states))

    def state_at(self, row: int) -> dict[str, list[float]]:
        """Simulator state in which the image and observation of `row` were taken: path -> values.

        Paths as in LeIsaac, e.g. `articulation/robot/joint_position`, `rigid_object/cube/root_pose` (xyz, quaternion
        wxyz whatever the file's format_version, relative to the environment). It is `states[row - 1]`, for row 0
        `initial_state`: the form that GenerateRequest.start and ReplayRequest.start want. Raises InputError if the
        demo has no such row or no states.
        """
        if not 0 <= row < self.rows:
            raise InputError(f"{self.file}: {self.name} has rows 0 to {self.rows - 1}, not {row}")
        if row and not self.has_states:
            raise InputError(
                f"{self.file}: {self.name} has no `states`, so it can start only from its first row",
                fix="record it with LeIsaac's streaming recorder",
            )
        tables = checks.leaves(self._group["states" if row else "initial_state"])
        at = row - 1 if row else 0
        return {path: self._state(path, table[at]) for path, table in tables.items()}

    def _state(self, path: str, values: NDArray[Any]) -> list[float]:
        flat = np.ravel(values)
        if self._version == 1 and path.endswith("_pose") and len(flat) % POSE == 0:
            flat = np.ravel(flat.reshape(-1, POSE)[:, [0, 1, 2, 6, 3, 4, 5]])
        return [float(value) for value in flat]

    def images(self, camera: str) -> h5py.Dataset:
        """The HDF5 dataset of a camera, uint8 (at least T, H, W, 3), for `leisaac_images`. Raises InputError."""
        if camera not in self.camera_sizes:
            raise InputError(
                f"{self.file}: {self.name} has no camera {camera!r}",
                fix=f"use one of: {', '.join(self.camera_sizes) or 'none'}",
            )
        return self._group[f"obs/{camera}"]

    @property
    def motor_actions(self) -> F32:
        """(T, action width) targets in motor units."""
        return self.robot.action.to_motor(self.actions)

    @property
    def motor_states(self) -> F32:
        """(T, state width) joint positions in motor units."""
        return self.robot.state.to_motor(self.joint_pos)

    def blocks(self, camera: str) -> Iterator[tuple[int, U8]]:
        """Yield (first row, images (m, H, W, 3)) over all rows; the array is reused."""
        return read_blocks(self.images(camera), self.rows)

    def span(self, camera: str) -> None:
        """No video: a recording holds images."""

    def fixed_timing(self, base: TimeBase) -> None:
        """None: its images tell which rows become frames."""

    def pictures(self, camera: str, rows: Sequence[int]) -> Iterator[tuple[U8, str]]:
        """Yield the image of each of the ascending `rows`, as `frames`, and its digest."""
        return ((image, image_digest(image)) for image in self.frames(camera, rows))

    def frames(self, camera: str, rows: Sequence[int]) -> Iterator[U8]:
        """Yield the (H, W, 3) uint8 RGB image of each of the ascending `rows`, each a copy of its own."""
        if any(not 0 <= row < self.rows for row in rows):
            raise InputError(
                f"{self.file}: {self.name} has rows 0 to {self.rows - 1}, asked for {min(rows)}-{max(rows)}"
            )
        return read_rows(self.images(camera), rows)

    def timing(self, camera: str, base: TimeBase) -> Timing | Problem:
        """Stride and phase from this camera; reads all its images. Conversion stores the answer in its map."""
        changes = [] if base.row_for_row else find_changes(self.images(camera), self.rows)
        return find_timing(changes, self.rows, base)


def _text(value: object) -> str | None:
    """An attribute's text without blanks around it; None if it is none."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text.strip() or None if isinstance(text, str) else None


def whole(value: object) -> int | None:
    """An attribute's whole number or truth value; None if it is something else."""
    return int(value) if isinstance(value, bool | int | np.bool_ | np.integer) else None
