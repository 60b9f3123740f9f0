"""LeRobot datasets as sources: episodes are demos in motor units, without a simulator's states.

Their row k is frame k, at the dataset's own rate. Columns beyond action and state are left alone, but for
`next.success`, which lerobot's simulators write.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.leisaac_images import BLOCK_ROWS, image_digest
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import TimeBase, Timing, every_row
from leicos_jobs.formats.lerobot_extras import typed
from leicos_jobs.formats.lerobot_places import Place, Places, read_places
from leicos_jobs.media.decode import to_rgb
from leicos_jobs.media.spans import Span, picture_digest, span_frames
from leicos_jobs.robots.embodiment import Embodiment, shipped

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

SUCCESS = "next.success"
_EPISODE = re.compile(r"episode_([0-9]{1,10})")


def recognised(places: Places) -> Embodiment | None:
    """The shipped robot that a dataset is of: by its joints' names, or by its type where it names none."""
    for robot in shipped().values():
        vectors = ((layout.ACTION, robot.action), (layout.STATE, robot.state))
        names = [(places.names(key), vector.feature_names) for key, vector in vectors]
        widths = all(places.width(key) == vector.width for key, vector in vectors)
        unnamed = not any(given for given, _ in names) and places.robot_type == robot.robot_type
        if widths and (unnamed or all(given == own for given, own in names)):
            return robot
    return None


class LeRobotDemo:
    """An episode. Attributes as those of `leisaac_hdf5.Demo`; all of its numbers are motor units."""

    has_states = False

    def __init__(self, places: Places, place: Place, wanted: Sequence[str], robot: Embodiment | None) -> None:
        """robot: None for a dataset of none that leicos knows; nothing may then be taken from it."""
        self.file, self.name = places.root, f"episode_{place.entry.index}"
        self._places, self._place = places, place
        self.rows = place.entry.length
        self.seed: int | None = None
        self.marked = self.success = True
        self.camera_sizes = {camera: places.size(camera) for camera in places.cameras}
        self.task: str | None = None
        self.motor_actions = self.motor_states = np.empty((0, 0), np.float32)
        try:
            self._read()
            self.problem = self._look(wanted, robot)
        except InputError as error:
            self.problem = Problem("unreadable", error.message)
        if robot is not None:
            self.robot = robot

    def _read(self) -> None:
        own = {layout.ACTION, layout.STATE, "task_index", SUCCESS}
        rows = self._table([name for name in layout.parquet_columns(self._place.data) if name in own])
        path = self._place.data
        for name in (layout.ACTION, layout.STATE):
            if name not in rows.column_names:
                raise InputError(f"{path}: has no column {name}", fix=layout.FIX)
        self.motor_actions, self.motor_states = (
            layout.vectors(rows.column(name), self._places.width(name), path) for name in (layout.ACTION, layout.STATE)
        )
        self.task = self._text(rows)
        if SUCCESS in rows.column_names:
            self.success = bool(pc.any(rows.column(SUCCESS).cast(pa.bool_())).as_py())

    def _table(self, columns: Sequence[str]) -> pa.Table:
        shared = ("episode_index", self._place.entry.index) if self._place.shared else None
        return layout.read_parquet(self._place.data, columns, equal=shared)

    def _text(self, rows: pa.Table) -> str | None:
        """Its task: that of its first row; where the rows say none, the first of its entry."""
        text = next(iter(self._place.entry.tasks), "")
        if "task_index" in rows.column_names and len(rows):
            index = rows.column("task_index")[0].as_py()
            if not isinstance(index, int):
                raise InputError(f"{self._place.data}: task_index is {index!r} in row 0, no number", fix=layout.FIX)
            text = self._places.tasks.get(index, text)
        return text.strip() or None

    def _look(self, wanted: Sequence[str], robot: Embodiment | None) -> Problem | None:
        if len(self.motor_actions) != self.rows:
            text = f"its table has {len(self.motor_actions)} rows, the metadata says {self.rows}"
            return Problem("malformed", text)
        if self.rows < 2:
            return Problem("too-short", f"it has {self.rows} rows; at least 2 are needed")
        if robot is None:
            kind = self._places.robot_type
            return Problem("wrong-width", f"its joints are those of no robot that leicos ships (robot_type {kind})")
        return self._joints(robot) or next(filter(None, map(self._camera, wanted)), None)

    def _joints(self, robot: Embodiment) -> Problem | None:
        vectors = ((layout.ACTION, self.motor_actions, robot.action), (layout.STATE, self.motor_states, robot.state))
        for key, values, vector in vectors:
            names = self._places.names(key)
            if values.shape[1] != vector.width:
                text = f"its {key} is {values.shape[1]} wide, that of a {robot.name} {vector.width}"
                return Problem("wrong-width", text)
            if sorted(names) == sorted(vector.feature_names) and names != vector.feature_names:
                return Problem("wrong-width", f"its {key} has the joints of a {robot.name} in another order: {names}")
            if len(bad := np.argwhere(~np.isfinite(values))):
                row, place = (int(number) for number in bad[0])
                return Problem("not-finite", f"{key} is {values[row, place]} at row {row}, {vector.names[place]}")
            wrong = vector.impossible(values.min(axis=0), values.max(axis=0), robot.name, motor=True)
            if wrong:
                return Problem("outside-limits", f"{key}: {wrong}")
        return None

    def _camera(self, camera: str) -> Problem | None:
        if camera not in self.camera_sizes:
            return Problem("missing-camera", f"it has no camera {camera!r} (it has {', '.join(self.camera_sizes)})")
        width, height = self.camera_sizes[camera]
        if width % 2 or height % 2 or not width or not height:
            return Problem("image-size", f"camera {camera!r} is {width}x{height}; H.264 needs even sizes")
        span = self.span(camera)
        return None if span is None or span.path.is_file() else Problem("unreadable", f"{span.path}: no such file")

    @property
    def actions(self) -> F32:
        """(T, action width) targets as recordings hold them (angles in radians)."""
        return self.robot.action.to_recorded(self.motor_actions)

    def tables_sha256(self) -> str:
        """Digest of actions and states, the same in every version of the format."""
        digest = hashlib.sha256()
        for name, values in ((layout.ACTION, self.motor_actions), (layout.STATE, self.motor_states)):
            digest.update(f"{name} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def state_at(self, row: int) -> dict[str, list[float]]:
        """All that is known of the simulator's state at a row: the robot's joints, where its file says they stand.

        A column that the robot's state leaves out is 0. Raises InputError if the demo has no such row.
        """
        if not 0 <= row < self.rows:
            raise InputError(f"{self.file}: {self.name} has rows 0 to {self.rows - 1}, not {row}")
        values = self.robot.state.to_recorded(self.motor_states[row])
        by_name = dict(zip(self.robot.state.names, map(float, values), strict=True))
        return {path: [by_name.get(name or "", 0.0) for name in names] for path, names in self.robot.tables("start")}

    def fixed_timing(self, base: TimeBase) -> Timing | Problem | None:
        """Every row, or each `base.stride`-th: a frame that repeats the one before is a frame all the same."""
        return every_row(0, base.stride or 1, self.rows)

    def timing(self, camera: str, base: TimeBase) -> Timing | Problem:
        """The same."""
        return every_row(0, base.stride or 1, self.rows)

    def span(self, camera: str) -> Span | None:
        """Its video; None if the images lie in the table."""
        return self._place.videos.get(camera)

    def blocks(self, camera: str) -> Iterator[tuple[int, U8]]:
        """Yield (first row, images (m, H, W, 3)) over all rows, of a camera whose images lie in the table.

        Raises OSError where one is not an image of the camera's size.
        """
        for start in range(0, self.rows, BLOCK_ROWS):
            rows = range(start, min(start + BLOCK_ROWS, self.rows))
            yield start, np.stack(list(self._stored(camera, rows)))

    def _stored(self, camera: str, rows: Sequence[int]) -> Iterator[U8]:
        key, (width, height) = layout.IMAGES + camera, self.camera_sizes[camera]
        try:
            column = typed(self._table([key]).column(key), self._places.features[key], self._place.data, key)
        except (InputError, KeyError) as error:
            raise OSError(str(error)) from error
        for row in rows:
            try:
                image = imagecodecs.imread(column[row]["bytes"].as_py())
            except Exception as error:
                raise OSError(f"{self._place.data}: {key} of row {row} is not an image ({error})") from error
            if image.dtype != np.uint8 or image.shape != (height, width, 3):
                raise OSError(f"{self._place.data}: {key} of row {row} is {image.dtype} {image.shape}, not RGB")
            yield image

    def pictures(self, camera: str, rows: Sequence[int]) -> Iterator[tuple[U8, str]]:
        """Yield the (H, W, 3) uint8 RGB image of each of the ascending `rows`, and its digest. Raises InputError."""
        span = self.span(camera)
        if span is None:
            try:
                yield from ((image, image_digest(image)) for image in self._stored(camera, rows))
            except OSError as error:
                raise InputError(str(error), fix=layout.FIX) from error
            return
        wanted, reformatter = set(rows), VideoReformatter()
        for row, frame in enumerate(span_frames(span, self._places.fps)):
            if row in wanted:
                yield to_rgb(frame, reformatter), picture_digest(frame)
            if row >= rows[-1]:
                return
        raise InputError(f"{span.path}: {self.name} has no frame at row {rows[-1]}", fix=layout.FIX)


class LeRobotSource:
    """A LeRobot dataset; a context manager as `leisaac_hdf5.Recording`, whose attributes it has."""

    env_name = ""
    task: Any = None

    def __init__(self, path: Path, robot: Embodiment | None = None) -> None:
        """Read the metadata. robot: whose dataset it is; None: its joints' names tell. Raises InputError."""
        self.path = path
        self.places = read_places(path)
        self.robot = robot or recognised(self.places)
        self.control_hz: float | None = float(self.places.fps)

    @property
    def names(self) -> list[str]:
        """Names of the demos, by episode index."""
        return [f"episode_{index}" for index in self.places.places]

    @property
    def cameras(self) -> list[str]:
        """Cameras of all episodes."""
        return list(self.places.cameras)

    def demo(self, name: str, cameras: Sequence[str]) -> LeRobotDemo:
        """One demo, checked as far as is possible without its images. Raises InputError if it does not exist."""
        match = _EPISODE.fullmatch(name)
        place = self.places.places.get(int(match[1])) if match else None
        if place is None:
            listed = ", ".join(self.names[:5]) or "none"
            raise InputError(f"{self.path}: has no demo {name!r}", fix=f"demos begin with: {listed}")
        return LeRobotDemo(self.places, place, cameras, self.robot)

    def demos(self, cameras: Sequence[str]) -> Iterator[LeRobotDemo]:
        """All demos in order."""
        return (self.demo(name, cameras) for name in self.names)

    def close(self) -> None:
        """Nothing stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
