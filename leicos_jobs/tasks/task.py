"""A task of the embedded simulators, read from one YAML file: `leicos_jobs/tasks/data` has examples.

The scene is the arm on its table with one object that can be moved, and marks that are drawn. The expert is what
`leicos record` lets a scripted person do and what generate/mujoco imagines.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import describe_errors
from leicos_jobs.core.yaml_text import mapping
from leicos_jobs.tasks.data import DEFAULT
from leicos_jobs.tasks.rule import Part, Rule

__all__ = ["DEFAULT", "Expert", "Failure", "Mark", "Object", "Phase", "Scene", "Style", "Task", "shipped", "task_named"]

Range = tuple[float, float]
Colour = tuple[float, float, float]

Failure = Literal["beside", "above", "open", "drop", "low", "astray"]
"""beside: closes next to the object. above: closes over it. open: lifts without closing. drop: opens while lifting.
low: stops lifting too early. astray: puts it down beside the goal."""
Phase = Literal["grasp", "raise", "place"]
FAILURES_OF: dict[Phase, tuple[Failure, ...]] = {
    "grasp": ("beside", "above", "open"),
    "raise": ("drop", "low"),
    "place": ("astray",),
}
"""In which phase each failure happens."""


class Object(Part):
    """The cube that can be moved."""

    name: str = Field("cube", pattern=r"^[A-Za-z0-9_-]+$")
    """As a recording's states call it: rigid_object/NAME."""
    half: float = Field(gt=0, le=0.02)
    """m; half of its edge, which must fit between the jaws."""
    mass: float = Field(gt=0)
    """kg."""
    colour: Colour
    centre: tuple[float, float]
    """m; its mean place on the table, in the frame of a rule."""
    spread: float = Field(ge=0)
    """m; +- of the start's x and y."""
    yaw: float = Field(0.0, ge=0, le=180)
    """Degrees; +- of the start's turn."""


class Mark(Part):
    """A disc painted on the table: it is seen, and nothing touches it."""

    place: tuple[float, float]
    """m; of its centre."""
    radius: float = Field(gt=0)
    """m."""
    colour: Colour


class Scene(Part):
    """What is on the table."""

    object: Object
    marks: tuple[Mark, ...] = ()


class Style(Part):
    """Ranges that one attempt draws from. Durations in control steps at 60 Hz before `speed` divides them."""

    speed: Range = (0.85, 1.25)
    wait: Range = (6, 20)
    reach: Range = (60, 85)
    descend: Range = (42, 62)
    close: Range = (24, 38)
    lift: Range = (58, 82)
    pause: Range = (3, 10)
    rest: Range = (14, 30)
    hover: Range = (0.075, 0.105)
    """Height of the tool over the table before descending, m."""
    grasp: Range = (0.012, 0.018)
    """Height of the tool at the grasp, m."""
    top: Range = (0.205, 0.245)
    """Height of the tool after lifting, m."""
    tilt: Range = (0.0, 0.30)
    top_tilt: Range = (0.8, 1.15)
    heading: float = math.radians(7.0)
    """Largest error of the closing axis against the object's faces."""
    aim: float = 0.003
    """Largest error of the tool in x and y at the grasp, m."""
    sway: float = 0.02
    """Largest sideways detour at the hover and at the top, m."""
    opening: Range = (0.85, 1.20)
    squeeze: Range = (-0.15, 0.10)
    """Gripper targets, rad; the jaw meets a cube of 30 mm at about 0.34."""
    tremor: float = math.radians(0.35)
    """Size of the slow wander of each joint's target (standard deviation)."""
    carry: Range = (60, 85)
    lower: Range = (40, 58)
    let_go: Range = (20, 32)
    retreat: Range = (36, 52)
    """Durations of placing."""
    scatter: float = 0.012
    """Largest distance from the goal's x and y at which the object is put down, m."""


WIDER = Style(
    speed=(0.75, 1.4), hover=(0.065, 0.125), grasp=(0.010, 0.020), top=(0.20, 0.255), tilt=(-0.05, 0.38),
    top_tilt=(0.7, 1.2), heading=math.radians(10.0), aim=0.004, sway=0.035, opening=(0.78, 1.30),
    squeeze=(-0.17, 0.15), tremor=math.radians(0.45), scatter=0.018,
)  # fmt: skip


class Expert(Part):
    """How a scripted person does the task."""

    phases: tuple[Phase, ...] = Field(min_length=1)
    """One after the other."""
    failures: tuple[Failure, ...] = Field(min_length=1)
    """What makes an attempt fail on purpose, each of a phase that is there."""
    goal: tuple[float, float] | None = None
    """m; where `place` puts the object."""
    frames: int = Field(140, ge=6)
    """Of a generated video at 30 per second, so that an attempt fits in."""
    person: Style = Style()
    """The people who are recorded."""
    wider: Style = WIDER
    """What a generator's imagined attempts draw from: a bit beyond the people it learned from."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        possible = [failure for phase in self.phases for failure in FAILURES_OF[phase]]
        if wrong := [failure for failure in self.failures if failure not in possible]:
            raise ValueError(f"failures: {wrong[0]} happens in none of the phases {', '.join(self.phases)}")
        if ("place" in self.phases) != (self.goal is not None):
            raise ValueError("goal: the phase `place` needs one, and no other phase does")
        return self

    def failures_after(self, held: bool) -> tuple[Failure, ...]:
        """Failures that can still happen. held: the object is between the jaws already."""
        past = FAILURES_OF["grasp"] if held else ()
        return tuple(failure for failure in self.failures if failure not in past)


class Task(Part):
    """One task."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    text: str = Field(min_length=1)
    """What the robot does, for a recording's demos."""
    environment: str = Field(min_length=1)
    """Part of the name of environments with this task: what a recording's env_name must contain."""
    unnamed: bool = False
    """Also the task of recordings without an environment's name, as LeIsaac writes them, that hold its object alone."""
    scene: Scene
    rule: Rule
    expert: Expert


FIX = "correct these fields; docs/tasks.md explains them"


def parse(text: str | bytes, where: str) -> Task:
    """A task from YAML text. Raises InputError that lists every error with its field."""
    return validated(mapping(text, where, "see the examples in leicos_jobs/tasks/data"), where)


def validated(data: Any, where: str) -> Task:
    """A task from its fields. Raises InputError that lists every error with its field."""
    try:
        return Task.model_validate(data)
    except ValidationError as error:
        found = f"{where}: {error.error_count()} error(s) in the task\n{describe_errors(error)}"
        raise InputError(found, fix=FIX) from None


@cache
def shipped() -> dict[str, Task]:
    """The tasks that leicos ships, by name; the default one first."""
    paths = [path for path in files("leicos_jobs.tasks.data").iterdir() if path.name.endswith(".yaml")]
    tasks = [parse(path.read_text(encoding="utf-8"), path.name) for path in paths]
    return {task.name: task for task in sorted(tasks, key=lambda task: (task.name != DEFAULT, task.name))}


def task_named(name: str) -> Task:
    """A shipped task by name, or one from a local file. Raises InputError that lists the known ones."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        try:
            return parse(Path(name).read_bytes(), name)
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror}", fix="name a task's YAML file") from None
    try:
        return shipped()[name]
    except KeyError:
        known = ", ".join(shipped())
        raise InputError(f"unknown task {name!r}", fix=f"use one of: {known}, or the path of a YAML file") from None


def require_known(task: str | Task, besides: tuple[str, ...] = ()) -> str | Task:
    """A configuration's task as it is. besides: other names that count. Raises ValueError for an unknown name."""
    names = (*shipped(), *besides)
    if isinstance(task, str) and task not in names:
        raise ValueError(f"there is no task {task!r}: name one of {', '.join(names)}, or give all fields of a task")
    return task
