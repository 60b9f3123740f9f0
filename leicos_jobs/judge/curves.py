"""Learning curves, as the trainers noted them in their records."""

from __future__ import annotations

import json
import math
from typing import Any

from leicos_jobs.run.results import Results

Curves = dict[str, list[tuple[float, float]]]
"""Name -> (step, value) points."""
TRAINING = "training.jsonl"
"""Name of a file of points that a post-training leaves with its checkpoint."""


def learning_curves(results: Results) -> Curves:
    """Losses of the IDM and of the generator; empty where nothing was trained or nothing was noted."""
    curves: Curves = {}
    if (idm := results.current("train-idm")) is not None:
        _add(curves, "IDM, loss", idm.facts.get("losses"))
    if (generator := results.current("post-train")) is not None:
        for name in (name for name in generator.files if name.rpartition("/")[2] == TRAINING):
            points = [json.loads(line) for line in results.run.commits.read_lines(generator, name)]
            for part in dict.fromkeys(str(point.get("part", "generator")) for point in points):
                for value in ("loss", "held_out_loss"):
                    own = [point for point in points if str(point.get("part", "generator")) == part]
                    pairs = [[point["step"], point[value]] for point in own if "step" in point and value in point]
                    _add(curves, f"{part}, {value.replace('_', ' ')}", pairs)
    return curves


def _add(curves: Curves, name: str, points: Any) -> None:
    """Take the points that are two finite numbers: a trainer of others may say anything."""
    known = []
    for point in points if isinstance(points, list) else []:
        if isinstance(point, list | tuple) and len(point) == 2 and all(isinstance(each, int | float) for each in point):
            step, value = float(point[0]), float(point[1])
            if math.isfinite(step) and math.isfinite(value):
                known.append((step, value))
    if len(known) > 1:
        curves[name] = known
