"""What datasets and recordings show of their robot, and what a robot's file says, for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.leisaac_checks import cameras as recorded_cameras
from leicos_jobs.formats.leisaac_hdf5 import DAMAGE
from leicos_jobs.formats.leisaac_probe import probe
from leicos_jobs.formats.lerobot_source import LeRobotSource
from leicos_jobs.formats.sources import open_source
from leicos_jobs.robots.embodiment import DEFAULT, Embodiment, embodiment, parse
from leicos_jobs.robots.guess import Seen, robot_yaml

NO_ROBOT = "name a LeRobot dataset's folder or a recording's HDF5 file"


def robot_from(path: Path, name: str | None) -> str:
    """YAML of the robot of a LeRobot dataset or an HDF5 recording. name: what to call it. Raises InputError."""
    called = re.sub(r"[^A-Za-z0-9_-]+", "-", name or path.resolve().stem).strip("-_") or "robot"
    if (path / layout.INFO).is_file():
        return _from_dataset(path, called)
    if not path.is_file():
        raise InputError(f"{path}: no such file or dataset", fix=NO_ROBOT)
    return _from_recording(path, called)


def robot_of_source(path: Path, given: str | None = None) -> Embodiment:
    """The robot of a source: the given one, the shipped one whose joints or tables it has, or one guessed from a
    dataset. Raises InputError."""
    if given is not None:
        return embodiment(given)
    with open_source(path) as source:
        if not isinstance(source, LeRobotSource):
            return next((demo.robot for demo in source.demos(())), embodiment(DEFAULT))
        return source.robot or parse(robot_from(path, None), str(path))


def _from_dataset(root: Path, name: str) -> str:
    info = layout.read_json(root / layout.INFO)
    described = info.get("features", {}) if isinstance(info, dict) else {}
    if not all(isinstance(described.get(key), dict) for key in (layout.ACTION, layout.STATE)):
        raise InputError(f"{root / layout.INFO}: has no features {layout.ACTION} and {layout.STATE}", fix=NO_ROBOT)
    seen = {key: _column(root, key, described[key].get("names")) for key in (layout.ACTION, layout.STATE)}
    cameras = [key.removeprefix(layout.IMAGES) for key in described if key.startswith(layout.IMAGES)]
    kind = str(info.get("robot_type") or name)
    return robot_yaml(name, kind, cameras, seen[layout.ACTION], seen[layout.STATE], root.name)


def _column(root: Path, key: str, names: object) -> Seen:
    """Extremes of a column over all tables, and its names where they are as many."""
    low = high = None
    for path in sorted((root / "data").rglob("*.parquet")):
        column = layout.read_parquet(path, [key]).column(key)
        width = len(column[0]) if len(column) else 0
        values = layout.vectors(column, width, path).astype(np.float64)
        if not len(values):
            continue
        low = values.min(axis=0) if low is None else np.minimum(low, values.min(axis=0))
        high = values.max(axis=0) if high is None else np.maximum(high, values.max(axis=0))
    if low is None or high is None or not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise InputError(f"{root}: {key} has no rows, or values that are not finite", fix=layout.FIX)
    flat = names if isinstance(names, list) else next(iter(names.values()), []) if isinstance(names, dict) else []
    listed = [str(one) for one in flat] if isinstance(flat, list) else []
    return Seen(listed if len(set(listed)) == len(low) else [], low, high)


def _from_recording(path: Path, name: str) -> str:
    probe(path)
    try:
        with h5py.File(path, "r") as file:
            demos = [demo for demo in file["data"].values() if isinstance(demo, h5py.Group)]
            found = {key: _table(demos, key) for key in ("actions", "obs/joint_pos")}
            cameras = list(recorded_cameras(demos[0])) if demos else []
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read as a recording ({error})", fix=NO_ROBOT) from None
    action, state = found["actions"], found["obs/joint_pos"]
    if action is None or state is None:
        missing = "actions" if action is None else "obs/joint_pos"
        raise InputError(
            f"{path}: no demo has a table `{missing}`",
            fix="copy the shipped robot that is most like it (leicos_jobs/robots/data) and correct its `recording`",
        )
    return robot_yaml(name, name, cameras, action, state, path.name)


def _table(demos: list[h5py.Group], key: str) -> Seen | None:
    tables = [np.asarray(demo[key], dtype=np.float64) for demo in demos if isinstance(demo.get(key), h5py.Dataset)]
    tables = [table for table in tables if table.ndim == 2 and len(table)]
    if not tables:
        return None
    every = np.concatenate(tables)
    return Seen([], every.min(axis=0), every.max(axis=0))


def table(robot: Embodiment) -> Iterator[str]:
    """Lines that say what a robot's file holds."""
    yield f"{robot.name} ({robot.robot_type}): action {robot.action.width}, state {robot.state.width} numbers"
    yield f"cameras: {', '.join(robot.cameras) or 'none named'}"
    yield f"{'joint':24} {'unit':6} {'limits':>22} {'LeRobot range':>22}  in"
    for joint in robot.joints:
        ranges = [f"{low:.6g} to {high:.6g}" for low, high in (joint.limits, joint.motor_range)]
        parts = [name for name in ("action", "state") if joint in getattr(robot, name).joints]
        kind = ", gripper" if joint.gripper else ""
        yield f"{joint.name:24} {joint.unit:6} {ranges[0]:>22} {ranges[1]:>22}  {' and '.join(parts)}{kind}"
    yield f"geometry: {'known' if robot.kinematics else 'not known, compact trains by pictures alone'}"
