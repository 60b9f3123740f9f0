"""Joints in an order, and the unit conversion of a vector of them.

LeIsaac stores radians in HDF5 and LeRobot motor units (-100..100, gripper 0..100) in datasets; both directions are
one linear map per joint, never clipped (docs/decisions/leisaac.md 3.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

MARGIN = 0.25
"""Share of a joint's range by which recorded values may lie beyond its limits. A leader arm's targets and a controller
overshoot by a few degrees, and other models of the same arm bend up to 7 degrees further; degrees taken for radians
pass it after 2 to 5 degrees of motion, motor units at once."""
MOTOR_MARGIN = 2.0
"""The same in motor units: real arms have calibrations of their own, and lerobot may store degrees (`use_degrees`);
what passes it is of another kind, such as a servo's counts (0 to 4095), or was converted twice."""

Angles = Literal["rad", "deg"]
Range = tuple[float, float]


class Part(BaseModel):
    """Base of what a robot's file holds: frozen, no unknown field, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Joint(Part):
    """One joint, or anything else that has a number per row: a wheel's speed."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)
    """Its name in modality.json, reports and errors."""
    unit: Literal["deg", "rad", "m", "deg/s", "rad/s", "m/s", "none"] = "deg"
    """Of `limits`. Recordings hold this unit too, but `deg` in the unit that `recording.angles` says."""
    limits: Range
    """Lowest and highest value."""
    motor: Range | None = None
    """What LeRobot datasets hold at these limits; unset: the same numbers."""
    gripper: bool = False
    """Its target is held between two rows, where others are interpolated: half a grasp was commanded by nobody."""
    feature: str = ""
    """Its name among the features of a LeRobot dataset; unset: NAME.pos."""

    @model_validator(mode="after")
    def _ordered(self) -> Joint:
        for name, given in (("limits", self.limits), ("motor", self.motor)):
            if given is not None and not given[0] < given[1]:
                raise ValueError(f"{self.name}: {name} must be [lowest, highest], lowest first")
        return self

    @property
    def feature_name(self) -> str:
        """Name among the features of a LeRobot dataset."""
        return self.feature or f"{self.name}.pos"

    @property
    def motor_range(self) -> Range:
        """(lowest, highest) in a LeRobot dataset."""
        return self.motor or self.limits


@dataclass(frozen=True)
class Vector:
    """Joints in the order of a vector: of an action, or of a state. angles: unit in which recordings hold those whose
    limits are in degrees."""

    joints: tuple[Joint, ...]
    angles: Angles = "rad"

    @property
    def width(self) -> int:
        """Numbers per row."""
        return len(self.joints)

    @property
    def names(self) -> list[str]:
        """Names of the joints."""
        return [joint.name for joint in self.joints]

    @property
    def feature_names(self) -> list[str]:
        """LeRobot feature names, e.g. `elbow.pos`."""
        return [joint.feature_name for joint in self.joints]

    def places(self, names: list[str]) -> list[int | None]:
        """Where joints of these names are in this vector, None for those that are not."""
        own = {name: place for place, name in enumerate(self.names)}
        return [own.get(name) for name in names]

    def limits(self) -> F64:
        """(width, 2) lowest and highest, in the joints' own units."""
        return np.array([joint.limits for joint in self.joints], dtype=np.float64)

    def motor_limits(self) -> F64:
        """(width, 2) lowest and highest in motor units."""
        return np.array([joint.motor_range for joint in self.joints], dtype=np.float64)

    def recorded_limits(self) -> F64:
        """(width, 2) lowest and highest as recordings hold them."""
        turned = self._turned()[:, None]
        return np.asarray(np.where(turned, np.deg2rad(self.limits()), self.limits()))

    def _turned(self) -> NDArray[np.bool_]:
        """Which joints are recorded in radians and have limits in degrees."""
        return np.array([joint.unit == "deg" and self.angles == "rad" for joint in self.joints])

    def to_motor(self, recorded: NDArray[np.floating]) -> F32:
        """Recorded values (..., width), e.g. radians, to LeRobot motor units (..., width), float32."""
        (low, high), (motor_low, motor_high) = self.limits().T, self.motor_limits().T
        values = np.asarray(recorded, dtype=np.float64) * np.where(self._turned(), 180.0 / math.pi, 1.0)
        return np.asarray((values - low) / (high - low) * (motor_high - motor_low) + motor_low, dtype=np.float32)

    def to_recorded(self, motor: NDArray[np.floating]) -> F32:
        """LeRobot motor units (..., width) to values as recordings hold them (..., width), float32."""
        (low, high), (motor_low, motor_high) = self.limits().T, self.motor_limits().T
        units = np.asarray(motor, dtype=np.float64)
        values = (units - motor_low) / (motor_high - motor_low) * (high - low) + low
        return np.asarray(values * np.where(self._turned(), math.pi / 180.0, 1.0), dtype=np.float32)

    def in_units(self, motor: NDArray[np.floating]) -> F32:
        """LeRobot motor units (..., width) to the joints' own units (..., width), degrees for most, float32."""
        recorded = self.to_recorded(motor)
        return np.asarray(np.where(self._turned(), np.rad2deg(recorded), recorded), dtype=np.float32)

    def degrees_per_unit(self) -> F64:
        """Degrees that one motor unit is, per joint (width,): turns an error in motor units into degrees. For a joint
        that is no angle in degrees: in its own unit."""
        limits, motor = self.limits(), self.motor_limits()
        return np.asarray((limits[:, 1] - limits[:, 0]) / (motor[:, 1] - motor[:, 0]))

    def impossible(
        self, low: NDArray[np.floating], high: NDArray[np.floating], robot: str, *, motor: bool = False
    ) -> str | None:
        """Say which joint has values that it cannot have, and what was expected; None if none has.

        low, high: (width,) the extremes that were seen, as recorded, or in motor units. robot: its name.
        """
        limits = self.motor_limits() if motor else self.recorded_limits()
        margin = (MOTOR_MARGIN if motor else MARGIN) * (limits[:, 1] - limits[:, 0])
        wrong = np.flatnonzero((low < limits[:, 0] - margin) | (high > limits[:, 1] + margin))
        if not len(wrong):
            return None
        beyond = np.maximum(limits[:, 0] - low, high - limits[:, 1]) / margin
        at = int(np.argmax(beyond))
        joint = self.joints[at]
        unit = "motor units" if motor else "rad" if self._turned()[at] else joint.unit
        more = f" (and {len(wrong) - 1} more joints)" if len(wrong) > 1 else ""
        return (
            f"{joint.name} runs from {low[at]:.4g} to {high[at]:.4g}{more}, which is no value in {unit} of a"
            f" {robot}: its range is {limits[at, 0]:.4g} to {limits[at, 1]:.4g} {unit};"
            " are these degrees, another unit, or another robot?"
        )
