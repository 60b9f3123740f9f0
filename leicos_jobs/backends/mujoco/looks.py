"""How the scene looks, in seventeen numbers: camera jitter as LeIsaac resets it, light, colour.

Between recordings they differ a little; within an imagined video they drift. A clip's own look can be read back from
one of its pictures, so that what is drawn after it continues it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

JITTER_M, JITTER_RAD = 0.005, math.radians(0.05)
"""LeIsaac's camera reset noise, uniform in each axis (docs/decisions/leisaac.md 4.2)."""

CAMERA_NUMBERS = 6
SPREAD: F64 = np.array([JITTER_M] * 3 + [JITTER_RAD] * 3 + [0.10, 0.06] + [0.15] * 3 + [0.05] * 3 + [0.015] * 3)
"""Largest difference of each number between recordings, in the order of `Look.vector`. Light and colour are chosen:
LeIsaac's do not change."""


@dataclass(frozen=True)
class Look:
    """How the scene looks.

    shift: camera (3,) m along its own axes; turn: (3,) rad about them. light: factor of the lamp; ambient: factor of
    the light from everywhere; lamp: displacement (3,) m of the lamp. table: (3,) factors of the table's colour. gain:
    (3,) factors of the finished picture's red, green and blue, as an exposure or a white balance would.
    """

    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    light: float = 1.0
    ambient: float = 1.0
    lamp: tuple[float, float, float] = (0.0, 0.0, 0.0)
    table: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def vector(self) -> F64:
        """All numbers in one row (17,)."""
        return np.array([*self.shift, *self.turn, self.light, self.ambient, *self.lamp, *self.table, *self.gain])

    @classmethod
    def from_vector(cls, values: ArrayLike) -> Look:
        """The inverse of `vector`."""
        v = [float(value) for value in np.asarray(values)]
        return cls(
            (v[0], v[1], v[2]), (v[3], v[4], v[5]), v[6], v[7], (v[8], v[9], v[10]), (v[11], v[12], v[13]),
            (v[14], v[15], v[16]),
        )  # fmt: skip

    def toward(self, other: Look, share: float) -> Look:
        """A look between this one (share 0) and another (share 1)."""
        return Look.from_vector((1.0 - share) * self.vector() + share * other.vector())


def draw_look(rng: np.random.Generator) -> Look:
    """A recording's look."""
    return Look.from_vector(Look().vector() + SPREAD * rng.uniform(-1.0, 1.0, len(SPREAD)))


def drifted(look: Look, rng: np.random.Generator, size: float) -> Look:
    """Another look within LeIsaac's camera jitter, its light and colour up to `size` spreads away from this one's."""
    away = SPREAD * rng.uniform(-1.0, 1.0, len(SPREAD))
    start = look.vector()
    away[CAMERA_NUMBERS:] *= size
    start[:CAMERA_NUMBERS] = 0.0
    return Look.from_vector(start + away)


def fit_look(picture: U8, draw: Callable[[Look], U8], rounds: int = 2) -> Look:
    """The look that makes `draw` most like a picture (H, W, 3).

    Gauss-Newton on block means. Many numbers do nearly the same (a brighter table, a brighter lamp), so a spread off
    the nominal costs as much as 0.05 grey levels squared everywhere, and 1.5 spreads are the end: a picture of another
    scene gives some look, not a wild one.
    """
    wanted = _small(picture)
    weight = 0.05 * wanted.size
    units = np.zeros(len(SPREAD))

    def drawn(at: F64) -> F64:
        return _small(draw(Look.from_vector(Look().vector() + SPREAD * at)))

    for _ in range(rounds):
        now = drawn(units)
        # A whole spread, since half of one is lost in 8 bits; the gain's slope is known without drawing.
        slopes = [drawn(units + axis) - now for axis in np.eye(len(units))[:-3]]
        slopes += [size * now * channel for size, channel in zip(SPREAD[-3:], np.eye(3), strict=True)]
        slope = np.stack(slopes).reshape(len(units), -1).T
        gram = slope.T @ slope + weight * np.eye(len(units))
        units = units + np.linalg.solve(gram, slope.T @ (wanted - now).reshape(-1) - weight * units)
        units = np.clip(units, -1.5, 1.5)
    return Look.from_vector(Look().vector() + SPREAD * units)


def _small(picture: U8) -> F64:
    """Means of blocks, some 40 x 50 of them: edges that move by a pixel count in proportion, rounding averages out."""
    size = max(1, min(picture.shape[:2]) // 40)
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    blocks = picture[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64))
