"""An embodiment: all that the pipeline knows of a robot, read from one YAML file.

From it come the width and names of actions and states, units, where a recording holds them, GR00T's modality.json, data
config and conf.yaml, and the geometry that compact trains with. `leicos robot check FILE` says what a file holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError, model_validator

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import describe_errors
from leicos_jobs.core.yaml_text import mapping
from leicos_jobs.robots.data import DEFAULT
from leicos_jobs.robots.joints import F32, Angles, Joint, Part, Vector

__all__ = ["DEFAULT", "F32", "Embodiment", "Joint", "Skeleton", "Vector", "embodiment", "parse", "shipped"]

Coordinates = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Table(Part):
    """A table of a recording and the joints that its columns are; null for a column that is left out."""

    path: str = Field(pattern=r"^[^/]+(/[^/]+)*$")
    """Below the demo's group; for `start` below initial_state and states."""
    joints: tuple[str | None, ...] = ()
    """Unset: all joints of the vector, in order."""


class Recording(Part):
    """Where an HDF5 recording holds the robot's numbers. Several tables are put side by side."""

    angles: Angles = "rad"
    """Unit of the angles in it."""
    action: tuple[Table, ...] = Field((Table(path="actions"),), min_length=1)
    """Targets, one row per control step."""
    state: tuple[Table, ...] = Field((Table(path="obs/joint_pos"),), min_length=1)
    """Positions before the row's action acts."""
    start: tuple[Table, ...] = Field((Table(path="articulation/robot/joint_position"),), min_length=1)
    """Positions in the simulator's own state, from which a replay starts; the joints of the state."""
    targets: str | None = "obs/joint_pos_target"
    """Table of joint targets as the simulator notes them in the next row's observation, all of the action's joints in
    order; taken where `action` has another width, as with a keyboard. null: none."""
    not_targets: dict[int, str] = Field(default_factory=dict)
    """Widths of actions that this robot's recordings may have and that are no targets: width -> what they are."""


class Skeleton(Part):
    """A robot's links and the points of interest on them.

    links: offset (m) and turn (w, x, y, z) of each link in the one before it; every joint turns its link about the
    link's own z. points: (link, place in it in m), links ascending. spine: points that follow one another along the
    arm, base first. tool: points whose position decides a grasp.
    """

    links: tuple[tuple[Coordinates, Quaternion], ...]
    points: tuple[tuple[int, Coordinates], ...] = Field(min_length=1)
    spine: tuple[int, ...] = Field(min_length=2)
    tool: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Skeleton:
        links = [link for link, _ in self.points]
        if links != sorted(links) or not all(0 <= link < len(self.links) for link in links):
            raise ValueError("points must name links that there are, in ascending order")
        if not all(0 <= point < len(self.points) for point in (*self.spine, *self.tool)):
            raise ValueError("spine and tool must name points by their place, from 0")
        return self


class Gr00t(Part):
    """What GR00T calls robots of this kind (gr00t/model/transforms_idm.py, _EMBODIMENT_TAG_MAPPING)."""

    tag: str = "new_embodiment"
    """Embodiment tag."""
    id: int = Field(31, ge=0)
    """Slot of the tag's weights."""


class Embodiment(Part):
    """A robot as the pipeline needs it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)
    """Of the data config and in messages."""
    robot_type: str = Field(min_length=1, max_length=100)
    """As LeRobot's info.json has it."""
    cameras: tuple[str, ...] = ()
    """Those that its recordings usually have, the usual one for generation first."""
    joints: tuple[Joint, ...] = Field(min_length=1)
    """All joints."""
    action_joints: tuple[str, ...] = ()
    """Joints of an action, in order; unset: all."""
    state_joints: tuple[str, ...] = ()
    """Joints of observation.state, in order; unset: all."""
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Entries of modality.json: name -> joints that follow one another; a joint in none of them is its own entry."""
    gr00t: Gr00t = Gr00t()
    """Names in GR00T."""
    recording: Recording = Recording()
    """Where a recording holds the numbers."""
    kinematics: Skeleton | None = None
    """Geometry of an arm with one link per joint of the state, for training with compact; unset: pictures alone."""

    @model_validator(mode="after")
    def _consistent(self) -> Embodiment:
        _unique("joints", [joint.name for joint in self.joints])
        _unique("feature names", [joint.feature_name for joint in self.joints])
        own = {joint.name for joint in self.joints}
        for field in ("action_joints", "state_joints"):
            _known(field, getattr(self, field), own)
            _unique(field, getattr(self, field))
        self._require_tables()
        self._require_groups()
        if self.kinematics and len(self.kinematics.links) != self.state.width:
            raise ValueError(f"kinematics.links are {len(self.kinematics.links)}, the state has {self.state.width}")
        return self

    def _require_tables(self) -> None:
        for field, vector in (("action", self.action), ("state", self.state), ("start", self.state)):
            tables = self.tables(field)
            named = [name for _, names in tables for name in names if name is not None]
            _unique(f"recording.{field}", named)
            if set(named) != set(vector.names):
                odd = sorted(set(named) ^ set(vector.names))
                kind = "action" if field == "action" else "state"
                raise ValueError(f"recording.{field}: its tables must hold the joints of the {kind}, see {odd[0]}")

    def _require_groups(self) -> None:
        grouped = [name for names in self.groups.values() for name in names]
        _unique("groups", grouped)
        _known("groups", grouped, {joint.name for joint in self.joints})
        for name, joints in self.groups.items():
            if name in {joint.name for joint in self.joints} - set(joints):
                raise ValueError(f"groups.{name}: is the name of another joint")
            for vector in (self.action, self.state):
                places = [vector.names.index(joint) for joint in joints if joint in vector.names]
                if places and places != list(range(places[0], places[0] + len(places))):
                    raise ValueError(f"groups.{name}: its joints do not follow one another")

    @cached_property
    def action(self) -> Vector:
        """Joints of an action."""
        return self.vector(self.action_joints)

    @cached_property
    def state(self) -> Vector:
        """Joints of observation.state."""
        return self.vector(self.state_joints)

    def vector(self, names: Sequence[str]) -> Vector:
        """Joints of these names, all if there are none."""
        by_name = {joint.name: joint for joint in self.joints}
        joints = tuple(by_name[name] for name in names) if names else self.joints
        return Vector(joints, self.recording.angles)

    def tables(self, field: str) -> list[tuple[str, tuple[str | None, ...]]]:
        """(path, joints of its columns) of the recording's tables. field: action, state or start."""
        vector = self.action if field == "action" else self.state
        return [(table.path, table.joints or tuple(vector.names)) for table in getattr(self.recording, field)]

    def state_targets(self, actions: F32) -> F32:
        """(n, action width) targets as (n, state width): of each joint of the state, 0 for one that has no target."""
        return _rearranged(actions, self.action, self.state, np.zeros((len(actions), self.state.width), np.float32))

    def action_positions(self, states: F32, actions: F32) -> F32:
        """(n, state width) positions as (n, action width): of each joint of the action; where a joint is none of the
        state, its target."""
        return _rearranged(states, self.state, self.action, actions)

    def modalities(self, vector: Vector) -> list[tuple[str, int, int]]:
        """(name, first column, one past the last) of each entry of modality.json for this vector, in order."""
        group_of = {joint: name for name, joints in self.groups.items() for joint in joints}
        found: list[tuple[str, int, int]] = []
        for place, joint in enumerate(vector.names):
            name = group_of.get(joint, joint)
            if found and found[-1][0] == name:
                found[-1] = (name, found[-1][1], place + 1)
            else:
                found.append((name, place, place + 1))
        return found

    def reference(self) -> str | dict[str, Any]:
        """How a model's artifact names it: by name if leicos ships it, else by all that it is."""
        if shipped().get(self.name) == self:
            return self.name
        return self.model_dump(mode="json", exclude_defaults=True)


def _rearranged(values: F32, source: Vector, target: Vector, rest: F32) -> F32:
    """Columns of `source` in the order of `target`; those that it lacks from `rest`, which has the target's."""
    if source.names == target.names:
        return values
    out = np.array(rest, dtype=np.float32)
    for place, at in enumerate(source.places(target.names)):
        if at is not None:
            out[:, place] = values[:, at]
    return out


def _unique(field: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if list(names).count(name) > 1}):
        raise ValueError(f"{field}: {twice[0]} stands there twice")


def _known(field: str, names: Sequence[str], joints: set[str]) -> None:
    if unknown := [name for name in names if name not in joints]:
        raise ValueError(f"{field}: there is no joint {unknown[0]!r}")


FIX = "correct these fields; docs/robots.md explains them, and the files of leicos_jobs/robots/data are examples"


def parse(text: str | bytes, where: str) -> Embodiment:
    """A robot from YAML text. Raises InputError that lists every error with its field."""
    data = mapping(text, where, "write one with `leicos robot from DATASET`")
    return _validated(data, where)


def _validated(data: Any, where: str) -> Embodiment:
    try:
        return Embodiment.model_validate(data)
    except ValidationError as error:
        raise InputError(
            f"{where}: {error.error_count()} error(s) in the robot\n{describe_errors(error)}", fix=FIX
        ) from None


@cache
def shipped() -> dict[str, Embodiment]:
    """The robots that leicos ships, by name."""
    folder = files("leicos_jobs.robots.data")
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".yaml")), key=lambda path: path.name)
    robots = [parse(path.read_text(encoding="utf-8"), path.name) for path in paths]
    return {robot.name: robot for robot in robots}


def is_file(name: str) -> bool:
    """Whether a robot is named by a file or an object and not by a shipped robot's name."""
    return "/" in name or name.endswith((".yaml", ".yml"))


def embodiment(name: str) -> Embodiment:
    """A shipped robot by name, or one from a local file. Raises InputError that lists the known ones."""
    if is_file(name):
        try:
            return parse(Path(name).read_bytes(), name)
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror}", fix="name a robot's YAML file") from None
    try:
        return shipped()[name]
    except KeyError:
        raise InputError(
            f"unknown robot {name!r}", fix=f"use one of: {', '.join(sorted(shipped()))}, or the path of a YAML file"
        ) from None


def from_reference(given: Any, where: str) -> Embodiment:
    """Inverse of `Embodiment.reference`. where: what an error calls it. Raises InputError."""
    return embodiment(given) if isinstance(given, str) else _validated(given, where)
