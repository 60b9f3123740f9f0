"""A planted defect that verification refuses before the gate sees it is counted in the gate's table all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.backends.requests import GenerateResult
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.judge import score
from leicos_jobs.run import failures
from leicos_jobs.run.chain import State
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.failures import why_quarantined
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.stages.convert import convert as convert_run
from leicos_jobs.stages.generate import GenerateStage
from leicos_jobs.stages.plan import plan


@pytest.fixture
def run(tmp_path: Path) -> Run:
    source = write_recording(tmp_path / "demos.hdf5", [DemoSpec(rows=60) for _ in range(3)])
    config = {
        "source": {"files": [str(source)], "task": "Lift."},
        "plan": {"samples": 3},
        "generate": {"backend": "echo", "frames": 10, "width": 64, "height": 48},
    }
    made = create_run(str(tmp_path / "run"), RunConfig.model_validate(config))
    convert_run(made)
    plan(made)
    return made


def refuse(run: Run, state: State, scratch: Path, defect: str | None) -> None:
    """What the worker does with a broken video, until the sample is quarantined."""
    video = scratch / "video.mp4"
    video.write_bytes(b"no video: " + state.sample.id.encode())
    truth = {"action": np.zeros((10, 6), np.float32)}
    result = GenerateResult(state.sample.id, video, truth=truth, truth_facts={"defect": defect})
    for _ in range(run.config.rounds.quarantine_after):
        with pytest.raises(LeicosError) as caught:
            GenerateStage(run).check(state, result, scratch)
        failure = failures.Failure(
            stage="generate",
            sample=state.sample.id,
            key=state.keys["generate"],
            kind="failed",
            error=str(caught.value),
        )
        failures.note(run.store, failure)


def test_a_refused_planted_defect_is_counted(run: Run, tmp_path: Path) -> None:
    states = read_states(run, Results(run).samples())
    refuse(run, states[0], tmp_path, "truncated")
    refuse(run, states[1], tmp_path, None)
    notes = {stage: failures.read_all(run.store, stage) for stage in ("generate", "gate", "label")}
    scored = [score.Scored(state, why_quarantined(state, notes, run.config.rounds)) for state in states]
    for item in scored:
        score._read(run, item, tmp_path)
    table = score.gate_table(scored)
    assert table["planted"] == {"none": {"quarantined": 1}, "truncated": {"quarantined": 1}}
    assert table["refused_before_gate"] == 2
    assert table["judged"] == 0
