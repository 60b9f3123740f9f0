"""Samples: one video to generate each, identified by what determines it.

The id is 80 bits of a sha256 over canonical JSON. Not our git commit: an unrelated change must not throw away
GPU-weeks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.digests import digest_of

ID_BITS = 80
SAMPLES_FIX = "remove it and records/plan.json, and start the run again: samples keep their ids and work"
"""What to do about a damaged plan/samples.jsonl or shard."""


class Sample(BaseModel):
    """One line of plan/samples.jsonl."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """20 hex digits."""
    demo: str
    """Name in the HDF5, e.g. demo_3."""
    file_sha256: str
    """Of the HDF5 the demo is in."""
    episode: int
    """Index of the demo in dataset/."""
    split: Literal["train", "held_out"]
    """Whether the IDM trained on the demo."""
    row0: int
    """HDF5 row shown in output frame 0."""
    frames: int
    prompt: str
    seed: int
    clip: str
    """Key of the conditioning clip."""
    start: str
    """Key of the simulator state at row0."""


def sample_id(determinants: dict[str, Any]) -> str:
    """Identity of a sample from everything that determines its video (see `stages.plan` for the list)."""
    return digest_of(determinants, ID_BITS)


def dump_lines(items: Iterable[BaseModel]) -> bytes:
    """Models as JSON lines."""
    return b"".join(item.model_dump_json().encode() + b"\n" for item in items)
