"""What GR00T (N1.5 and GR00T-Dreams' inverse dynamics model) wants beside LeRobot v2.1: modality.json and stats.json.

Targets of joints are absolute: with `absolute: false`, as the tutorial sets it, windows past an episode's end are
padded with zeros and the model learns to jump to 0 (docs/decisions/idm.md 5). stats.json has exactly six keys per
column; a seventh (`count`) passes upstream's validation and then crashes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_layout import ACTION, IMAGES, SCALARS, STATE, read_json, write_json
from leicos_jobs.formats.lerobot_meta import is_finite
from leicos_jobs.robots.embodiment import Embodiment

MODALITY = Path("meta/modality.json")
STATS = Path("meta/stats.json")
STAT_KEYS = ("mean", "std", "min", "max", "q01", "q99")
TASK_KEY = "human.task_description"

QUANTILES = (0.01, 0.99)

KEPT_ROWS = 4_000_000
"""Rows of each column kept for quantiles (16 MB per number of a row); beyond, every second, fourth, ... row."""


def modality(embodiment: Embodiment, cameras: Sequence[str]) -> dict[str, Any]:
    """modality.json: the robot's groups of joints in state and action, one per joint unless its file says otherwise,
    the cameras, and the task's text by its index."""
    state, action = (embodiment.modalities(vector) for vector in (embodiment.state, embodiment.action))
    return {
        "state": {name: {"start": start, "end": end} for name, start, end in state},
        "action": {name: {"start": start, "end": end, "absolute": True} for name, start, end in action},
        "video": {camera: {"original_key": IMAGES + camera} for camera in cameras},
        "annotation": {TASK_KEY: {"original_key": "task_index"}},
    }


def quantile_name(share: float) -> str:
    """0.01 -> q01, as GR00T and lerobot name them."""
    return f"q{round(share * 100):02d}"


class StatsBuilder:
    """Statistics of a whole dataset, an episode at a time, in bounded memory and whatever the number of episodes.

    mean, std, min and max are exact; quantiles are exact up to KEPT_ROWS rows, then of every second (fourth, ...) row.
    quantiles: which ones, named q01, q50, ... in the result.
    """

    def __init__(self, kept_rows: int = KEPT_ROWS, quantiles: Sequence[float] = QUANTILES) -> None:
        self._parts: dict[str, _Column] = {}
        self._kept_rows = kept_rows
        self._quantiles = tuple(quantiles)

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add an episode's columns, each (n,) or (n, width), as `lerobot_layout.columns` gives them."""
        for key, values in columns.items():
            wide = np.asarray(values[:, None] if values.ndim == 1 else values)
            if key not in self._parts:
                self._parts[key] = _Column(wide.shape[1], self._kept_rows)
            self._parts[key].add(wide)

    def result(self) -> dict[str, dict[str, list[float]]]:
        """stats.json: column -> mean, std, min, max and the quantiles, each a list of the column's width."""
        return {key: part.result(self._quantiles) for key, part in self._parts.items()}


class _Column:
    def __init__(self, width: int, kept_rows: int) -> None:
        self._kept: list[NDArray[np.float32]] = []
        self._kept_rows, self._limit, self._every, self._seen = 0, kept_rows, 1, 0
        self._mean, self._squares = np.zeros(width), np.zeros(width)
        self._low, self._high = np.full(width, np.inf), np.full(width, -np.inf)

    def add(self, rows: NDArray[Any]) -> None:
        exact = rows.astype(np.float64)
        count, total = len(rows), self._seen + len(rows)
        # Chan's update: no loss of precision however many rows there are
        mean = exact.mean(axis=0)
        away = mean - self._mean
        self._squares += ((exact - mean) ** 2).sum(axis=0) + away**2 * (self._seen * count / total)
        self._mean += away * (count / total)
        self._low, self._high = np.minimum(self._low, exact.min(axis=0)), np.maximum(self._high, exact.max(axis=0))
        chosen = rows[(-self._seen) % self._every :: self._every].astype(np.float32)
        self._seen = total
        self._kept.append(chosen)
        self._kept_rows += len(chosen)
        if self._kept_rows > self._limit:
            thinned = np.concatenate(self._kept)[::2]
            self._kept, self._kept_rows, self._every = [thinned], len(thinned), self._every * 2

    def result(self, quantiles: Sequence[float]) -> dict[str, list[float]]:
        found = {
            "mean": self._mean,
            "std": np.sqrt(self._squares / self._seen),
            "min": self._low,
            "max": self._high,
        }
        kept = np.concatenate(self._kept)
        found |= {quantile_name(share): np.quantile(kept, share, axis=0) for share in quantiles}
        return {key: [float(one) for one in values] for key, values in found.items()}


def write_meta(root: Path, embodiment: Embodiment, cameras: Sequence[str], stats: StatsBuilder) -> None:
    """Write meta/modality.json and meta/stats.json below `root`."""
    write_json(root / MODALITY, modality(embodiment, cameras))
    write_json(root / STATS, stats.result())


def check(root: Path, embodiment: Embodiment, cameras: Sequence[str]) -> list[str]:
    """What is wrong with the two files of a dataset, one sentence each; empty if all is well."""
    found: list[str] = []
    try:
        given, stats = read_json(root / MODALITY), read_json(root / STATS)
    except InputError as error:
        return [error.message]
    if given != modality(embodiment, cameras):
        found.append(f"{root / MODALITY}: is not that of {embodiment.name} with cameras {', '.join(cameras)}")
    widths = {ACTION: embodiment.action.width, STATE: embodiment.state.width} | dict.fromkeys(SCALARS, 1)
    for key, width in widths.items():
        parts = stats.get(key) if isinstance(stats, dict) else None
        if not isinstance(parts, dict) or set(parts) != set(STAT_KEYS):
            found.append(f"{root / STATS}: {key} must have exactly {', '.join(STAT_KEYS)}")
        elif not all(is_finite(values) and np.shape(values) == (width,) for values in parts.values()):
            found.append(f"{root / STATS}: {key} must have {width} finite numbers a statistic")
    return found
