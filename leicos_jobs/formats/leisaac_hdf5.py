"""LeIsaac's HDF5 recordings, as they really are: interrupted, resumed, lzf or gzip, out of order, partly broken.

Layout (LeIsaac 0.4, Isaac Lab 2.3; docs/decisions/leisaac.md 2): `/data/demo_<i>` with actions and joint positions
where the robot's file says (`actions` and `obs/joint_pos`, radians), `obs/<camera>` uint8 (T, H, W, 3) RGB,
`initial_state/...` (1, n) and `states/...` (T, n). Actions and observations are recorded before the
step, states after it: `states[t]` belongs to row t+1.
"""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_demo import DAMAGE, DEMO, Demo, whole
from leicos_jobs.formats.leisaac_links import in_text, require_own
from leicos_jobs.formats.leisaac_timing import MAX_DENOMINATOR
from leicos_jobs.robots.embodiment import Embodiment

__all__ = ["DAMAGE", "Demo", "Recording"]

FORMAT_VERSIONS = (0, 1)
"""Isaac Lab's `format_version` of a recording: none or 0 has quaternions as w, x, y, z, 1 (Isaac Lab 3) as x, y, z, w
(Isaac Lab, "Migrating to Isaac Lab 3.0")."""

TASK = "leicos_task"
"""In env_args: all fields of a task that a user wrote."""


class Recording:
    """An open HDF5 file of LeIsaac; a context manager.

    control_hz: rows a second, from the file's own `env_args` if they say so, else None. env_name: of env_args, empty in
    LeIsaac's own recordings. task: of env_args, all fields of the task that `leicos record` did, where leicos does not
    ship it. format_version: one of FORMAT_VERSIONS.
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
            self.task = arguments.get(TASK)
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
        found = [(int(match[1]), key) for key in self._keys if (match := DEMO.fullmatch(key))]
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
        if not isinstance(group, h5py.Group) or not DEMO.fullmatch(name):
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
    if (version := whole(given)) not in FORMAT_VERSIONS:
        raise InputError(
            f"{path}: its format_version is {given!r:.80}; known are {FORMAT_VERSIONS[0]} to {FORMAT_VERSIONS[-1]}",
            fix="record it with Isaac Lab 2 or 3, or use a newer leicos",
        )
    return version


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
