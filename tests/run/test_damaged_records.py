"""What stands in a store was cut, edited or exchanged: who reads it says which object, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.whole import commit_plan, commit_whole

from leicos_jobs.core.errors import InputError
from leicos_jobs.judge import times
from leicos_jobs.run import failures, layout, starts
from leicos_jobs.run.commits import Record
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.failures import Failure
from leicos_jobs.run.measured import Timing
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.results import Results
from leicos_jobs.run.rounds import Round, read_round, write_round
from leicos_jobs.run.samples import Sample
from leicos_jobs.run.sealed import DamageError, dump
from leicos_jobs.run.starts import Start
from leicos_jobs.run.status import status

CONFIG = RunConfig.model_validate({"source": {"files": ["/none.hdf5"], "task": "Lift."}})
FOLDER = layout.round_folder("w", "00")
KNOWN = {"/none.hdf5": "sha256:" + "0" * 64}


SAMPLE = Sample(
    id="s",
    demo="demo_0",
    demo_sha256="d" * 64,
    episode=0,
    split="train",
    row0=5,
    frames=9,
    prompt="",
    seed=1,
    start="a",
)


class Case:
    """An object of a run: where it lies, who reads it, and another of its kind that someone put in its place."""

    def __init__(self, key: Callable[[Run], str], read: Callable[[Run], object], other: Callable[[Run], bytes]) -> None:
        self.key, self.read, self.other = key, read, other


def stage_key(stage: str) -> Callable[[Run], str]:
    return lambda run: layout.stage_record(stage, str(Results(run).key(stage)))


RECORD = layout.sample_record("gate", "s", "k")
FAILURE = layout.failures("gate", "s") + "x.json"
GATE = Record(stage="gate", sample="s", key="k")
FOREIGN = Record(stage="gate", sample="t", key="k")

CASES = {
    "a sample's record": Case(
        lambda _run: RECORD, lambda run: run.commits.get("gate", "s", "k"), lambda _run: dump(FOREIGN)
    ),
    "its record, when another commits": Case(
        lambda _run: RECORD, lambda run: run.commits.commit(GATE), lambda _run: dump(FOREIGN)
    ),
    "a stage's record": Case(
        stage_key("plan"),
        lambda run: Results(run).current("plan"),
        lambda run: run.store.read(stage_key("convert")(run)),
    ),
    "the plan": Case(
        lambda run: Results(run).needed("plan").path(layout.SAMPLES),
        lambda run: Results(run).samples(),
        lambda _run: b"{}\n",
    ),
    "a failure": Case(
        lambda _run: FAILURE,
        lambda run: failures.read_all(run.store, "gate"),
        lambda _run: dump(Failure(stage="gate", sample="t", key="k", kind="failed", error="x")),
    ),
    "a start": Case(
        lambda _run: layout.start("a"),
        lambda run: starts.read(run, "a"),
        lambda _run: dump(Start(identity="b", clip_sha256="0" * 64, state={})),
    ),
}
ALONE = {
    "a round": (layout.round_file(FOLDER), lambda run: read_round(run, FOLDER)),
    "the run": (layout.RUN, lambda run: open_run(run.store.uri)),
}
"""Objects of which a run has one of a kind, or whose content says nothing of their place."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = create_run(str(tmp_path / "run"), CONFIG, known=KNOWN)
    commit_plan(made, [SAMPLE])
    made.commits.commit(GATE)
    write_round(made, FOLDER, Round(workers=2, samples=("s",)))
    failures.note(made.store, Failure(stage="gate", sample="s", key="k", kind="failed", error="x"), unique="x")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"clip")
    starts.commit(made, "a", clip, {"x": [1.0]})
    return made


DAMAGES = {"cut": b'{"stage": "ga', "bytes": b"\xc1\x00", "empty": b"", "another thing": b"[1, 2]"}
ALL = {name: (case.key, case.read) for name, case in CASES.items()} | {
    name: (lambda _run, key=key: key, read) for name, (key, read) in ALONE.items()
}


def require_named(run: Run, key: str, read: Callable[[Run], object]) -> None:
    with pytest.raises(DamageError) as caught:
        read(run)
    assert isinstance(caught.value, InputError)
    assert caught.value.key == key
    assert f"{run.store.uri}/{key} is damaged" in caught.value.message
    assert caught.value.fix is not None
    assert f"leicos check {run.store.uri} --repair" in caught.value.fix


@pytest.mark.parametrize("what", ALL)
def test_what_is_whole_is_read(run: Run, what: str) -> None:
    ALL[what][1](run)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("what", ALL)
def test_damage_is_named_with_what_to_do(run: Run, what: str, damage: str) -> None:
    find, read = ALL[what]
    key = find(run)
    run.store.put(key, DAMAGES[damage])
    require_named(run, key, read)


@pytest.mark.parametrize("what", ALL)
def test_an_edited_value_is_damage_though_it_reads_well(run: Run, what: str) -> None:
    find, read = ALL[what]
    key = find(run)
    content = json.loads(run.store.read(key))
    name, value = next((name, value) for name, value in content.items() if isinstance(value, str | list))
    run.store.put(key, json.dumps(content | {name: value + ("x" if isinstance(value, str) else [7])}).encode())
    require_named(run, key, read)


@pytest.mark.parametrize("what", CASES)
def test_another_object_in_its_place_is_damage(run: Run, what: str) -> None:
    case = CASES[what]
    key, other = case.key(run), case.other(run)
    run.store.put(key, other)
    require_named(run, key, case.read)


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "exchanged"])
def test_bytes_that_are_not_the_records_are_named(run: Run, tmp_path: Path, missing: bool) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"whole")
    record = run.commits.commit(Record(stage="generate", sample="s", key="k"), path)
    key = str(record.object)
    if missing:
        run.store.delete(key)
    else:
        run.store.put(key, b"other")
    require_named(run, key, lambda run: run.commits.fetch(record, tmp_path / "scratch"))


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "exchanged"])
def test_a_file_of_a_whole_stage_that_is_not_the_records_is_named(run: Run, tmp_path: Path, missing: bool) -> None:
    record = commit_whole(run, "train-idm", {"weights/a.bin": b"a"})
    key = record.path("weights/a.bin")
    if missing:
        run.store.delete(key)
    else:
        run.store.put(key, b"b")
    require_named(run, key, lambda run: run.commits.read_file(record, "weights/a.bin"))
    require_named(run, key, lambda run: run.commits.fetch_file(record, "weights/a.bin", tmp_path / "scratch"))


def test_a_seal_survives_another_order_and_spacing_of_the_same_json(run: Run) -> None:
    content = json.loads(run.store.read(RECORD))
    run.store.put(RECORD, json.dumps(dict(reversed(content.items())), indent=4).encode())
    assert run.commits.get("gate", "s", "k") == GATE


TIMING = Timing(stage="convert", ended=5.0, seconds=2.0)


@pytest.mark.parametrize("damage", [*DAMAGES.values(), b'{"stage": "convert"}', b'{"stage": 5, "samples": "x"}'])
def test_a_damaged_timing_is_left_out_of_the_table(run: Run, damage: bytes) -> None:
    """Timings are a cache: the table lacks a line, and nothing else depends on them."""
    record = Results(run).needed("convert")
    run.store.put(layout.timing("convert", record.key), TIMING.model_dump_json().encode())
    run.store.put(layout.timing("gate", "x"), damage)
    assert list(times.counted(Results(run), [])) == [TIMING]
    run.store.put(layout.heartbeat("gate", "w"), damage)
    assert status(run).samples == 1
