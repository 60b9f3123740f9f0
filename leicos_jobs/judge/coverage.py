"""What the synthetic episodes add to the real ones: starts, joint ranges, lengths, near duplicates. Plain numpy.

Every figure is over the episodes that entered the dataset, beside the demos that the run took. Where there are many, a
draw by the order of their ids stands for them, which are hashes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.judge.score import Scored
from leicos_jobs.run import starts
from leicos_jobs.run.opened import Run

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

COMPARED = 256
"""Episodes of each side whose labels are compared pair by pair."""
NEAR_DEG = 1.0
"""Two episodes are near duplicates if their actions differ by less, in degrees (mean over joints and rows)."""
OBJECT = re.compile(r"rigid_object/[^/]+/root_pose")
"""Entry of a start's state, as LeIsaac names it: position and quaternion."""
USUAL = (5.0, 95.0)
"""Percentiles that a joint's usual range lies between."""


def coverage(
    samples: Sequence[Scored], actions: Mapping[int, F32], degrees_per_unit: F64, fps: float
) -> dict[str, Any]:
    """samples: those in the dataset, with labels. actions: (rows, width) motor units of the demos, by episode. Empty
    without samples or demos.

    `starts`: how many different ones, of how many demos, and the share of the most used demo. `joints`: (joints, 4)
    least, 5th and 95th percentile and largest action, in degrees, `real` and `synthetic`, and `beyond`: the share of
    synthetic actions outside the real range. `seconds`: lengths. `near`: see `near_duplicates`.
    """
    made = {item.state.sample.id: item for item in samples if item.labels is not None}
    if not made or not actions:
        return {}
    labels = {name: np.asarray(made[name].labels, np.float32) for name in sorted(made)[:COMPARED]}
    real = {str(index): rows for index, rows in sorted(actions.items())[:COMPARED]}
    demos = Counter(item.state.sample.demo_sha256 for item in made.values())
    known, new = np.concatenate(list(real.values())), np.concatenate(list(labels.values()))
    low, high = known.min(axis=0), known.max(axis=0)
    videos = {item.state.generate.sha256 for item in made.values() if item.state.generate is not None}
    return {
        "episodes": {"real": len(actions), "synthetic": len(made)},
        "starts": {
            "different": len({item.state.sample.start for item in made.values()}),
            "demos": len(demos),
            "largest_share": demos.most_common(1)[0][1] / len(made),
            "held_out": sum(item.state.sample.split == "held_out" for item in made.values()),
        },
        "joints": {
            "real": ranges(known, degrees_per_unit),
            "synthetic": ranges(new, degrees_per_unit),
            "beyond": [float(share) for share in ((new < low) | (new > high)).mean(axis=0)],
        },
        "seconds": {
            "real": [len(rows) / fps for rows in actions.values()],
            "synthetic": [len(item.labels) / fps for item in made.values() if item.labels is not None],
        },
        "near": near_duplicates(labels, real, degrees_per_unit) | {"same_video": len(made) - len(videos)},
        "drawn": len(labels),
    }


def object_places(run: Run, samples: Sequence[Scored], accepted: Set[str]) -> dict[str, Any]:
    """Where the first object stands at the starts of up to COMPARED samples: x and y in m, in the simulator's frame, of
    those in the dataset and of the others. Empty where the source knows no objects."""
    places: dict[str, dict[bool, list[list[float]]]] = {}
    for item in sorted(samples, key=lambda item: item.state.sample.id)[:COMPARED]:
        sample = item.state.sample
        state = start.scene if (start := starts.find(run, sample.start)) is not None else {}
        for name in sorted(name for name in state if OBJECT.fullmatch(name))[:1]:
            sides = places.setdefault(name.split("/")[1], {True: [], False: []})
            sides[sample.id in accepted].append([round(value, 4) for value in state[name][:2]])
    for name, sides in places.items():
        return {"object": name, "in_dataset": sides[True], "left_out": sides[False]}
    return {}


def ranges(rows: F32, degrees_per_unit: F64) -> list[list[float]]:
    """Per joint: least, 5th and 95th percentile and largest value, in degrees."""
    found = np.percentile(np.asarray(rows, np.float64) * degrees_per_unit, [0.0, *USUAL, 100.0], axis=0).T
    return [[round(float(value), 3) for value in joint] for joint in found]


def near_duplicates(labels: Mapping[str, F32], real: Mapping[str, F32], degrees_per_unit: F64) -> dict[str, Any]:
    """How far each episode is from the nearest other one, and from the nearest demo, in degrees: the mean over joints
    and over the rows that both have. `count`: with another one nearer than NEAR_DEG; `demo_count`: with such a demo."""
    names = list(labels)
    others = {name: [labels[each] for each in names if each != name] for name in names}
    other = [nearest(labels[name], others[name], degrees_per_unit) for name in names]
    demo = [nearest(labels[name], list(real.values()), degrees_per_unit) for name in names]
    return {
        "compared": len(names),
        "count": sum(value is not None and value < NEAR_DEG for value in other),
        "demo_count": sum(value is not None and value < NEAR_DEG for value in demo),
        "median_deg": _median(other),
        "demo_median_deg": _median(demo),
    }


def nearest(rows: F32, others: Sequence[F32], degrees_per_unit: F64) -> float | None:
    """Mean difference in degrees to the nearest of others; None if there are none."""
    found = []
    for other in others:
        count = min(len(rows), len(other))
        found.append(float((np.abs(rows[:count] - other[:count]).mean(axis=0) * degrees_per_unit).mean()))
    return min(found, default=None)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.median(known)), 3) if known else None
