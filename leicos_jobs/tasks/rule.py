"""When a task is done: conditions on the object's place and the joints, all of which must hold for some steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

F64 = NDArray[np.float64]
Place = tuple[float, float, float]


class Part(BaseModel):
    """Base of what a task's file holds: frozen, no unknown field, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Near(Part):
    """A ball around a place, or a column over it."""

    place: tuple[float, float] | Place
    """m; x and y, or x, y and z."""
    radius: float = Field(gt=0)
    """m."""


class Inside(Part):
    """A box along the axes."""

    low: Place
    """m; the corner with the least x, y and z."""
    high: Place
    """m; the opposite corner."""


class Bounds(Part):
    """What a joint's angle must lie between."""

    least: float | None = None
    """rad."""
    most: float | None = None
    """rad."""


class Rule(Part):
    """All of its fields that are set must hold at once.

    Places and heights are those of the object's centre, in the frame of the embedded scene: x away from the arm, z up
    from the table, m. The start is the state from which a replay begins.
    """

    above: float | None = None
    """m; height over the table, at least so much."""
    below: float | None = None
    """m; height over the table, less than that."""
    lifted: float | None = Field(None, gt=0)
    """m; how far it has risen since the start."""
    moved: float | None = Field(None, gt=0)
    """m; how far it is from where it was at the start."""
    near: Near | None = None
    """Where it must be."""
    inside: Inside | None = None
    """Where it must be."""
    joints: dict[str, Bounds] = Field(default_factory=dict)
    """Bounds of joints, e.g. {gripper: {least: 0.5}}: it has let go."""
    steps: int = Field(1, ge=1)
    """Control steps in a row for which all of it must hold."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set - {"steps", "joints"} and not self.joints:
            raise ValueError("a rule needs a condition: above, below, lifted, moved, near, inside or joints")
        return self


class Judge:
    """Follows one episode and tells at each step whether the rule is met."""

    def __init__(self, rule: Rule, names: Sequence[str], place: F64) -> None:
        """names: of the joints. place: (3,) m, of the object at the start. Raises ValueError for an unknown joint."""
        if unknown := sorted(rule.joints.keys() - set(names)):
            raise ValueError(f"the rule names the joint {unknown[0]!r}; there are {', '.join(names)}")
        self._rule, self._start, self._met = rule, np.array(place), 0
        self._bounds = [(list(names).index(name), bounds) for name, bounds in rule.joints.items()]
        self.succeeded = False
        """Whether the rule was met at any step so far."""

    def note(self, place: F64, joints: F64) -> bool:
        """Take a step's end: the object's centre (3,) m, the joints (n,) rad. True if the rule is met there."""
        self._met = self._met + 1 if self._holds(place, joints) else 0
        met = self._met >= self._rule.steps
        self.succeeded = self.succeeded or met
        return met

    def _holds(self, place: F64, joints: F64) -> bool:
        rule = self._rule
        return (
            (rule.above is None or bool(place[2] > rule.above))
            and (rule.below is None or bool(place[2] < rule.below))
            and (rule.lifted is None or bool(place[2] - self._start[2] > rule.lifted))
            and (rule.moved is None or bool(np.linalg.norm(place - self._start) > rule.moved))
            and (rule.near is None or _distance(place, rule.near.place) <= rule.near.radius)
            and (rule.inside is None or _in_box(place, rule.inside))
            and all(_between(float(joints[at]), bounds) for at, bounds in self._bounds)
        )


def _distance(place: F64, centre: Sequence[float]) -> float:
    return float(np.linalg.norm(place[: len(centre)] - np.array(centre)))


def _in_box(place: F64, box: Inside) -> bool:
    return bool((place >= np.array(box.low)).all() and (place <= np.array(box.high)).all())


def _between(angle: float, bounds: Bounds) -> bool:
    return (bounds.least is None or angle >= bounds.least) and (bounds.most is None or angle <= bounds.most)
