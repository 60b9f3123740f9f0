"""What labels are compared with: a generator's truth, and labels of real videos whose actions are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.run import layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, chosen
from leicos_jobs.work.artifacts import HELD_OUT

F32 = NDArray[np.float32]

SAMPLE_GROUPS = ("truth", "truth_resampled", "other_demo", "shuffled")
"""Controls of samples: ceilings and floors."""
DEMO_GROUPS = ("demo", "demo_resampled", "idm_on_real")
"""Controls of demos: ceilings, and labels without generation."""


def read_truth(run: Run, state: State, scratch: Path) -> tuple[dict[str, F32], dict[str, Any]] | None:
    """Columns and facts that the generator knew of the very video that counts; None if it knew none."""
    video = state.generate
    if video is None or "truth" not in video.facts:
        return None
    digest = str(video.facts["truth"])
    key = layout.truth(state.sample.id, str(video.sha256), digest)
    columns, meta = read_table(run.commits.fetch_object(key, digest, scratch))
    if meta["video"] != video.sha256:
        raise DefectError(f"truth of {state.sample.id} belongs to another video")
    return columns, meta["facts"]


def held_out_labels(results: Results, scratch: Path) -> dict[int, F32]:
    """(rows, width) float32 labels of the held-out demos' real videos, by episode index."""
    record, labels = results.needed("train-idm"), {}
    for name in chosen(record, f"{HELD_OUT}/"):
        columns, meta = read_table(results.run.commits.fetch_file(record, name, scratch))
        labels[int(meta["episode"])] = columns["action"]
    return labels
