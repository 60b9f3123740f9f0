"""Samples: one video to generate each, identified by what determines it.

The id is 80 bits of a sha256 over canonical JSON. Not our git commit: an unrelated change must not throw away
GPU-weeks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.validation import parsed

ID_BITS = 80


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


def parse_samples(data: bytes, where: str) -> Iterator[Sample]:
    """Read plan/samples.jsonl or a shard. Raises InputError that names `where` and the line that is damaged."""
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            fix = "remove it and records/plan.json, and start the run again: samples keep their ids and work"
            yield parsed(Sample, line, f"{where}:{number}", fix)
