"""What stages take of the run's own dataset of real demos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.run.results import Results


def read_actions(results: Results, index: int, scratch: Path) -> NDArray[np.float32]:
    """(frames, width) float32 recorded actions of an episode, in motor units. Raises InputError, DamageError."""
    import pyarrow.parquet as pq  # heavy: a worker with nothing to do can spare it

    from leicos_jobs.formats import lerobot_layout
    from leicos_jobs.formats.lerobot_v21 import data_file

    name, run = data_file(index), results.run
    table = pq.read_table(run.commits.fetch_file(results.needed("convert"), name, scratch))
    return lerobot_layout.vectors(table.column(lerobot_layout.ACTION), run.robot.action.width, name)
