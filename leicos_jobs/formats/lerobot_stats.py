"""Statistics of an episode as lerobot 0.3 computes them: sampled, downsampled images and whole columns.

A sample of about n^0.75 images, at least 100, each thinned to about 150 pixels on its longer side, in 0..1; population
standard deviation; vectors a dimension, scalars as lists of one (docs/decisions/lerobot.md 1.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.media.decode import read_frames

U8 = NDArray[np.uint8]
Stats = dict[str, Any]
"""min, max, mean, std, count as plain lists."""

MIN_SAMPLES = 100
MAX_SAMPLES = 10_000
THIN_TO = 150
THIN_FROM = 300


def sample_indices(frames: int) -> list[int]:
    """Which of `frames` images go into the statistics, ascending."""
    wanted = max(min(MIN_SAMPLES, frames), min(int(frames**0.75), MAX_SAMPLES))
    indices: list[int] = np.round(np.linspace(0, frames - 1, wanted)).astype(int).tolist()
    return indices


def thin(image: U8) -> U8:
    """Every n-th pixel of an (H, W, 3) image, n such that about 150 remain on the longer side; small ones whole."""
    height, width = image.shape[:2]
    if max(width, height) < THIN_FROM:
        return image
    step = int(width / THIN_TO) if width > height else int(height / THIN_TO)
    return image[::step, ::step]


class ImageStats:
    """Statistics over images, one at a time, from a histogram a channel: exact and small."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), dtype=np.int64)
        self._images = 0

    def add(self, image: U8) -> None:
        """Count one (H, W, 3) uint8 image (it is thinned here)."""
        small = thin(image)
        for channel in range(3):
            self._counts[channel] += np.bincount(small[..., channel].ravel(), minlength=256)
        self._images += 1

    def result(self) -> Stats:
        """The statistics in 0..1, each [[[r]], [[g]], [[b]]], count = number of images. Needs at least one image."""
        values = np.arange(256) / 255.0
        total = self._counts.sum(axis=1)
        mean = self._counts @ values / total
        spread = np.sqrt(np.maximum(self._counts @ values**2 / total - mean**2, 0.0))
        seen = self._counts > 0
        low, high = values[seen.argmax(axis=1)], values[255 - seen[:, ::-1].argmax(axis=1)]
        found: Stats = {
            name: [[[float(one)]] for one in part]
            for name, part in (("min", low), ("max", high), ("mean", mean), ("std", spread))
        }
        return found | {"count": [self._images]}

    def merge(self, other: ImageStats) -> None:
        """Count another's images as well."""
        self._counts += other._counts
        self._images += other._images

    def quantile(self, share: float) -> list[list[list[float]]]:
        """The value in 0..1 that a share of the pixels does not exceed, [[[r]], [[g]], [[b]]]."""
        reached = np.cumsum(self._counts, axis=1) >= share * self._counts.sum(axis=1, keepdims=True)
        return [[[float(one) / 255.0]] for one in reached.argmax(axis=1)]


def sampled_stats(images: Iterable[U8], frames: int) -> ImageStats:
    """Statistics of a video of `frames` images, of which only the sampled ones are looked at."""
    wanted = set(sample_indices(frames))
    stats = ImageStats()
    for index, image in enumerate(images):
        if index in wanted:
            stats.add(image)
    return stats


def video_stats(path: Path, frames: int) -> Stats:
    """Statistics of a finished video file. Raises VideoError if it cannot be read."""
    return sampled_stats(read_frames(path), frames).result()


def column_stats(values: NDArray[Any]) -> Stats:
    """Statistics of one column, (n,) or (n, width)."""
    wide = values[:, None] if values.ndim == 1 else values
    exact = wide.astype(np.float64)
    return {
        "min": wide.min(axis=0).tolist(),
        "max": wide.max(axis=0).tolist(),
        "mean": exact.mean(axis=0).tolist(),
        "std": exact.std(axis=0).tolist(),
        "count": [len(wide)],
    }


def episode_stats(columns: Mapping[str, NDArray[Any]], images: Mapping[str, Stats]) -> dict[str, Stats]:
    """Statistics of an episode in lerobot's order: vectors, images by feature name, then the scalar columns."""
    vectors = {key: column_stats(values) for key, values in columns.items() if values.ndim == 2}
    scalars = {key: column_stats(values) for key, values in columns.items() if values.ndim == 1}
    return vectors | dict(images) | scalars


def aggregate(parts: Sequence[Mapping[str, NDArray[np.float64]]]) -> Stats:
    """Statistics of all episodes together from those of each, as lerobot's aggregate_stats puts them together.

    parts: of some episodes each, statistic -> (episodes, ...), counts (episodes, 1). min, max, mean, std and count are
    exact (parallel variance, Chan et al. 1979); a quantile is the mean of the episodes', weighted by their counts, and
    is only there if all parts have it. Empty if there is no row.
    """
    keys = set.intersection(*(set(part) for part in parts))
    joined = {key: np.concatenate([part[key] for part in parts]) for key in keys}
    counts = joined["count"].reshape(len(joined["count"]), -1)[:, 0]
    total = counts.sum()
    if not total:
        return {}

    def weighted(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.tensordot(counts, values, axes=1) / total)

    mean = weighted(joined["mean"])
    spread = np.sqrt(weighted(joined["std"] ** 2 + (joined["mean"] - mean) ** 2))
    result: Stats = {"min": joined["min"].min(axis=0), "max": joined["max"].max(axis=0), "mean": mean, "std": spread}
    result |= {key: weighted(joined[key]) for key in sorted(keys) if key[0] == "q"}
    return {key: value.tolist() for key, value in result.items()} | {"count": [int(total)]}
