"""Everything that a run keeps of one sample, for its page and for its recording."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core import stages
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.formats.lerobot_v21 import data_file
from leicos_jobs.judge.truth import read_truth
from leicos_jobs.run import episodes, failures, layout, starts
from leicos_jobs.run.chain import State, walk
from leicos_jobs.run.commits import Record
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.failures import Failure
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample
from leicos_jobs.run.starts import Start
from leicos_jobs.work.real_demos import read_actions

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Lineage:
    """records: of all stages, in order. failures: all notes of the sample. actions: `true` (where the generator knows
    it), `its demo` (from row0 on) and `labelled`, (rows, joints) motor units. first: the demo's frame at row0."""

    state: State
    episode: Episode
    start: Start | None
    records: list[Record]
    failures: list[Failure]
    first: int
    actions: dict[str, F32] = field(default_factory=dict)


def lineage(run: Run, sample: Sample) -> Lineage:
    """Read it. Raises DamageError."""
    results = Results(run)
    state = walk(run.commits, results.rules(), sample)
    episode = {item.episode_index: item for item in episodes.read(run, results)}[sample.episode]
    first, actions = episode.frame(sample.row0), dict[str, F32]()
    with tempfile.TemporaryDirectory(prefix="leicos-") as name:
        scratch = Path(name)
        if (known := read_truth(run, state, scratch)) is not None and "action" in known[0]:
            actions["true"] = known[0]["action"]
        if str(data_file(sample.episode)) in results.needed("convert").files:
            actions["its demo"] = read_actions(results, sample.episode, scratch)[first : first + sample.frames]
        if state.label is not None:
            actions["labelled"] = read_table(run.commits.fetch(state.label, scratch))[0]["action"]
    notes = [note for stage in stages.SAMPLE for note in failures.read_of(run.store, stage, sample.id)]
    records = [*state.records.values(), *_controls(run, sample)]
    return Lineage(state, episode, starts.find(run, sample.start), records, notes, first, actions)


def _controls(run: Run, sample: Sample) -> list[Record]:
    """Records of its controls, whatever they were drawn under: their key hashes the whole plan's demos."""
    stage = stages.CONTROLS.name
    keys = [
        key.rpartition("/")[2].removesuffix(".json")
        for key in run.store.list(layout.sample_record(stage, sample.id, "").removesuffix(".json"))
    ]
    return [record for key in keys if (record := run.commits.get(stage, sample.id, key)) is not None]
