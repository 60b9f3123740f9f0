"""Which HDF5 rows become dataset rows: stride and phase from exact repeats of camera images.

LeIsaac steps at 60 Hz and renders at 30, so every image stands in two rows; which of the two comes first is found, not
assumed, because dropping an odd number of rows from misaligned pairs would attach each image to an action of another
image (docs/decisions/leisaac.md 1.2; docs/architecture.md#time).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from leicos_jobs.formats.leisaac_problems import Problem

DROP_ROWS = 5
"""Rows that LeIsaac's own converter leaves out at the start of each demo."""

MAX_DENOMINATOR = 1001


@dataclass(frozen=True)
class TimeBase:
    """How the user wants rows chosen.

    stride: HDF5 rows per dataset row; None takes the camera's own. row_for_row: every row from `drop_rows` on, as
    upstream does (then its videos play at half speed). drop_rows: rows before this one are never used.
    """

    stride: int | None = None
    row_for_row: bool = False
    drop_rows: int = DROP_ROWS


@dataclass(frozen=True)
class Timing:
    """Dataset row k is HDF5 row first_row + k * stride, for k < frames."""

    first_row: int
    stride: int
    frames: int

    def row(self, k: int) -> int:
        """HDF5 row of dataset row k."""
        return self.first_row + k * self.stride

    @property
    def rows(self) -> range:
        """The HDF5 rows, in order."""
        return range(self.first_row, self.first_row + self.frames * self.stride, self.stride)

    def fps(self, control_hz: float) -> Fraction:
        """Dataset frames a second."""
        return Fraction(control_hz).limit_denominator(MAX_DENOMINATOR) / self.stride


def find_timing(changes: Sequence[int], rows: int, base: TimeBase) -> Timing | Problem:
    """Timing of a demo of `rows` rows whose image differs from the row before at `changes` (ascending, none is 0).

    The camera's stride is the common divisor of the distances between changes, if at least half of the distances are
    exactly that: a scene at rest makes some distances larger multiples, a camera out of step makes them anything.
    Returns a Problem (static, irregular, too-short) instead of raising: other demos of the file may be fine.
    """
    if base.row_for_row:
        return every_row(base.drop_rows, 1, rows)
    gaps = [later - earlier for earlier, later in pairwise(changes)]
    if not gaps:
        return Problem("static", f"its image changes {len(changes)} times in {rows} rows, so no stride can be found")
    own = math.gcd(*gaps)
    counts = Counter(gaps)
    if 2 * counts[own] < len(gaps):
        return Problem("irregular", _irregular(changes, counts))
    stride = base.stride or own
    if stride % own:
        return Problem("irregular", f"its image changes every {own} rows, which does not divide the stride {stride}")
    first = base.drop_rows + (changes[0] - base.drop_rows) % own
    return every_row(first, stride, rows)


def agreed(known: Timing | None, found: Timing | Problem, cameras: tuple[str, str]) -> Timing | Problem:
    """What a further camera leaves of the timing that an earlier one gave. cameras: their names, earlier one first.

    A camera that sees nothing move agrees with any timing; one that changes at other rows would show frames of another
    moment (problem cameras-differ).
    """
    if known is None or (isinstance(found, Problem) and found.kind != "static"):
        return found
    if isinstance(found, Timing) and found != known:
        return Problem("cameras-differ", f"`obs/{cameras[1]}` changes at other rows than `obs/{cameras[0]}`")
    return known


def every_row(first: int, stride: int, rows: int) -> Timing | Problem:
    """Each `stride`-th row from `first` on; a Problem (too-short) if these are fewer than 2."""
    frames = (rows - 1 - first) // stride + 1 if rows > first else 0
    if frames < 2:
        return Problem("too-short", f"its {rows} rows give {frames} frames from row {first} on; at least 2 are needed")
    return Timing(first, stride, frames)


def _irregular(changes: Sequence[int], counts: Counter[int]) -> str:
    usual = min(counts, key=lambda gap: (-counts[gap], gap))
    place = next((later for earlier, later in pairwise(changes) if (later - earlier) % usual), changes[0])
    listed = ", ".join(f"{gap} rows {count}x" for gap, count in counts.most_common(4))
    return f"its image changes at uneven distances ({listed}; first out of step at row {place})"
