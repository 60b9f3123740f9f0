"""Frame rates as exact fractions: time stamps are integers, so that frame k is exactly at k/fps."""

from __future__ import annotations

import math
from fractions import Fraction

from leicos_jobs.core.errors import InputError

MAX_DENOMINATOR = 1001
"""Enough for 30000/1001 and for any control rate divided by a small stride."""


def as_rate(fps: float | Fraction) -> Fraction:
    """Frames per second as an exact fraction (29.97 stays 2997/100, 60/7 is recognised in its float).

    Raises InputError unless it is finite and positive.
    """
    if not math.isfinite(fps) or fps <= 0:
        raise InputError(f"frame rate {fps} is not a positive number", fix="give frames per second, e.g. 30")
    return Fraction(fps).limit_denominator(MAX_DENOMINATOR)
