"""What stands in a store was cut, or edited: whoever reads it says which object, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leicos_jobs.core.errors import InputError
from leicos_jobs.judge import times
from leicos_jobs.run import failures, layout
from leicos_jobs.run.commits import Record, StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.rounds import read_shard

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


DAMAGES = {"cut": b'{"stage": "ga', "bytes": b"\xc1\x00", "empty": b"", "another thing": b"[1, 2]"}
CASES = [
    (what, damage)
    for what, (key, _) in READS.items()
    for damage in DAMAGES
    if not (damage == "empty" and key in (layout.SAMPLES, SHARD))  # no lines are no damage
    and not (damage == "another thing" and key == TIMING)  # its content is looked at where it is used
]


@pytest.mark.parametrize(("what", "damage"), CASES)
def test_damage_is_named_with_what_to_do(run: Run, what: str, damage: str) -> None:
    key, read = READS[what]
    run.store.put(key, DAMAGES[damage])
    with pytest.raises(InputError) as caught:
        read(run)
    assert f"{run.store.uri}/{key}" in caught.value.message
    assert "damaged" in caught.value.message
    assert caught.value.fix
