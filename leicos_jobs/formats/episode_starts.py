"""meta/leicos/starts.jsonl of a dataset: what a simulator needs to carry each of its episodes out again.

One line per episode. It is provenance, not content: the state is part of the recording, whose digest has it already.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from leicos_jobs.core.validation import parsed
from leicos_jobs.formats import lerobot_layout as layout

State = dict[str, list[float]]
"""The simulator's state, path in LeIsaac's `states` -> numbers."""


class EpisodeStart(BaseModel):
    """Where an episode begins."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    episode_index: int = Field(ge=0)
    control_hz: float = Field(gt=0, allow_inf_nan=False)
    """Control steps per second."""
    stride: int = Field(ge=1)
    """Control steps per frame of the dataset."""
    row: int = Field(ge=0)
    """Row of the recording that the first frame shows."""
    success: bool | None
    """By the mark of the recording, or by the replay of the labels; None: nobody knows."""
    state: State | None
    """In which the first frame was taken; None if the recording has none."""


def write_starts(root: Path, starts: Iterable[EpisodeStart]) -> None:
    """Write the file below a dataset's root."""
    path = root / layout.STARTS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(start.model_dump_json() + "\n" for start in starts), encoding="utf-8")


def read_starts(root: Path) -> dict[int, EpisodeStart]:
    """By episode; empty if the dataset has none. Raises InputError for a line that is none."""
    path = root / layout.STARTS
    if not path.is_file():
        return {}
    lines = path.read_bytes().splitlines()
    starts = [parsed(EpisodeStart, line, f"{path}:{number}", layout.FIX) for number, line in enumerate(lines, start=1)]
    return {start.episode_index: start for start in starts}
