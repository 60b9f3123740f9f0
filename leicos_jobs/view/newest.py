"""Results of stages done as a whole, without reading every sample: a page must be there at once.

The keys of curate, assemble and report hash the records of all samples. So a page shows the newest record of those,
which is the run's own unless its configuration was amended since; of the other stages it shows the one that counts.
"""

from __future__ import annotations

from leicos_jobs.core import stages
from leicos_jobs.run import layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.measured import read_timing
from leicos_jobs.run.results import Results

OF_SAMPLES = (stages.CURATE.name, stages.ASSEMBLE.name, stages.REPORT.name)
"""Stages whose keys hash all samples' records."""


def newest(results: Results, stage: str) -> StageRecord | None:
    """The record of a stage that was made last, or that counts; None if there is none. Raises DamageError."""
    if stage not in OF_SAMPLES:
        return results.current(stage)
    run = results.run
    folder = layout.stage_record(stage, "").removesuffix(".json")
    keys = [name.removeprefix(folder).removesuffix(".json") for name in run.store.list(folder)]
    timings = {key: read_timing(run.store, layout.timing(stage, key)) for key in keys}
    ended = {key: item.ended or 0.0 if item is not None else 0.0 for key, item in timings.items()}
    return run.commits.whole(stage, max(keys, key=lambda key: ended[key])) if keys else None
