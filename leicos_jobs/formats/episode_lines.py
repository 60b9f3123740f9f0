"""What leicos notes of each episode of a dataset, in meta/leicos/*.jsonl: origin, rows, start, provenance.

Every line with an `episode_index` belongs to that episode, whichever file it is in; other files are about the dataset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leicos_jobs.formats import lerobot_layout as layout

FOLDER = Path("meta/leicos")
KEY = "episode_index"


def read_episode_lines(root: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """File name -> episode -> its line; empty for a dataset that leicos did not make. Raises InputError."""
    files: dict[str, dict[int, dict[str, Any]]] = {}
    for path in sorted((root / FOLDER).glob("*.jsonl")):
        lines = layout.read_jsonl(path) if _is_json(path) else []
        if by_episode := {int(line[KEY]): line for line in lines if _belongs(line)}:
            files[path.name] = by_episode
    return files


def _is_json(path: Path) -> bool:
    """By its first line: images.jsonl holds no JSON at all."""
    with path.open("rb") as stream:
        return stream.readline().lstrip().startswith(b"{")


def _belongs(line: Any) -> bool:
    return isinstance(line, dict) and isinstance(line.get(KEY), int)
