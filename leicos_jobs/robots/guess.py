"""A robot's file from what a dataset or a recording shows: a beginning, in which what was guessed is marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from leicos_jobs.robots.joints import F64

WIDEN = 0.25
"""Share of the seen range by which limits lie beyond it, on either side: demonstrations seldom reach a joint's end."""
LEAST = 1e-3
"""Narrowest range of a joint that never moved."""


@dataclass(frozen=True)
class Seen:
    """A vector as it was found. names: LeRobot feature names, empty where there are none. low, high: (width,)."""

    names: Sequence[str]
    low: F64
    high: F64


def robot_yaml(name: str, robot_type: str, cameras: Sequence[str], action: Seen, state: Seen, source: str) -> str:
    """Text of a robot's YAML. source: where it was seen. Joints of the same name in both vectors are one joint."""
    features = {"action": _features(action, "action"), "state": _features(state, "state")}
    if not action.names and not state.names and len(action.low) == len(state.low):
        features["action"] = features["state"] = [f"joint_{place}.pos" for place in range(len(action.low))]
    ranges: dict[str, tuple[float, float]] = {}
    for field, seen in (("action", action), ("state", state)):
        for feature, low, high in zip(features[field], seen.low, seen.high, strict=True):
            before = ranges.get(feature, (low, high))
            ranges[feature] = (float(min(low, before[0])), float(max(high, before[1])))
    names = _names(list(ranges))
    joints = [_joint(names[feature], feature, *ranges[feature]) for feature in ranges]
    head = [
        f"# Guessed by `leicos robot from` from {source}. Limits are the values seen, widened by {WIDEN:.0%} of their",
        "# range: put in the robot's own. Say which joints are grippers (gripper: true), then: leicos robot check FILE",
    ]
    top = yaml.safe_dump({"name": name, "robot_type": robot_type, "cameras": list(cameras)}, sort_keys=False)
    lists = {f"{field}_joints": [names[feature] for feature in features[field]] for field in features}
    return "\n".join([*head, top + "joints:", *joints, yaml.safe_dump(lists, sort_keys=False, width=110)])


def _features(seen: Seen, field: str) -> list[str]:
    return list(seen.names) or [f"{field}_{place}.pos" for place in range(len(seen.low))]


def _names(features: Sequence[str]) -> dict[str, str]:
    """A joint name for each feature: without its end `.pos`, in letters, digits and underscores, none twice."""
    found: dict[str, str] = {}
    for place, feature in enumerate(features):
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", feature.removesuffix(".pos")).strip("_")
        name = plain if re.match(r"[A-Za-z]", plain) else f"joint_{plain or place}"
        found[feature] = name if name not in found.values() else f"{name}_{place}"
    return found


def _joint(name: str, feature: str, low: float, high: float) -> str:
    margin = max(WIDEN * (high - low), LEAST)
    limits = f"[{low - margin:.6g}, {high + margin:.6g}]"
    values: dict[str, str | bool] = {"name": name, "unit": "none", "feature": feature}
    if "gripper" in name:
        values["gripper"] = True
    text = yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=10_000).strip()
    return f"  - {text[:-1]}, limits: {limits}}}  # guessed limits"
