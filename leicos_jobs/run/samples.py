"""Samples: one video to generate each, identified by what determines it.

The id is 80 bits of a sha256 over canonical JSON. Not our git commit: an unrelated change must not throw away
GPU-weeks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from leicos_jobs.core.digests import digest_of

ID_BITS = 80


class Sample(BaseModel):
    """One line of the plan's samples.jsonl."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """20 hex digits."""
    demo: str
    """Name in the recording, e.g. demo_3; for people."""
    demo_sha256: str
    """Digest of the demo's own content."""
    episode: int
    """Index of the demo in the dataset."""
    split: Literal["train", "held_out"]
    """Whether the IDM trained on the demo."""
    row0: int
    """Row of the recording shown in output frame 0."""
    frames: int
    prompt: str
    seed: int
    start: str
    """Identity of the start: conditioning clip and simulator state at row0."""
    task: str = ""
    """What the robot should do, as the dataset stores it; `prompt` is its form for the generator."""
    states: bool = True
    """Whether the simulator's state at row0 is known."""
    outside: dict[str, str] = Field(default_factory=dict)
    """Digests of what the generator takes from outside the run for it, e.g. an imported video."""


def sample_id(determinants: dict[str, Any]) -> str:
    """Identity of a sample from everything that determines its video (see `run.plan` for the list)."""
    return digest_of(determinants, ID_BITS)


def dump_lines(items: Iterable[BaseModel]) -> bytes:
    """Models as JSON lines."""
    return b"".join(item.model_dump_json().encode() + b"\n" for item in items)
