"""Conversions for tests, and how what came out is read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.convert.dataset import ConvertOptions, ConvertReport, convert

TASK = "Lift the red cube up."
HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE)))}
"""For scripts that import this module."""


def run(sources: list[Path], out: Path, **changes: Any) -> ConvertReport:
    given = {"control_hz": 60.0, "workers": 1} | changes
    return convert(sources, out, ConvertOptions(embodiment=SO101, task=TASK, **given))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def parquet(out: Path, episode: int) -> pd.DataFrame:
    return pd.read_parquet(out / f"data/chunk-000/episode_{episode:06d}.parquet")


def video(out: Path, episode: int, camera: str = "front") -> Path:
    return out / f"videos/chunk-000/observation.images.{camera}/episode_{episode:06d}.mp4"


def tree(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
