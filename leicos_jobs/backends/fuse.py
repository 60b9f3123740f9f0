"""From overlapping chunks to one action a frame, and optional smoothing. Plain numpy, shared by labellers.

A window that starts at frame t predicts actions for frames t ... t + H - 1. Every frame's label is the unweighted mean
of all predictions for it (1 to H of them), in double precision: GR00T-Dreams IDM_dump/dump_idm_actions.py at ec3881d,
`worker_func`. What a window predicts beyond the video's end is dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def fuse(chunks: NDArray[np.floating]) -> F32:
    """Mean of overlapping chunks: (L, H, D), window t in row t, to (L, D) float32. Raises ValueError if L is 0."""
    frames, horizon, width = chunks.shape
    if frames == 0:
        raise ValueError("no window to fuse")
    total = np.zeros((frames, width), dtype=np.float64)
    for step in range(min(horizon, frames)):
        total[step:] += chunks[: frames - step, step]
    count = np.minimum(np.arange(1, frames + 1), horizon)
    return np.asarray(total / count[:, None], dtype=np.float32)


def spread(chunks: NDArray[np.floating]) -> float:
    """How far overlapping chunks disagree: root mean square over frames and columns of their standard deviation,
    in the unit of the chunks (L, H, D). 0 for a single frame."""
    frames, horizon, width = chunks.shape
    mean = fuse(chunks).astype(np.float64)
    squares, pairs = 0.0, 0
    for step in range(min(horizon, frames)):
        squares += float(((chunks[: frames - step, step] - mean[step:]) ** 2).sum())
        pairs += (frames - step) * width
    return float(np.sqrt(squares / max(1, pairs)))


def smooth(actions: F32, rows: int) -> F32:
    """Weighted mean over `rows` (odd) neighbouring rows of (L, D) actions with a Hann window; beyond the ends the end
    row is repeated. rows = 1 changes nothing. Raises ValueError for an even number."""
    if rows % 2 == 0 or rows < 1:
        raise ValueError(f"a symmetric window has an odd number of rows, not {rows}")
    weights = np.hanning(rows + 2)[1:-1]
    weights /= weights.sum()
    around = np.arange(len(actions))[:, None] + np.arange(-(rows // 2), rows // 2 + 1)
    index = np.clip(around, 0, len(actions) - 1)
    return np.asarray(np.einsum("tkj,k->tj", actions[index].astype(np.float64), weights), dtype=np.float32)
