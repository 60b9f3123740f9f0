"""An embodiment: joint names in order, their two ranges, cameras, and the unit conversion that LeIsaac uses.

LeIsaac stores radians in HDF5 and LeRobot motor units (-100..100, gripper 0..100) in datasets; both directions are
one linear map a joint, never clipped (docs/decisions/leisaac.md 3.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError

F32 = NDArray[np.float32]

MARGIN = 0.25
"""Share of a joint's range by which recorded values may lie beyond its limits. A leader arm's targets and a controller
overshoot by a few degrees, and other models of the same arm bend up to 7 degrees further; degrees taken for radians
pass it after 2 to 5 degrees of motion, motor units at once."""
MOTOR_MARGIN = 2.0
"""The same in motor units: real arms have calibrations of their own, and lerobot may store degrees (`use_degrees`);
what passes it is of another kind, such as a servo's counts (0 to 4095), or was converted twice."""


@dataclass(frozen=True)
class Joint:
    """One joint. `usd_deg`: limits in degrees that LeIsaac maps from; `motor`: the LeRobot range that it maps to."""

    name: str
    usd_deg: tuple[float, float]
    motor: tuple[float, float]


@dataclass(frozen=True)
class Embodiment:
    """A robot as the pipeline needs it. Order of `joints` is the order of every action and state vector."""

    name: str
    robot_type: str
    joints: tuple[Joint, ...]
    cameras: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of joints = width of action and observation.state."""
        return len(self.joints)

    @property
    def feature_names(self) -> list[str]:
        """LeRobot feature names, e.g. `shoulder_pan.pos`."""
        return [f"{joint.name}.pos" for joint in self.joints]

    def _ranges(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        usd = np.array([joint.usd_deg for joint in self.joints], dtype=np.float64)
        motor = np.array([joint.motor for joint in self.joints], dtype=np.float64)
        return usd[:, 0], usd[:, 1], motor[:, 0], motor[:, 1]

    def to_motor(self, radians: NDArray[np.floating]) -> F32:
        """Radians (..., width) to LeRobot motor units (..., width), float32."""
        low, high, motor_low, motor_high = self._ranges()
        degrees = np.asarray(radians, dtype=np.float64) * (180.0 / math.pi)
        return np.asarray((degrees - low) / (high - low) * (motor_high - motor_low) + motor_low, dtype=np.float32)

    def to_radians(self, motor: NDArray[np.floating]) -> F32:
        """LeRobot motor units (..., width) to radians (..., width), float32."""
        low, high, motor_low, motor_high = self._ranges()
        units = np.asarray(motor, dtype=np.float64)
        degrees = (units - motor_low) / (motor_high - motor_low) * (high - low) + low
        return np.asarray(degrees * (math.pi / 180.0), dtype=np.float32)

    def degrees_per_unit(self) -> NDArray[np.float64]:
        """Degrees that one motor unit is, per joint (width,): turns an error in motor units into degrees."""
        low, high, motor_low, motor_high = self._ranges()
        return (high - low) / (motor_high - motor_low)

    def impossible(self, low: NDArray[np.floating], high: NDArray[np.floating], *, motor: bool = False) -> str | None:
        """Say which joint has values that this robot cannot have, and what was expected; None if none has.

        low, high: (width,) the extremes that were seen, in radians, or in motor units.
        """
        limits = self.motor_limits() if motor else np.deg2rad([joint.usd_deg for joint in self.joints])
        unit = "motor units" if motor else "rad"
        margin = (MOTOR_MARGIN if motor else MARGIN) * (limits[:, 1] - limits[:, 0])
        wrong = np.flatnonzero((low < limits[:, 0] - margin) | (high > limits[:, 1] + margin))
        if not len(wrong):
            return None
        beyond = np.maximum(limits[:, 0] - low, high - limits[:, 1]) / margin
        at = int(np.argmax(beyond))
        more = f" (and {len(wrong) - 1} more joints)" if len(wrong) > 1 else ""
        return (
            f"{self.joints[at].name} runs from {low[at]:.4g} to {high[at]:.4g}{more}, which is no value in {unit} of a"
            f" {self.name}: its range is {limits[at, 0]:.4g} to {limits[at, 1]:.4g} {unit};"
            " are these degrees, another unit, or another robot?"
        )

    def motor_limits(self) -> NDArray[np.float64]:
        """(width, 2) low and high in motor units."""
        return np.array([joint.motor for joint in self.joints], dtype=np.float64)


SO101 = Embodiment(
    name="so101",
    robot_type="so101_follower",
    joints=(
        Joint("shoulder_pan", (-110.0, 110.0), (-100.0, 100.0)),
        Joint("shoulder_lift", (-100.0, 100.0), (-100.0, 100.0)),
        Joint("elbow_flex", (-100.0, 90.0), (-100.0, 100.0)),
        Joint("wrist_flex", (-95.0, 95.0), (-100.0, 100.0)),
        Joint("wrist_roll", (-160.0, 160.0), (-100.0, 100.0)),
        Joint("gripper", (-10.0, 100.0), (0.0, 100.0)),
    ),
    cameras=("front",),
)

EMBODIMENTS = {SO101.name: SO101}


def embodiment(name: str) -> Embodiment:
    """Look a robot up by name. Raises InputError that lists the known ones."""
    try:
        return EMBODIMENTS[name]
    except KeyError:
        raise InputError(f"unknown robot {name!r}", fix=f"use one of: {', '.join(sorted(EMBODIMENTS))}") from None
