"""What must hold in a demo's group before anything is taken from it; a violation is a Problem, never an exception."""

from __future__ import annotations

import math
from collections.abc import Sequence

import h5py
import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.text import printable
from leicos_jobs.formats.leisaac_filters import missing_filter
from leicos_jobs.formats.leisaac_images import CHUNK_BYTES, chunk_bytes, is_camera
from leicos_jobs.formats.leisaac_links import in_text
from leicos_jobs.formats.leisaac_problems import Problem, not_images, wrong_width
from leicos_jobs.robots.embodiment import DEFAULT, Embodiment, shipped

MIN_ROWS = 10
"""LeIsaac's converter skips shorter demos."""

MAX_ROWS = 5_000_000
"""A day at 60 Hz; a broken header can claim any number and have numpy allocate it."""

MAX_DEPTH = 8
"""Groups may link to themselves."""

MAX_LEAVES = 1000
"""Objects below a group; LeIsaac writes about ten. Groups may hold themselves, more than once."""

BLOCK_VALUES = 1 << 22
"""Numbers that are looked at together: 32 MiB at most, however long a recording is."""

_ACTIONS = "actions"


def vector_paths(group: h5py.Group, robot: Embodiment) -> list[str]:
    """Paths of the tables that hold the robot's actions and states in a demo."""
    return [path for field in ("action", "state") for path, _ in vector_tables(group, field, robot)]


def vector_tables(group: h5py.Group, field: str, robot: Embodiment) -> list[tuple[str, tuple[str | None, ...]]]:
    """(path, joints of its columns) of the tables of a vector, as `Embodiment.tables`; but the joint targets that the
    simulator noted (`recording.targets`) where the action is of another width, e.g. of a keyboard."""
    tables = robot.tables(field)
    path = robot.recording.targets
    if field != "action" or path is None or len(tables) != 1:
        return tables
    wide, targets = (_width(group.get(name)) for name in (tables[0][0], path))
    if wide not in (None, len(tables[0][1])) and targets == robot.action.width:
        return [(path, tuple(robot.action.names))]
    return tables


def _width(table: object) -> int | None:
    return int(table.shape[1]) if isinstance(table, h5py.Dataset) and table.ndim == 2 else None


def recognised(group: h5py.Group) -> Embodiment:
    """The shipped robot whose tables a demo has, in their widths; the default robot if it is none."""
    known = shipped()
    first = sorted(known.values(), key=lambda robot: robot.name != DEFAULT)
    return next((robot for robot in first if _fits(group, robot)), known[DEFAULT])


def _fits(group: h5py.Group, robot: Embodiment) -> bool:
    tables = [table for field in ("action", "state") for table in robot.tables(field)]
    return all(_width(group.get(path)) == len(joints) for path, joints in tables)


def leaves(group: h5py.Group, prefix: str = "") -> dict[str, h5py.Dataset]:
    """Every dataset below a group by its path, sorted. Raises ValueError for more objects than a recording has."""
    found: dict[str, h5py.Dataset] = {}
    todo = [(group, prefix, 0)]
    steps = 0
    while todo:
        here, path, depth = todo.pop()
        for key in here.id:
            if (steps := steps + 1) > MAX_LEAVES:
                raise ValueError(f"{group.name} has more than {MAX_LEAVES} objects below it")
            item = here.get(key)
            if isinstance(item, h5py.Group) and depth < MAX_DEPTH:
                todo.append((item, f"{path}{in_text(key)}/", depth + 1))
            elif isinstance(item, h5py.Dataset):
                found[path + in_text(key)] = item
    return dict(sorted(found.items()))


def cameras(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Cameras of a demo: uint8 (T, H, W, 3) datasets under obs, sorted by name, which is printable."""
    obs = group.get("obs")
    if not isinstance(obs, h5py.Group):
        return {}
    names = sorted(name for key in obs.id if (name := in_text(key)).isprintable())
    return {name: obs[name] for name in names if is_camera(obs.get(name))}


def structure(group: h5py.Group, wanted: Sequence[str], robot: Embodiment) -> Problem | None:
    """First structural problem of a demo's group, given the cameras that will be read and the robot; None if there is
    none."""
    for field in ("action", "state"):
        for path, joints in vector_tables(group, field, robot):
            if problem := _table(group, path, len(joints), robot):
                return problem
    initial = group.get("initial_state")
    if not isinstance(initial, h5py.Group) or not leaves(initial):
        return Problem("malformed", "it has no `initial_state`, so nothing could be replayed from it")
    if "states" in group and not isinstance(group.get("states"), h5py.Group):
        return Problem("malformed", "its `states` is no group of tables")
    return _images(group, wanted) or _filters(group, wanted, robot) or _lengths(group, wanted, robot)


def _table(group: h5py.Group, path: str, width: int, robot: Embodiment) -> Problem | None:
    table = group.get(path)
    if not isinstance(table, h5py.Dataset) or table.ndim != 2:
        return Problem("malformed", f"it has no table `{path}`")
    if table.shape[1] != width and path == _ACTIONS:
        return wrong_width(int(table.shape[1]), robot)
    if table.shape[1] != width:
        return Problem("malformed", f"`{path}` is {table.shape[1]} wide, not {width}")
    if not np.issubdtype(table.dtype, np.floating):
        return Problem("malformed", f"`{path}` holds {table.dtype}, not floating-point numbers")
    return None


def _images(group: h5py.Group, wanted: Sequence[str]) -> Problem | None:
    present = cameras(group)
    for camera in wanted:
        if camera not in present:
            return _no_camera(group, camera, sorted(present))
        height, width = present[camera].shape[1:3]
        if height % 2 or width % 2:
            return Problem("image-size", f"`obs/{camera}` is {width}x{height}; H.264 needs even sizes")
        if height * width * 3 > CHUNK_BYTES:
            return Problem("image-size", f"`obs/{camera}` is {width}x{height}, more than a video can show")
        size = chunk_bytes(present[camera])
        if size > CHUNK_BYTES:
            rows = max(1, CHUNK_BYTES // 4 // (height * width * 3))
            fix = f"h5repack -l {present[camera].name}:CHUNK={rows}x{height}x{width}x3 OLD.hdf5 NEW.hdf5"
            return Problem(
                "oversized-chunks", f"`obs/{camera}` is stored in chunks of {size >> 20} MiB; repack it: {fix}"
            )
    return None


def _no_camera(group: h5py.Group, camera: str, present: Sequence[str]) -> Problem:
    obs = group.get("obs")
    item = obs.get(camera) if isinstance(obs, h5py.Group) and camera in obs else None
    if isinstance(item, h5py.Dataset):
        return not_images(camera, item.dtype, item.shape)
    there = ", ".join(map(printable, present)) or "none"
    return Problem("missing-camera", f"it has no images `obs/{camera}` (cameras that it has: {there})")


def _filters(group: h5py.Group, wanted: Sequence[str], robot: Embodiment) -> Problem | None:
    """A table or camera that this HDF5 cannot decompress."""
    parts = {name: group[name] for name in (*vector_paths(group, robot), *(f"obs/{camera}" for camera in wanted))}
    for name in ("initial_state", "states"):
        parts |= leaves(group[name], f"{name}/") if name in group else {}
    for path, item in parts.items():
        if text := missing_filter(item):
            return Problem("missing-filter", f"`{path}` {text}")
    return None


def _lengths(group: h5py.Group, wanted: Sequence[str], robot: Embodiment) -> Problem | None:
    """An interrupted recording has one row more of what is recorded before the step; more than that is damage."""
    lengths = row_counts(group, wanted, robot)
    shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    if lengths[shortest] == 0:
        return Problem("zero-length", f"`{shortest}` has no rows")
    if lengths[longest] > MAX_ROWS:
        return Problem("malformed", f"`{longest}` claims {lengths[longest]} rows")
    if lengths[longest] - lengths[shortest] > 1:
        text = f"`{longest}` has {lengths[longest]} rows, `{shortest}` {lengths[shortest]}: they cannot be aligned"
        return Problem("malformed", text)
    if lengths[shortest] < MIN_ROWS:
        return Problem("too-short", f"it has {lengths[shortest]} rows; LeIsaac leaves out fewer than {MIN_ROWS}")
    return None


def row_counts(group: h5py.Group, wanted: Sequence[str], robot: Embodiment) -> dict[str, int]:
    """Rows of everything that must be aligned: actions, joints, the wanted cameras and every table of `states`."""
    items = {path: group[path] for path in vector_paths(group, robot)}
    items |= {f"obs/{camera}": group[f"obs/{camera}"] for camera in wanted}
    states = group.get("states")
    if isinstance(states, h5py.Group):
        items |= {f"states/{path}": item for path, item in leaves(states).items()}
    return {path: int(item.shape[0]) if item.ndim else 0 for path, item in items.items()}


def values(name: str, table: h5py.Dataset, rows: int, robot: Embodiment) -> Problem | None:
    """What is wrong with the numbers of a table's first rows: one is NaN or infinite, or no joint of the robot can be
    there. Reads BLOCK_VALUES at a time."""
    row = math.prod(table.shape[1:])
    if row > BLOCK_VALUES or chunk_bytes(table) > CHUNK_BYTES:
        return Problem("malformed", f"`{name}` has {row} numbers a row, in chunks of {chunk_bytes(table) >> 20} MiB")
    columns = _columns(name, row, robot)
    step = max(1, BLOCK_VALUES // max(row, 1))
    low, high = np.full(row, np.inf), np.full(row, -np.inf)
    for start in range(0, min(rows, table.shape[0]) if table.ndim else 1, step):
        block = np.asarray(table[start : min(start + step, rows)] if table.ndim else table[()])
        if problem := _finite(name, block, start, columns):
            return problem
        if columns:
            flat = block.reshape(-1, row)
            low, high = np.minimum(low, flat.min(axis=0)), np.maximum(high, flat.max(axis=0))
    text = _impossible(robot, columns, low, high) if columns else None
    return Problem("outside-limits", f"`{name}`: {text}") if text else None


def _columns(name: str, width: int, robot: Embodiment) -> tuple[str | None, ...] | None:
    """Joints of a table's columns; None if it holds something else."""
    known = {path: joints for field in ("action", "state") for path, joints in robot.tables(field)}
    if robot.recording.targets is not None:
        known.setdefault(robot.recording.targets, tuple(robot.action.names))
    for part in ("initial_state", "states"):
        known |= {f"{part}/{path}": joints for path, joints in robot.tables("start")}
    joints = known.get(name)
    return joints if joints and len(joints) == width else None


def _impossible(
    robot: Embodiment, columns: Sequence[str | None], low: NDArray[np.floating], high: NDArray[np.floating]
) -> str | None:
    vector = robot.vector([name for name in columns if name is not None])
    used = [place for place, name in enumerate(columns) if name is not None]
    return vector.impossible(low[used], high[used], robot.name)


def _finite(name: str, block: NDArray[np.floating], start: int, columns: Sequence[str | None] | None) -> Problem | None:
    bad = np.argwhere(~np.isfinite(block))
    if not len(bad):
        return None
    place = tuple(int(number) for number in bad[0])
    where = (columns[place[-1]] if columns else None) or f"place {list(place[1:])}"
    row = start + (place[0] if place else 0)
    return Problem("not-finite", f"`{name}` is {block[place]} at row {row}, {where} ({len(bad)} such values)")
