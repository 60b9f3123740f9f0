"""What stands in a store was cut, or edited: whoever reads it says which object, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leicos_jobs.core.errors import InputError
from leicos_jobs.run import failures, layout
from leicos_jobs.run.commits import Record, StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.stages.reporting import times
from leicos_jobs.stages.rounds import read_shard

CONFIG = RunConfig.model_validate({"source": {"files": ["/none.hdf5"], "task": "Lift."}})
RECORD = layout.sample_record("gate", "s", "k")
STAGE = layout.stage_record("plan")
SHARD = layout.shard("w", 0, 0)
FAILURE = layout.failures("gate", "s") + "x.json"
TIMING = layout.timing("gate", "x")

READS: dict[str, tuple[str, Callable[[Run], object]]] = {
    "a sample's record": (RECORD, lambda run: run.commits.get("gate", "s", "k")),
    "its record, when another commits": (
        RECORD,
        lambda run: run.commits.commit(Record(stage="gate", sample="s", key="k")),
    ),
    "a stage's record": (STAGE, lambda run: run.commits.stage("plan")),
    "the plan": (layout.SAMPLES, lambda run: run.samples()),
    "a shard": (SHARD, lambda run: read_shard(run, "w", 0, 0)),
    "a failure": (FAILURE, lambda run: failures.read_all(run.store, "gate")),
    "a timing": (TIMING, lambda run: list(times.counted(run, []))),
    "the run": ("run.json", lambda run: open_run(run.store.uri)),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = create_run(str(tmp_path / "run"), CONFIG)
    made.commits.commit_stage(StageRecord(stage="plan", key="k"))
    return made


@pytest.mark.parametrize(
    "damage", [b'{"stage": "ga', b"\xc1\x00", b"", b"[1, 2]"], ids=["cut", "bytes", "empty", "other"]
)
@pytest.mark.parametrize("what", READS)
def test_damage_is_named_with_what_to_do(run: Run, what: str, damage: bytes) -> None:
    key, read = READS[what]
    if (damage == b"" and key in (layout.SAMPLES, SHARD)) or (damage == b"[1, 2]" and key == TIMING):
        pytest.skip("no lines are no damage, and a timing's content is checked where it is used")
    run.store.put(key, damage)
    with pytest.raises(InputError) as caught:
        read(run)
    assert f"{run.store.uri}/{key}" in caught.value.message
    assert "damaged" in caught.value.message
    assert caught.value.fix
