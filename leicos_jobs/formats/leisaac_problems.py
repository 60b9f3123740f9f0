"""Reasons why a demo is left out, as a closed list of words and a sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProblemKind = Literal[
    "failed",
    "interrupted",
    "zero-length",
    "too-short",
    "malformed",
    "wrong-width",
    "missing-camera",
    "image-size",
    "not-finite",
    "static",
    "irregular",
    "cameras-differ",
    "stride-differs",
    "oversized-chunks",
    "unreadable",
]


@dataclass(frozen=True)
class Problem:
    """What is wrong with one demo. `text` continues the sentence "demo_3 is left out: ..."."""

    kind: ProblemKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


WIDTHS = {
    6: "",
    8: "keyboard or gamepad control: relative moves of the gripper, not joint targets",
    9: "LeKiwi with a leader arm: a mobile base besides the arm",
    11: "LeKiwi by keyboard: a mobile base besides the arm",
    12: "two arms",
}
"""Widths of `actions` that LeIsaac records, with what they are (docs/decisions/leisaac.md 2.3); only 6 is joint targets
of one SO-101."""


def wrong_width(width: int) -> Problem:
    """Why a demo whose actions have this width is refused."""
    known = WIDTHS.get(width)
    what = f"that is {known}" if known else "LeIsaac records 6 (one arm), 8, 9, 11 or 12"
    return Problem(
        "wrong-width", f"its actions are {width} wide, {what}; only joint targets of one arm (6) are carried"
    )
