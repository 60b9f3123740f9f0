"""Reasons why a demo is left out, as a closed list of words and a sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from leicos_jobs.robots.embodiment import Embodiment, shipped

ProblemKind = Literal[
    "failed",
    "interrupted",
    "zero-length",
    "too-short",
    "malformed",
    "wrong-width",
    "unmarked",
    "missing-camera",
    "not-images",
    "missing-filter",
    "outside-limits",
    "image-size",
    "not-finite",
    "static",
    "irregular",
    "cameras-differ",
    "stride-differs",
    "oversized-chunks",
    "unreadable",
    "no-task",
]


@dataclass(frozen=True)
class Problem:
    """What is wrong with one demo. `text` continues the sentence "demo_3 is left out: ..."."""

    kind: ProblemKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


RECORD = "record successful demonstrations (key N marks success in LeIsaac)"
FIXES: dict[ProblemKind, str] = {
    "failed": RECORD,
    "interrupted": f"{RECORD}; or take demos without a mark with --accept-unmarked (source.accept_unmarked)",
    "unmarked": "if all of them are good, add --accept-unmarked (source.accept_unmarked: true); else mark each demo:"
    " h5py.File(FILE, 'a')['data/demo_0'].attrs['success'] = True",
    "missing-camera": "name one of its cameras with --camera (source.camera)",
    "not-images": "convert the images as said above, or record them as uint8",
    "missing-filter": "install the filter or repack the file as said above",
    "outside-limits": "convert the joint values to radians of this robot; other robots' recordings cannot be taken",
    "oversized-chunks": "repack the file as said above",
    "no-task": "say what the robot does with --task (source.task, or source.tasks per file)",
    "static": "record with a camera that sees the arm move, or take every row (--row-for-row, time.row_for_row)",
    "wrong-width": "name its robot with source.robot: a shipped one, or a file that `leicos robot from` writes;"
    " or record joint targets, with a leader arm",
}
"""What to do if a demo is out for this reason, where there is more to say than that it must be recorded again."""


def fix_for(kinds: Iterable[ProblemKind]) -> str:
    """What to do about demos that are out for these reasons: the advice for the most frequent one."""
    counts = Counter(kinds)
    usual: ProblemKind = max(counts, key=lambda kind: (kind != "failed", counts[kind]), default="failed")
    return FIXES.get(usual, "repair or record again what is named above")


def not_images(camera: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Problem:
    """Why a dataset with a camera's name is none, and how to make it one."""
    steps = []
    channels = shape[3] if len(shape) == 4 else 1 if len(shape) == 3 else 3
    if len(shape) == 4 and channels not in (1, 3, 4) and shape[1] in (1, 3, 4):
        channels = shape[1]
        steps.append("move the channels to the end (transpose(0, 2, 3, 1))")
    if channels == 1:
        steps.append("repeat the grey channel three times")
    elif channels == 4:
        steps.append("leave out the fourth channel ([..., :3])")
    if np.issubdtype(dtype, np.floating):
        steps.append("turn 0..1 into 0..255 ((images * 255).round().astype('uint8'); in Isaac Lab normalize=False)")
    elif dtype != np.uint8:
        steps.append("scale the values to 0..255 and store them as uint8")
    how = "; ".join(steps) or "store one RGB image a row"
    text = f"`obs/{camera}` is {dtype} {shape}, not uint8 (rows, height, width, 3) RGB: {how}"
    return Problem("not-images", text)


def wrong_width(width: int, robot: Embodiment) -> Problem:
    """Why a demo whose actions have this width is none of this robot."""
    what = f"its actions are {width} wide, a {robot.name} has {robot.action.width}"
    known = (other.recording.not_targets.get(width) for other in (robot, *shipped().values()))
    if text := next(filter(None, known), None):
        return Problem("wrong-width", f"{what}; {width} is {text}")
    others = [other.name for other in shipped().values() if other.action.width == width]
    return Problem("wrong-width", f"{what}; {width} has {' or '.join(others)}" if others else what)
