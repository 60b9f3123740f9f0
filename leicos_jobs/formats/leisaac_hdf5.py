"""LeIsaac's HDF5 recordings, as they really are: interrupted, resumed, lzf or gzip, out of order, partly broken.

Layout (LeIsaac 0.4, Isaac Lab 2.3; docs/decisions/leisaac.md 2): `/data/demo_<i>` with actions and joint positions
where the robot's file says (`actions` and `obs/joint_pos`, radians), `obs/<camera>` uint8 (T, H, W, 3) RGB,
`initial_state/...` (1, n) and `states/...` (T, n). Actions and observations are recorded before the
step, states after it: `states[t]` belongs to row t+1.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import leisaac_checks as checks
from leicos_jobs.formats.leisaac_images import find_changes, read_rows
from leicos_jobs.formats.leisaac_links import in_text, require_own
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import MAX_DENOMINATOR, TimeBase, Timing, find_timing
from leicos_jobs.robots.embodiment import Embodiment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

POSE = 7
"""Numbers of a pose: x, y, z and a quaternion."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError)
"""What h5py and numpy raise over a damaged or absurd part of a file."""

FORMAT_VERSIONS = (0, 1)
"""Isaac Lab's `format_version` of a recording: none or 0 has quaternions as w, x, y, z, 1 (Isaac Lab 3) as x, y, z, w
(Isaac Lab, "Migrating to Isaac Lab 3.0")."""

_DEMO = re.compile(r"demo_([0-9]{1,100})")
"""Longer numbers are nobody's, and Python converts no number of more than 4300 digits."""


class Demo:
    """One demonstration. Cheap to make; tables and images are read when asked for.

    file, name: where it is. rows: T, the length that everything has. success: marked successful (a missing mark, as in
    an interrupted recording, is not). marked: whether there is a mark. camera_sizes: camera -> (width, height).
    robot: whose tables it holds. problem: why nothing may be taken from it, found without reading images; None if
    it is sound. Its other properties are only valid then.
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
        self.number = int(_DEMO.fullmatch(name)[1])  # type: ignore[index]
        self._group = group
        self.marked = self.success = False
        self.seed: int | None = None
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
        self.seed = _whole(attributes.get("seed"))
        sizes = {key: item.shape for key, item in checks.cameras(self._group).items()}
        self.camera_sizes = {key: (int(width), int(height)) for key, (_, height, width, _) in sizes.items()}
        if (known := _whole(mark)) not in (0, 1):
            return Problem("malformed", f"its mark `success` is {mark!r}, neither true nor false")
        self.success = known == 1
        problem = checks.structure(self._group, wanted, self.robot)
        if problem:
            return problem
        self.rows = min(checks.row_counts(self._group, wanted, self.robot).values())
        problems = (checks.values(name, table, self.rows, self.robot) for name, table in self._tables().items())
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
        for path, joints in self.robot.tables(field):
            values = self._group[path][: self.rows]
            for column, name in enumerate(joints):
                if name is not None:
                    found[:, vector.names.index(name)] = values[:, column]
        return found

    def _tables(self) -> dict[str, h5py.Dataset]:
        """All that is read of the demo but its images, by path."""
        tables = {path: self._group[path] for path in checks.vector_paths(self.robot)}
        for part in ("initial_state", "states"):
            if part in self._group:
                tables |= {f"{part}/{path}": item for path, item in checks.leaves(self._group[part]).items()}
        return tables

    def tables_sha256(self) -> str:
        """Digest of the tables that are read of a sound demo, with their names, types and shapes."""
        digest = hashlib.sha256()
        for path, table in sorted(self._tables().items()):
            values = np.ascontiguousarray(table[: self.rows])
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


class Recording:
    """An open HDF5 file of LeIsaac; a context manager.

    control_hz: rows a second, from the file's own `env_args` if they say so, else None. env_name: of env_args, empty in
    LeIsaac's own recordings. format_version: one of FORMAT_VERSIONS.
    """

    def __init__(self, path: Path, robot: Embodiment | None = None) -> None:
        """Open for reading. robot: whose recording it is; None: each demo's tables tell.

        Raises InputError: missing, not HDF5, truncated, no group `data`, an unknown version.
        """
        self.path = path
        self._robot = robot
        self._file = _open(path)
        try:
            self.format_version = _format_version(path, self._file)
            if "data" in self._file:
                require_own(path, self._file, b"data", depth=0)
            self._data = self._file.get("data")
            if not isinstance(self._data, h5py.Group):
                raise InputError(f"{path}: has no group `data`", fix="give a recording of LeIsaac or Isaac Lab")
            arguments = _env_args(self._data)
            self.control_hz = _control_hz(arguments)
            self.env_name = str(arguments.get("env_name", ""))
            self._keys = sorted(map(in_text, self._data.id))
        except DAMAGE as error:
            self._file.close()
            raise InputError(f"{path}: is damaged ({error})", fix="restore the file") from error
        except InputError:
            self._file.close()
            raise

    @property
    def names(self) -> list[str]:
        """Names of the demos in natural order: demo_2 before demo_10."""
        found = [(int(match[1]), key) for key in self._keys if (match := _DEMO.fullmatch(key))]
        return [key for _, key in sorted(found)]

    @property
    def lexicographic(self) -> list[str]:
        """Names in the order in which LeIsaac's own converter and replay script count: demo_10 before demo_2."""
        return sorted(self.names)

    @property
    def strangers(self) -> list[str]:
        """Entries of `data` that are not demos."""
        return sorted(set(self._keys) - set(self.names))

    def demo(self, name: str, cameras: Sequence[str] = ("front",)) -> Demo:
        """One demo, checked as far as is possible without its images. Raises InputError if it does not exist."""
        try:
            if name in self._keys:
                require_own(self.path, self._data, name.encode(), depth=0)
            group = self._data.get(name)
        except DAMAGE as error:
            raise InputError(f"{self.path}: {name} cannot be read ({error})", fix="restore the file") from error
        if not isinstance(group, h5py.Group) or not _DEMO.fullmatch(name):
            listed = ", ".join(self.names[:5]) or "none"
            raise InputError(f"{self.path}: has no demo {name!r}", fix=f"demos begin with: {listed}")
        return Demo(self.path, name, group, cameras, self.format_version, self._robot)

    def demos(self, cameras: Sequence[str] = ("front",)) -> Iterator[Demo]:
        """All demos in natural order."""
        return (self.demo(name, cameras) for name in self.names)

    def close(self) -> None:
        """Close the file; demos taken from it are then dead."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path) -> h5py.File:
    if path.is_dir():
        raise InputError(
            f"{path}: is a folder, not a recording",
            fix="give LeIsaac HDF5 files (to-lerobot and inspect take datasets)",
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file", fix="check the path")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        text = str(error)
        if error.errno in (errno.EACCES, errno.EPERM):
            raise InputError(f"{path}: may not be read by this account", fix="change its permissions") from error
        if error.errno == errno.EAGAIN:
            raise InputError(f"{path}: is being written by another process", fix="wait until it is closed") from error
        if "truncated" in text:
            raise InputError(
                f"{path}: is truncated: {text}", fix="copy it again, or restore it from where it was recorded"
            ) from error
        if "signature" in text:
            raise InputError(f"{path}: is not an HDF5 file", fix="give a recording of LeIsaac") from error
        raise InputError(f"{path}: cannot be opened: {text}", fix="restore the file") from error


def _format_version(path: Path, file: h5py.File) -> int:
    given = file.attrs.get("format_version", 0)
    if (version := _whole(given)) not in FORMAT_VERSIONS:
        raise InputError(
            f"{path}: its format_version is {given!r:.80}; known are {FORMAT_VERSIONS[0]} to {FORMAT_VERSIONS[-1]}",
            fix="record it with Isaac Lab 2 or 3, or use a newer leicos",
        )
    return version


def _whole(value: object) -> int | None:
    """An attribute's whole number or truth value; None if it is something else."""
    return int(value) if isinstance(value, bool | int | np.bool_ | np.integer) else None


def _env_args(data: h5py.Group) -> dict[str, Any]:
    """The JSON object in `env_args`, empty if there is none."""
    try:
        found = json.loads(data.attrs.get("env_args", "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _control_hz(arguments: dict[str, Any]) -> float | None:
    """Rows a second from env_args: Isaac Lab 2.3's stock recorder writes dt and decimation, LeIsaac's does not."""
    try:
        simulation = arguments["sim_args"]
        rate = 1.0 / (float(simulation["dt"]) * int(simulation["decimation"]))
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not math.isfinite(rate) or rate <= 0:
        return None
    return float(Fraction(rate).limit_denominator(MAX_DENOMINATOR))


def control_rate(recordings: Sequence[Recording], given: float | None) -> float:
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
