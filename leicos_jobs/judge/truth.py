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
from leicos_jobs.store import KeyMissingError
from leicos_jobs.work.artifacts import HELD_OUT
from leicos_jobs.work.whole import needed

GROUPS = ("truth", "truth_resampled", "demo", "demo_resampled", "idm_on_real", "other_demo", "shuffled")
"""Of controls: ceilings, floors, and labels without generation."""


def read_truth(run: Run, state: State, scratch: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Columns and facts that the generator knew of the very video that counts; None if it knew none."""
    if state.generate is None:
        return None
    try:
        path = run.store.fetch(layout.truth(state.sample.id, str(state.generate.sha256)), scratch)
    except KeyMissingError:
        return None
    columns, meta = read_table(path)
    if meta["video"] != state.generate.sha256:
        raise DefectError(f"truth of {state.sample.id} belongs to another video")
    return columns, meta["facts"]


def held_out_labels(run: Run, scratch: Path) -> dict[int, NDArray[np.float32]]:
    """(rows, width) float32 labels of the held-out demos' real videos, by episode index."""
    found = {}
    for key in needed(run, "train-idm").files:
        if key.startswith(f"{layout.IDM}/{HELD_OUT}/"):
            columns, meta = read_table(run.store.fetch(key, scratch))
            found[int(meta["episode"])] = columns["action"]
    return found
