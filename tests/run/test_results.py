"""Results stand under the key that a configuration demands: others lie beside them and show nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cluster_cli.handmade import INPUTS, StandInBackend, configuration, sample
from helpers.whole import commit_plan, commit_whole

from leicos_jobs.backends import registry
from leicos_jobs.core import stages
from leicos_jobs.core.errors import DefectError, InputError, RetryError
from leicos_jobs.core.stages import STAGES
from leicos_jobs.run import layout
from leicos_jobs.run.commits import Record
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.results import Results, fetch_folder, read_states
from leicos_jobs.run.rounds import Round, listed, write_round
from leicos_jobs.work.whole import whole_stage

FOLDER = layout.round_folder("w", "00")


@pytest.fixture(autouse=True)
def backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load", lambda stage, name: StandInBackend)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "run")


def amended(uri: str, **changes: Any) -> Run:
    return create_run(uri, configuration(**changes), amend=True, known=INPUTS)


def build(text: str) -> Any:
    def fill(folder: Path) -> dict[str, Any]:
        (folder / "a.txt").write_text(text)
        return {}

    return fill


def test_a_late_commit_of_an_older_configuration_does_not_show(uri: str) -> None:
    """Two workflows on one run: the older one's convert ends last."""
    old = create_run(uri, configuration(), known=INPUTS)
    late = Results(old)
    assert late.current("convert") is None
    new = amended(uri, video={"crf": 20})
    mine = whole_stage(Results(new), stages.CONVERT, build("new"))
    whole_stage(late, stages.CONVERT, build("old"))
    found = Results(open_run(uri)).needed("convert")
    assert found == mine
    assert new.commits.read_file(found, "a.txt") == b"new"
    assert Results(old).needed("convert").files != mine.files, "what the older one made is there for it"


def test_going_back_to_an_older_configuration_finds_its_results_again(uri: str) -> None:
    old = create_run(uri, configuration(), known=INPUTS)
    first = whole_stage(Results(old), stages.CONVERT, build("old"))
    assert Results(amended(uri, video={"crf": 20})).current("convert") is None
    again = Results(amended(uri))
    assert again.current("convert") == first

    def never(folder: Path) -> dict[str, Any]:
        raise AssertionError("it is done")

    assert whole_stage(again, stages.CONVERT, never) == first


def test_two_who_do_the_same_stage_get_one_record(uri: str) -> None:
    run = create_run(uri, configuration(), known=INPUTS)
    slow = Results(run)
    assert slow.current("convert") is None
    fast = whole_stage(Results(run), stages.CONVERT, build("fast"))
    assert whole_stage(slow, stages.CONVERT, build("slow")) == fast
    assert run.commits.read_file(fast, "a.txt") == b"fast"


def test_latest_leads_people_to_what_the_last_configuration_has(uri: str) -> None:
    run = create_run(uri, configuration(), known=INPUTS)
    whole_stage(Results(run), stages.CONVERT, build("old"))
    whole_stage(Results(amended(uri, video={"crf": 20})), stages.CONVERT, build("new"))
    assert (Path(uri) / "dataset/latest/a.txt").read_text() == "new"
    whole_stage(Results(amended(uri)), stages.CONVERT, build("not asked for: it is done"))
    assert (Path(uri) / "dataset/latest/a.txt").read_text() == "old"
    whole_stage(Results(amended(uri, video={"crf": 30})), stages.CONVERT, lambda _folder: {})
    assert not (Path(uri) / "dataset/latest").exists(), "the former one is not shown for a result without files"
    assert not any("latest" in key for key in run.store.list("dataset/")), "it is no object of the run"


@pytest.mark.parametrize("stage", stages.WHOLE)
def test_a_stage_whose_inputs_are_not_there_has_no_result_and_says_what_to_run(uri: str, stage: str) -> None:
    run = create_run(uri, configuration(), known=INPUTS)
    results = Results(run)
    assert results.current(stage) is None
    with pytest.raises(InputError, match=f"{stage} is not done") as caught:
        results.needed(stage)
    assert f"leicos {stage} --run {run.store.uri}" in str(caught.value.fix)
    if STAGES[stage].needs:
        assert results.key(stage) is None
        with pytest.raises(InputError, match=f"{STAGES[stage].needs[0]} is not done"):
            whole_stage(results, STAGES[stage], build(""))


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"video": {"crf": 20}}, {"convert", "cosmos-dataset", "train-idm", "plan", "curate", "assemble"}),
        ({"split": {"seed": 5}}, {"train-idm", "plan", "curate", "assemble"}),
        ({"plan": {"samples": 7}}, {"plan", "curate", "assemble"}),
        ({"plan": {"workers": 7}}, set()),
        ({"curate": {"require_success": False}}, {"curate", "assemble"}),
        ({"idm": {"backend": "compact", "seed": 3}}, {"train-idm"}),
        ({"name": "other", "webhook": "https://x.example"}, set()),
    ],
)
def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(
    uri: str, changes: dict[str, Any], stale: set[str]
) -> None:
    """Of results without content: where the content stays the same, what follows stands."""
    chain = ("convert", "cosmos-dataset", "train-idm", "plan", "curate", "assemble")
    run = create_run(uri, configuration(), known=INPUTS)
    for stage in chain:
        commit_whole(run, stage, {"samples.jsonl": b""} if stage == "plan" else {"a": stage.encode()})
    assert all(Results(run).current(stage) for stage in chain)
    other = Results(amended(uri, **changes))
    assert {stage for stage in chain if other.current(stage) is None} == stale


def test_a_result_that_comes_out_the_same_keeps_what_follows(uri: str) -> None:
    run = create_run(uri, configuration(), known=INPUTS)
    whole_stage(Results(run), stages.CONVERT, build("same"))
    plan = commit_plan(run, [sample(0)])
    other = amended(uri, video={"crf": 20})
    assert Results(other).current("plan") is None
    whole_stage(Results(other), stages.CONVERT, build("same"))
    assert Results(other).current("plan") == plan


def test_files_that_only_tell_of_origins_are_no_part_of_a_result(uri: str) -> None:
    def digest(name: str, origin: bytes) -> str:
        run = create_run(f"{uri}-{name}", configuration(), known=INPUTS)
        files = {"data": b"1", "origins": origin}
        return commit_whole(run, "convert", files, provenance=("origins",)).digest()

    assert digest("a", b"demos.hdf5") == digest("b", b"renamed.hdf5")


def test_another_idm_makes_labels_stale_and_videos_stand(uri: str) -> None:
    run = create_run(uri, configuration(), known=INPUTS)
    item = sample(0)
    commit_plan(run, [item])
    commit_whole(run, "train-idm", artifact="1" * 64)
    for stage in ("generate", "gate", "label"):
        (state,) = read_states(run, [item])
        facts = {"passed": True, "reasons": []} if stage == "gate" else {}
        run.commits.commit(Record(stage=stage, key=state.keys[stage], sample=item.id, sha256="0" * 64, facts=facts))
    assert read_states(run, [item])[0].label is not None
    other = amended(uri, idm={"backend": "compact", "seed": 3})
    (state,) = read_states(other, [item])
    assert (state.generate is not None, state.gate is not None, state.label) == (True, True, None)
    assert "label" not in state.keys, "without an IDM nothing can be labelled"
    commit_whole(other, "train-idm", artifact="2" * 64)
    (state,) = read_states(other, [item])
    assert state.pending("label")
    commit_whole(run, "train-idm", artifact="1" * 64)  # the older one again, late
    assert read_states(other, [item])[0].pending("label")


def test_the_list_of_a_plan_that_was_amended_is_refused(uri: str) -> None:
    run = create_run(uri, configuration(), known=INPUTS)
    items = [sample(0), sample(1)]
    commit_plan(run, items)
    written = write_round(run, FOLDER, Round(workers=2, samples=(items[0].id,), made=(items[1].id,)))
    assert listed(run, FOLDER, 1) == (written, {item.id: item for item in items})
    assert write_round(run, FOLDER, Round(workers=1, samples=())) == written, "a pod that is tried again keeps it"
    with pytest.raises(InputError, match="has 2 workers"):
        listed(run, FOLDER, 2)
    with pytest.raises(RetryError, match="is not there"):
        listed(run, layout.round_folder("w", "01"), 0)
    other = amended(uri, plan={"samples": 1})
    commit_plan(other, items[:1])
    with pytest.raises(InputError, match="lists 1 samples that are not in the plan"):
        listed(other, FOLDER, 0)
    assert listed(run, FOLDER, 0)[0] == written, "the older configuration still has its plan"


def test_a_folder_is_fetched_whole_or_in_part(uri: str, tmp_path: Path) -> None:
    run = create_run(uri, configuration(), known=INPUTS)
    record = commit_whole(run, "train-idm", {"weights/a": b"a", "weights/b": b"b", "held_out/x": b"x"})
    folder = fetch_folder(run, record, tmp_path / "scratch", "weights/")
    assert (folder / "weights/a").read_bytes() == b"a"
    with pytest.raises(DefectError, match="train-idm made no file"):
        record.path("weights/c")


def test_paths_are_spelled_once(uri: str) -> None:
    """The layout of a run, as docs/architecture.md tells it."""
    run = create_run(uri, configuration(), known=INPUTS)
    record = commit_whole(run, "train-idm", {"weights": b"a"})
    assert record.folder == layout.stage_folder("train-idm", record.folder.rpartition("/")[2])
    assert {key.partition("/")[0] for key in run.store.list("")} == {"run.json", "records", "idm"}
    assert run.store.size(f"records/train-idm/{record.key}.json")
