"""A sample's joints over time as SVG, so that a page needs neither pictures nor a library to draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, POINTS = 300, 90, 400
"""Size of a panel in its own units, and the most points of a line."""


@dataclass(frozen=True)
class Panel:
    """One joint. low, high: motor units at the lower and upper edge. lines: name -> SVG points."""

    joint: str
    low: float
    high: float
    lines: dict[str, str]


def panels(lines: Mapping[str, NDArray[np.float32]], joints: Sequence[str]) -> list[Panel]:
    """One panel per joint. lines: name -> (rows, joints); all begin together and end with the longest."""
    known = {name: np.asarray(rows, np.float64) for name, rows in lines.items() if len(rows) > 1}
    if not known:
        return []
    longest, found = max(len(rows) for rows in known.values()), []
    for index, joint in enumerate(joints):
        values = np.concatenate([rows[:, index] for rows in known.values()])
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        room = max(0.05 * (high - low), 0.5)
        low, high = low - room, high + room
        drawn = {name: _points(rows[:, index], longest, low, high) for name, rows in known.items()}
        found.append(Panel(joint.replace("_", " "), round(low, 1), round(high, 1), drawn))
    return found


def _points(values: NDArray[np.float64], longest: int, low: float, high: float) -> str:
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).round().astype(int))
    x = chosen * WIDTH / (longest - 1)
    y = HEIGHT * (high - values[chosen]) / (high - low)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
