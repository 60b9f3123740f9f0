"""What labels are judged by, as plain numpy on arrays of actions; used by training and by the report.

Notation: x is (T, J) actions in motor units, row = frame; e = |label - truth|; v[t] = x[t+1] - x[t], the velocity in
units a frame. A figure per joint is a (J,) array. Nothing here filters by success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
WINDOW = 16
"""Rows of a window over which labels are compared with baselines: the span that one IDM chunk covers upstream."""
MOVES_DEG = 2.0
"""A window counts as motion if one joint's true action spans at least so many degrees in it."""
STILL = 1e-6
"""A velocity below this, in units per frame, has no sign."""


def absolute_errors(labels: F32, truth: F32) -> F64:
    """|labels - truth|, (T, J). Raises ValueError if shapes differ: a silent broadcast would hide a lost row."""
    if labels.shape != truth.shape:
        raise ValueError(f"labels {labels.shape} and truth {truth.shape} differ in shape")
    return np.abs(np.asarray(labels, dtype=np.float64) - np.asarray(truth, dtype=np.float64))


def moving_windows(truth: F32, degrees_per_unit: F64, rows: int = WINDOW, least_deg: float = MOVES_DEG) -> list[int]:
    """First rows of the windows 0..rows-1, rows..2*rows-1, ... in which the arm moves:
    max over joints of (max - min over the window) * degrees_per_unit >= least_deg. A shorter rest is left out."""
    starts = range(0, len(truth) - rows + 1, rows)
    spans = [float((np.ptp(truth[start : start + rows], axis=0) * degrees_per_unit).max()) for start in starts]
    return [start for start, span in zip(starts, spans, strict=True) if span >= least_deg]


def mean_action(training: Sequence[F32], rows: int, first: int = 0) -> F32:
    """Baseline (a): for each row t in first..first+rows-1 the mean of the training demos' actions at row t, over the
    demos that last so long; beyond the longest its last mean is repeated. (rows, J)."""
    longest = max(len(actions) for actions in training)
    total = np.zeros((longest, training[0].shape[1]))
    count = np.zeros((longest, 1))
    for actions in training:
        total[: len(actions)] += actions
        count[: len(actions)] += 1
    wanted = np.minimum(np.arange(first, first + rows), longest - 1)
    return np.asarray((total / count)[wanted], dtype=np.float32)


def first_row(truth: F32, start: int, rows: int = WINDOW) -> F32:
    """Baseline (b): the true action at the window's first row, repeated. (rows, J)."""
    return np.repeat(truth[start : start + 1], rows, axis=0)


def previous_action(truth: F32) -> F32:
    """The true action of the row before (row 0: its own). Reported beside labels; it knows the truth, so no bar."""
    return np.concatenate([truth[:1], truth[:-1]])


def lag1_autocorrelation(actions: F32) -> F64:
    """Per joint: sum (v[t]-m)(v[t+1]-m) / sum (v[t]-m)^2, m = mean of v. Near 1: smooth; below 0: labels jitter.
    NaN for a joint that never changes, or fewer than 4 rows."""
    if len(actions) < 4:
        return np.full(actions.shape[1], np.nan)
    velocity = np.diff(np.asarray(actions, dtype=np.float64), axis=0)
    velocity = velocity - velocity.mean(axis=0)
    power = (velocity**2).sum(axis=0)
    product = (velocity[:-1] * velocity[1:]).sum(axis=0)
    return _ratio(product, power, power > STILL**2, np.nan)


def sign_flips(actions: F32) -> F64:
    """Per joint: share of neighbouring velocity pairs, both of at least STILL, with v[t] * v[t+1] < 0; 0 if there are
    no such pairs. Teleoperation has a few per cent, independent noise two thirds."""
    velocity = np.diff(np.asarray(actions, dtype=np.float64), axis=0)
    both = (np.abs(velocity[:-1]) >= STILL) & (np.abs(velocity[1:]) >= STILL)
    flips = both & (velocity[:-1] * velocity[1:] < 0)
    pairs = both.sum(axis=0)
    return _ratio(flips.sum(axis=0), pairs, pairs > 0, 0.0)


def limit_violations(actions: F32, limits: F64) -> F64:
    """Per joint: share of rows outside limits[j] = (low, high) in motor units."""
    outside = (actions < limits[:, 0]) | (actions > limits[:, 1])
    return np.asarray(outside.mean(axis=0), dtype=np.float64)


def judge(
    labels: Sequence[F32],
    truths: Sequence[F32],
    training: Sequence[F32],
    degrees_per_unit: F64,
    limits: F64,
    first_rows: Sequence[int] | None = None,
) -> dict[str, Any]:
    """All figures over several episodes; lists have one number a joint, NaN is None.

    labels, truths: one (T, J) array an episode. training: actions of the training demos, for baseline (a).
    first_rows: dataset row that an episode's row 0 stands for, where it does not begin with the demo (default 0).
    `mae`, `mae_deg`: mean e over all rows. `windows`: mean e over the rows of moving windows only, for labels and for
    each baseline, in motor units and degrees, and how many windows there are. Velocity figures are means over episodes.
    """
    offsets = first_rows if first_rows is not None else [0] * len(labels)
    everything = np.concatenate([absolute_errors(a, b) for a, b in zip(labels, truths, strict=True)])
    errors: dict[str, list[F64]] = {"labels": [], "mean_action": [], "first_row": [], "previous_action": []}
    for label, truth, offset in zip(labels, truths, offsets, strict=True):
        means, previous = mean_action(training, len(truth), offset), previous_action(truth)
        for start in moving_windows(truth, degrees_per_unit):
            part = slice(start, start + WINDOW)
            for name, guess in (("labels", label), ("mean_action", means), ("previous_action", previous)):
                errors[name].append(absolute_errors(guess[part], truth[part]))
            errors["first_row"].append(absolute_errors(first_row(truth, start), truth[part]))
    count = len(errors["labels"])
    facts: dict[str, Any] = {
        "episodes": len(labels),
        "rows": len(everything),
        "mae": numbers(everything.mean(axis=0)),
        "mae_deg": numbers(everything.mean(axis=0) * degrees_per_unit),
        "limit_violations": numbers(limit_violations(np.concatenate(list(labels)), limits)),
        "windows": {"count": count, "rows": WINDOW, "least_deg": MOVES_DEG},
    }
    for name, found in errors.items():
        mean = np.concatenate(found).mean(axis=0) if count else np.full(len(degrees_per_unit), np.nan)
        facts["windows"][name] = numbers(mean)
        facts["windows"][f"{name}_deg"] = numbers(mean * degrees_per_unit)
    for name, series in (("labels", labels), ("truth", truths)):
        facts[f"lag1_autocorrelation_{name}"] = numbers(_over_episodes([lag1_autocorrelation(x) for x in series]))
        facts[f"sign_flips_{name}"] = numbers(_over_episodes([sign_flips(x) for x in series]))
    return facts


def numbers(values: F64) -> list[float | None]:
    """A (J,) array as JSON numbers; what is not finite becomes None."""
    return [round(float(value), 6) if np.isfinite(value) else None for value in values]


def _over_episodes(rows: Sequence[F64]) -> F64:
    """Mean over episodes, each joint over the episodes in which it has a value."""
    stacked = np.stack(rows)
    finite = np.isfinite(stacked)
    total = np.where(finite, stacked, 0.0).sum(axis=0)
    count = finite.sum(axis=0)
    return _ratio(total, count, count > 0, np.nan)


def _ratio(above: NDArray[Any], below: NDArray[Any], where: NDArray[np.bool_], otherwise: float) -> F64:
    """above / below where it is defined, else `otherwise`."""
    out = np.full(above.shape, otherwise)
    np.divide(above, below, out=out, where=where)
    return out
