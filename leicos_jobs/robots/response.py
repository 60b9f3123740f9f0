"""How joints follow their targets: a first-order response a joint, fitted on real demos.

    state[k+1] = a * state[k] + b * action[k - lag] + c      gain = b / (1 - a), offset = c / (1 - a)

Synthetic observation.state is made with it: from the demo's true state at row0 and the labelled actions, never from
truth and never from the replay simulator, which would leak what a real robot's logger could not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError
from leicos_jobs.robots.embodiment import F32

LAGS = (0, 1, 2)


@dataclass(frozen=True)
class Response:
    """Per joint: `a`, `b`, `c` of the formula and the lag in dataset rows."""

    a: tuple[float, ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    lag: tuple[int, ...]

    def states(self, start: F32, actions: F32) -> F32:
        """(n, width) states in motor units: row 0 is `start` (width,), the rest follows from `actions` (n, width)."""
        a, b, c = (np.asarray(values, dtype=np.float64) for values in (self.a, self.b, self.c))
        delayed = _delayed(np.asarray(actions, dtype=np.float64), self.lag)
        out = np.empty(actions.shape, dtype=np.float64)
        out[0] = start
        for row in range(1, len(actions)):
            out[row] = a * out[row - 1] + b * delayed[row - 1] + c
        return out.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """For records and reports."""
        return asdict(self)


def fit_response(episodes: Sequence[tuple[F32, F32]]) -> Response:
    """Fit on (actions, states) pairs, each (n, width) in motor units.

    Least squares on one step gives a, b and c for every lag; the lag with the smallest free-running error wins.
    Raises DefectError without data.
    """
    if not any(len(actions) > max(LAGS) + 2 for actions, _ in episodes):
        raise DefectError("no episode is long enough to fit the joints' response")
    width = episodes[0][0].shape[1]
    per_lag = [[_fit_joint(episodes, joint, lag) for joint in range(width)] for lag in LAGS]
    errors = np.empty((len(LAGS), width))
    for index, lag in enumerate(LAGS):
        errors[index] = free_running_error(_response(per_lag[index], [lag] * width), episodes)
    best = errors.argmin(axis=0)
    chosen = [per_lag[best[joint]][joint] for joint in range(width)]
    return _response(chosen, [LAGS[index] for index in best])


def free_running_error(response: Response, episodes: Sequence[tuple[F32, F32]]) -> NDArray[np.float64]:
    """(width,) mean absolute error in motor units of states made from each episode's first state and its actions."""
    return _mean_error((response.states(states[0], actions), states) for actions, states in episodes)


def previous_action_error(episodes: Sequence[tuple[F32, F32]]) -> NDArray[np.float64]:
    """(width,) the same error of the usual shortcut state[t] = action[t-1]."""
    return _mean_error((actions[:-1], states[1:]) for actions, states in episodes)


def _mean_error(pairs: Iterable[tuple[F32, F32]]) -> NDArray[np.float64]:
    gaps = [np.abs(ours - true) for ours, true in pairs]
    return np.asarray(
        np.sum([gap.sum(axis=0) for gap in gaps], axis=0, dtype=np.float64) / max(1, sum(map(len, gaps))),
        dtype=np.float64,
    )


def _fit_joint(episodes: Sequence[tuple[F32, F32]], joint: int, lag: int) -> tuple[float, float, float]:
    before, commanded, after = [], [], []
    for actions, states in episodes:
        delayed = _delayed(np.asarray(actions[:, joint : joint + 1], dtype=np.float64), (lag,))[:, 0]
        before.append(states[:-1, joint])
        commanded.append(delayed[:-1])
        after.append(states[1:, joint])
    matrix = np.stack([np.concatenate(before), np.concatenate(commanded), np.ones(sum(map(len, before)))], axis=1)
    solution = np.linalg.lstsq(matrix, np.concatenate(after), rcond=None)[0]
    a = float(np.clip(solution[0], 0.0, 0.999))
    return a, float(solution[1]), float(solution[2])


def _delayed(actions: NDArray[np.float64], lags: Sequence[int]) -> NDArray[np.float64]:
    out = np.empty_like(actions)
    for joint, lag in enumerate(lags):
        out[lag:, joint] = actions[: len(actions) - lag, joint]
        out[:lag, joint] = actions[0, joint]
    return out


def _response(joints: Sequence[tuple[float, float, float]], lags: Sequence[int]) -> Response:
    a, b, c = (tuple(values) for values in zip(*joints, strict=True))
    return Response(a, b, c, tuple(int(lag) for lag in lags))
