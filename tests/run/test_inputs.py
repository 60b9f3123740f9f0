"""What a run names outside itself enters by its content: what changed under its name is refused, and amended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.leisaac import DemoSpec, write_recording
from helpers.s3 import S3Server

from leicos_jobs.cli.main import cli
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import episodes, inputs, layout
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.results import Results
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.stages.convert import convert
from leicos_jobs.stages.plan import plan
from leicos_jobs.stages.start import start
from leicos_jobs.store import open_store


def configuration(source: str, **more: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "source": {"files": [source], "task": "Lift."},
            "plan": {"samples": 4},
            "generate": {"backend": "echo", "frames": 9, "width": 64, "height": 48},
            **more,
        }
    )


def record(path: Path, demos: int = 3, first: int = 0) -> Path:
    specs = [DemoSpec(rows=60, number=first + index) for index in range(demos)]
    return write_recording(path, specs)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return record(tmp_path / "demos.hdf5")


@pytest.fixture
def run(recording: Path, tmp_path: Path) -> Run:
    return create_run(str(tmp_path / "run"), configuration(str(recording)))


def test_a_run_notes_what_its_recordings_hold(run: Run, recording: Path) -> None:
    (fingerprint,) = run.inputs.values()
    assert fingerprint == inputs.of_file(str(recording), run.store)
    assert fingerprint.startswith("sha256:")
    assert dict(open_run(run.store.uri).inputs) == dict(run.inputs)


def test_start_refuses_a_recording_that_changed_and_amend_goes_on(run: Run, recording: Path, tmp_path: Path) -> None:
    text = tmp_path / "lift.yaml"
    text.write_text(run.config.model_dump_json())
    start(run.store.uri, str(text))
    before = Results(run).key("convert")
    record(recording, first=50)
    for again in (str(text), ""):
        with pytest.raises(InputError, match=r"demos\.hdf5.*has changed") as caught:
            start(run.store.uri, again)
        assert "--amend" in str(caught.value.fix)
    amended = start(run.store.uri, "", amend=True)
    assert Results(amended).key("convert") != before
    assert [key for key in run.store.list("run-") if key.endswith(".json")], "the former run.json stays"
    start(run.store.uri, str(text))


def test_an_amendment_reads_every_recording_once(
    run: Run, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(run)
    record(recording, first=50)
    read, of_file = [], inputs.of_file
    monkeypatch.setattr(inputs, "of_file", lambda name, store: read.append(name) or of_file(name, store))
    start(run.store.uri, "", amend=True)
    assert read == [str(recording)]


def test_convert_refuses_a_recording_that_changed_and_commits_nothing(run: Run, recording: Path) -> None:
    record(recording, first=50)
    with pytest.raises(InputError, match=r"demos\.hdf5 has changed") as caught:
        convert(run)
    assert "--amend" in str(caught.value.fix)
    assert Results(run).current("convert") is None
    assert not list(run.store.list("dataset/"))


def test_plan_refuses_a_demo_that_changed_since_it_was_converted(run: Run, recording: Path) -> None:
    convert(run)
    record(recording, first=50)
    with pytest.raises(InputError, match="is not the demo that was converted") as caught:
        plan(run)
    assert "--amend" in str(caught.value.fix)
    assert Results(run).current("plan") is None


def test_plan_refuses_images_that_changed_under_the_same_tables(run: Run, recording: Path) -> None:
    import h5py

    convert(run)
    with h5py.File(recording, "r+") as file:
        for demo in file["data"].values():
            demo["obs/front"][:] = 255 - demo["obs/front"][:]
    with pytest.raises(InputError, match=r"images of demo_\d are not those that were converted"):
        plan(run)


def test_an_amended_recording_is_converted_beside_the_old_dataset(run: Run, recording: Path) -> None:
    old = convert(run)
    record(recording, first=50)
    amended = create_run(run.store.uri, run.config, amend=True)
    new = convert(amended)
    assert new.folder != old.folder
    assert {item.demo_sha256 for item in episodes.read(amended)}.isdisjoint(
        item.demo_sha256 for item in episodes.read(run)
    )
    record(recording)
    assert convert(create_run(run.store.uri, run.config, amend=True)) == old


def test_a_moved_and_renamed_recording_gives_the_same_dataset_and_plan(run: Run, recording: Path) -> None:
    dataset, samples = convert(run), plan(run)
    moved = recording.rename(recording.with_name("renamed.hdf5"))
    other = create_run(run.store.uri, configuration(str(moved)), amend=True)
    assert convert(other) == dataset
    assert plan(other) == samples


def test_packing_a_recording_again_changes_no_sample(run: Run, recording: Path) -> None:
    """Other bytes, the same demos: the dataset is made again and equals the former one, so the plan stands."""
    dataset, samples = convert(run), plan(run)
    write_recording(recording, [DemoSpec(rows=60, number=index, compression="gzip") for index in range(3)])
    other = create_run(run.store.uri, run.config, amend=True)
    assert inputs.fingerprints(run.config, run.store) != dict(run.inputs)
    assert convert(other).key != dataset.key
    assert convert(other).digest() == dataset.digest()
    assert plan(other) == samples


@pytest.mark.parametrize("name", ["gone.hdf5", "x" * 5000, "run:source/gone.hdf5", "run:../escape.hdf5"])
def test_a_recording_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="source file"):
        create_run(str(tmp_path / "run"), configuration(name))
    assert not (tmp_path / "run" / layout.RUN).exists()


def test_an_object_that_is_not_there_is_named(s3_environment: S3Server, tmp_path: Path) -> None:
    uri = f"s3://{s3_environment.bucket}/gone/demo #1.hdf5"
    with pytest.raises(InputError, match=r"source file s3://.*/gone/demo #1\.hdf5 does not exist"):
        create_run(str(tmp_path / "run"), configuration(uri))


@pytest.mark.parametrize("part", ["generate", "idm"])
def test_a_checkpoint_enters_by_what_it_holds(recording: Path, tmp_path: Path, part: str) -> None:
    model = tmp_path / "model"
    (model / "held_out").mkdir(parents=True)
    (model / "weights.bin").write_bytes(b"one")
    section = {"generate": "echo", "idm": "compact"}[part]
    config = configuration(str(recording))
    config = config.model_copy(
        update={part: getattr(config, part).model_copy(update={"backend": section, "checkpoint": str(model)})}
    )
    uri = str(tmp_path / "run")
    create_run(uri, config)
    (model / "held_out" / "labels.parquet").write_bytes(b"labels of the held-out demos are not part of it")
    create_run(uri, config)
    (model / "weights.bin").write_bytes(b"two")
    os.utime(model / "weights.bin", (1, 1))
    with pytest.raises(InputError, match=r"model: its content has changed"):
        create_run(uri, config)
    create_run(uri, config, amend=True)


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "pipe"])
def test_a_checkpoint_that_is_no_folder_of_files_is_refused_by_name(recording: Path, tmp_path: Path, kind: str) -> None:
    model = tmp_path / "model"
    if kind == "empty":
        model.mkdir()
    elif kind == "file":
        model.write_bytes(b"weights")
    elif kind == "pipe":
        model.mkdir()
        os.mkfifo(model / "weights.bin")
    config = configuration(str(recording), idm={"backend": "compact", "checkpoint": str(model)})
    with pytest.raises(InputError, match="model"):
        create_run(str(tmp_path / "run"), config)


def test_an_object_that_changed_under_its_name_is_refused(
    s3_environment: S3Server, recording: Path, tmp_path: Path
) -> None:
    place = open_store(f"s3://{s3_environment.bucket}/inputs-{os.getpid()}")
    place.upload("demos.hdf5", recording)
    run = create_run(str(tmp_path / "run"), configuration(f"{place.uri}/demos.hdf5"))
    convert(run)
    place.upload("demos.hdf5", record(tmp_path / "other.hdf5", first=50))
    for act in (lambda: start(run.store.uri, ""), lambda: plan(run)):
        with pytest.raises(InputError, match="has changed since the run was started"):
            act()
    amended = start(run.store.uri, "", amend=True)
    convert(amended)
    assert plan(amended).facts["samples"] == 4


# --- runs of before --------------------------------------------------------------------------------------------------


def old(run: Run) -> None:
    """run.json as leicos 0.1 wrote it."""
    config = run.config.model_dump(mode="json")
    run.store.put(layout.RUN, json.dumps({"config": config, "leicos": "0.1.0"}, indent=2).encode())


READERS: dict[str, Callable[[Run], object]] = {
    "open": lambda run: open_run(run.store.uri),
    "create": lambda run: create_run(run.store.uri, run.config),
    "amend": lambda run: create_run(run.store.uri, run.config, amend=True),
    "start": lambda run: start(run.store.uri, ""),
}


@pytest.mark.parametrize("how", READERS)
def test_a_run_of_the_former_layout_is_refused_with_a_way_on(run: Run, how: str) -> None:
    old(run)
    before = run.store.read(layout.RUN)
    with pytest.raises(
        InputError, match=r"started by leicos 0\.1\.0, whose runs this version cannot continue"
    ) as caught:
        READERS[how](run)
    assert f"leicos config {run.store.uri}" in str(caught.value.fix)
    assert run.store.read(layout.RUN) == before


def test_the_way_on_works(run: Run, tmp_path: Path) -> None:
    """`leicos config OLD_RUN` prints the configuration, and a new run starts with it."""
    old(run)
    told = CliRunner().invoke(cli, ["config", run.store.uri])
    assert told.exit_code == 0, told.output
    path = tmp_path / "again.yaml"
    path.write_text(told.output)
    assert start(str(tmp_path / "new"), str(path)).config == run.config


@pytest.mark.parametrize("content", ["[1]", '{"format": 2}', "{}", '{"a"'])
def test_a_damaged_run_file_is_called_that_and_not_old(run: Run, content: str) -> None:
    run.store.put(layout.RUN, content.encode())
    with pytest.raises(DamageError, match=r"run\.json is damaged"):
        open_run(run.store.uri)
    with pytest.raises(InputError, match=r"run\.json"):
        create_run(run.store.uri, run.config, amend=True)


def test_an_edited_run_file_is_damage(run: Run) -> None:
    content = json.loads(run.store.read(layout.RUN))
    content["config"]["plan"]["samples"] = 5
    run.store.put(layout.RUN, json.dumps(content).encode())
    with pytest.raises(DamageError, match="does not match its own digest"):
        open_run(run.store.uri)
