"""Objects that no record counts."""

from __future__ import annotations

from collections.abc import Iterator

from leicos_jobs.core import stages
from leicos_jobs.run import layout
from leicos_jobs.run.opened import Run
from leicos_jobs.run.states import read_states


def orphans(run: Run) -> Iterator[str]:
    """Keys under the per-sample stages and truth/ that the plan's current records do not name."""
    wanted: set[str] = set()
    for state in read_states(run, run.samples()):
        for stage in stages.SAMPLE:
            record = getattr(state, stage)
            if record is not None:
                wanted.add(layout.sample_record(stage, state.sample.id, record.key))
                wanted |= {record.object} if record.object else set()
        if state.generate is not None:
            wanted.add(layout.truth(state.sample.id, str(state.generate.sha256)))
    for prefix in (*stages.SAMPLE, "truth"):
        for key in run.store.list(f"{prefix}/"):
            if key not in wanted:
                yield key
