"""How alike two images or videos are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]


def mean_abs_difference(first: U8, second: U8) -> float:
    """Mean absolute difference over all pixels and channels, 0..255. Raises ValueError if the shapes differ."""
    _same_shape(first, second)
    return float(np.abs(first.astype(np.int16) - second.astype(np.int16)).mean())


def psnr(first: U8, second: U8) -> float:
    """Peak signal-to-noise ratio in dB over all pixels; infinity for equal images. ValueError if shapes differ."""
    _same_shape(first, second)
    difference = first.astype(np.float32) - second.astype(np.float32)
    error = float(np.mean(difference * difference, dtype=np.float64))
    return math.inf if error == 0 else 10 * math.log10(255.0**2 / error)


def frame_differences(first: U8, second: U8) -> NDArray[np.float64]:
    """Mean absolute difference of each frame, (N,), of two (N, H, W, 3) videos. ValueError if the shapes differ."""
    _same_shape(first, second)
    pairs = zip(first, second, strict=True)
    return np.array([mean_abs_difference(one, other) for one, other in pairs], dtype=np.float64)


def motion(video: U8) -> NDArray[np.float64]:
    """Mean absolute difference of each frame from the one before, (N-1,)."""
    return frame_differences(video[1:], video[:-1])


def _same_shape(first: U8, second: U8) -> None:
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {first.shape} and {second.shape}")
