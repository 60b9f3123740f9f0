"""What must hold in a demo's group before anything is taken from it; a violation is a Problem, never an exception."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
from numpy.typing import NDArray

from leicos_jobs.formats.leisaac_images import CHUNK_BYTES, chunk_bytes, is_camera
from leicos_jobs.formats.leisaac_problems import Problem, wrong_width

MIN_ROWS = 10
"""LeIsaac's converter skips shorter demos."""

MAX_ROWS = 5_000_000
"""A day at 60 Hz; a broken header can claim any number and have numpy allocate it."""

MAX_DEPTH = 8
"""Groups may link to themselves."""

ACTIONS = "actions"
JOINTS = "obs/joint_pos"
WIDTH = 6


def leaves(group: h5py.Group, prefix: str = "", depth: int = 0) -> dict[str, h5py.Dataset]:
    """Every dataset below a group by its path, sorted."""
    found: dict[str, h5py.Dataset] = {}
    for key in sorted(group):
        item = group.get(key)
        path = f"{prefix}{key}"
        if isinstance(item, h5py.Group) and depth < MAX_DEPTH:
            found.update(leaves(item, f"{path}/", depth + 1))
        elif isinstance(item, h5py.Dataset):
            found[path] = item
    return found


def cameras(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Cameras of a demo: uint8 (T, H, W, 3) datasets under obs, sorted by name."""
    obs = group.get("obs")
    if not isinstance(obs, h5py.Group):
        return {}
    return {key: obs[key] for key in sorted(obs) if is_camera(obs.get(key))}


def structure(group: h5py.Group, wanted: Sequence[str]) -> Problem | None:
    """First structural problem of a demo's group, given the cameras that will be read; None if there is none."""
    actions = group.get(ACTIONS)
    if not isinstance(actions, h5py.Dataset) or actions.ndim != 2:
        return Problem("malformed", "it has no table `actions`")
    if actions.shape[1] != WIDTH:
        return wrong_width(int(actions.shape[1]))
    joints = group.get(JOINTS)
    if not isinstance(joints, h5py.Dataset) or joints.ndim != 2:
        return Problem("malformed", "it has no table `obs/joint_pos`")
    if joints.shape[1] != WIDTH:
        return Problem("malformed", f"`obs/joint_pos` is {joints.shape[1]} wide, not {WIDTH}")
    if not all(np.issubdtype(item.dtype, np.floating) for item in (actions, joints)):
        return Problem("malformed", "`actions` or `obs/joint_pos` are not floating-point numbers")
    initial = group.get("initial_state")
    if not isinstance(initial, h5py.Group) or not leaves(initial):
        return Problem("malformed", "it has no `initial_state`, so nothing could be replayed from it")
    if "states" in group and not isinstance(group.get("states"), h5py.Group):
        return Problem("malformed", "its `states` is no group of tables")
    return _images(group, wanted) or _lengths(group, wanted)


def _images(group: h5py.Group, wanted: Sequence[str]) -> Problem | None:
    present = cameras(group)
    for camera in wanted:
        if camera not in present:
            there = ", ".join(present) or "none"
            return Problem("missing-camera", f"it has no images `obs/{camera}` (cameras that it has: {there})")
        height, width = present[camera].shape[1:3]
        if height % 2 or width % 2:
            return Problem("image-size", f"`obs/{camera}` is {width}x{height}; H.264 needs even sizes")
        size = chunk_bytes(present[camera])
        if size > CHUNK_BYTES:
            rows = max(1, CHUNK_BYTES // 4 // (height * width * 3))
            fix = f"h5repack -l {present[camera].name}:CHUNK={rows}x{height}x{width}x3 OLD.hdf5 NEW.hdf5"
            return Problem(
                "oversized-chunks", f"`obs/{camera}` is stored in chunks of {size >> 20} MiB; repack it: {fix}"
            )
    return None


def _lengths(group: h5py.Group, wanted: Sequence[str]) -> Problem | None:
    """An interrupted recording has one row more of what is recorded before the step; more than that is damage."""
    lengths = row_counts(group, wanted)
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


def row_counts(group: h5py.Group, wanted: Sequence[str]) -> dict[str, int]:
    """Rows of everything that must be aligned: actions, joints, the wanted cameras and every table of `states`."""
    items = {ACTIONS: group[ACTIONS], JOINTS: group[JOINTS]}
    items |= {f"obs/{camera}": group[f"obs/{camera}"] for camera in wanted}
    states = group.get("states")
    if isinstance(states, h5py.Group):
        items |= {f"states/{path}": item for path, item in leaves(states).items()}
    return {path: int(item.shape[0]) if item.ndim else 0 for path, item in items.items()}


def finite(name: str, table: NDArray[np.floating], joint_names: Sequence[str]) -> Problem | None:
    """A Problem that names the first row and place that is NaN or infinite."""
    bad = np.argwhere(~np.isfinite(table))
    if not len(bad):
        return None
    place = tuple(int(number) for number in bad[0])
    joint = joint_names[place[1]] if name in (ACTIONS, JOINTS) else f"place {list(place[1:])}"
    text = f"`{name}` is {table[place]} at row {place[0]}, {joint} ({len(bad)} such values)"
    return Problem("not-finite", text)
