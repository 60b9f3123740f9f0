"""inspect predicts what convert does, and names what is wrong with a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.core.errors import InputError
from leicos_jobs.inspect.facts import DatasetFacts, RecordingFacts, RunFacts, inspect
from leicos_jobs.run.config import RunConfig, TimeConfig
from leicos_jobs.run.opened import create_run
from leicos_jobs.stages.convert import convert as convert_run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    specs = [DemoSpec(rows=30 + index, phase=index % 2) for index in range(12)]
    specs[1] = DemoSpec(success=False)
    specs[2] = DemoSpec(success=None, cut=1)
    specs[3] = DemoSpec(width=8)
    specs[4] = DemoSpec(step_at=(15,))
    specs[5] = DemoSpec(stride=3)
    specs[6] = DemoSpec(size=(32, 24))
    specs[7] = DemoSpec(nan=("obs/joint_pos", 4, 0))
    return write_recording(tmp_path_factory.mktemp("inspect") / "a.hdf5", specs)


@pytest.fixture(scope="module")
def dataset(source: Path) -> Path:
    out = source.parent / "dataset"
    convert([source], out, ConvertOptions(embodiment=SO101, task="Lift.", control_hz=60, workers=1))
    return out


def test_the_prediction_is_what_convert_does(source: Path, dataset: Path) -> None:
    found = inspect(source, workers=1)
    assert isinstance(found, RecordingFacts)
    left = [json.loads(line) for line in (dataset / "meta/leicos/left_out.jsonl").read_text().splitlines()]
    taken, origins = (
        [json.loads(line) for line in (dataset / f"meta/leicos/{name}.jsonl").read_text().splitlines()]
        for name in ("episodes", "origins")
    )
    assert [(demo.name, demo.kind, demo.reason) for demo in found.demos if demo.kind] == [
        (entry["demo"], entry["kind"], entry["reason"]) for entry in left
    ]
    assert [(demo.name, demo.first_row, demo.stride, demo.frames) for demo in found.demos if not demo.kind] == [
        (origin["demo"], entry["first_row"], entry["stride"], entry["frames"])
        for origin, entry in zip(origins, taken, strict=True)
    ]
    assert [demo.kind for demo in found.demos[1:8]] == [
        "failed",
        "interrupted",
        "wrong-width",
        "irregular",
        "stride-differs",
        "image-size",
        "not-finite",
    ]


def test_with_several_cameras_the_prediction_is_what_convert_does(tmp_path: Path) -> None:
    both = ("front", "wrist")
    specs = [DemoSpec(rows=30, cameras=both) for _ in range(5)] + [DemoSpec(rows=30)]
    path = write_recording(tmp_path / "a.hdf5", specs)
    with h5py.File(path, "a") as file:
        wrist = [file[f"data/demo_{number}/obs/wrist"] for number in range(5)]
        wrist[1][1:] = wrist[1][:-1]  # out of step with the other camera
        wrist[2][:] = wrist[2][0]  # sees nothing move, so it agrees
    found = inspect(path, both, workers=1)
    assert isinstance(found, RecordingFacts)
    options = ConvertOptions(embodiment=SO101, task="Lift.", cameras=both, control_hz=60, workers=1)
    report = convert([path], tmp_path / "out", options)
    said = [(demo.name, demo.kind, demo.reason) for demo in found.demos if demo.kind]
    assert said == [(entry.demo, entry.kind, entry.reason) for entry in report.left_out]
    assert [(name, kind) for name, kind, _ in said] == [("demo_1", "cameras-differ"), ("demo_5", "missing-camera")]
    assert [demo.name for demo in inspect(path, workers=1).demos if demo.kind] == []


def test_what_people_and_machines_read(source: Path) -> None:
    found = inspect(str(source), workers=2)
    text = found.text()
    assert "12 demos; convert takes 5" in text
    assert "control rate not said" in text
    assert "demo_4         40 rows  success  left out: irregular" in text
    assert "lexicographic" in text
    assert json.loads(found.model_dump_json())["demos"][10]["position"] == 2


def test_files_without_anything_to_take(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(success=False), DemoSpec(success=False)], sim=(1 / 60, 1))
    with h5py.File(path, "a") as file:
        file.move("data/demo_1", "data/demo_4")
        file["data"].create_group("mask")
    found = inspect(path)
    assert isinstance(found, RecordingFacts)
    assert any("exit code 78" in problem for problem in found.problems)
    assert any("gaps" in remark for remark in found.remarks)
    assert any("mask" in remark for remark in found.remarks)
    empty = write_recording(tmp_path / "b.hdf5", [])
    assert any("no demo" in problem for problem in inspect(empty).problems)


def test_datasets_and_runs(dataset: Path, tmp_path: Path) -> None:
    found = inspect(dataset)
    assert isinstance(found, DatasetFacts)
    assert (found.episodes, found.fps, found.tasks, found.problems) == (5, 30.0, ("Lift.",), ())
    assert "no problem found" in found.text()


def test_of_a_run_the_datasets_of_its_present_configuration_are_shown(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"

    def look() -> tuple[DatasetFacts, ...]:
        found = inspect(root)
        assert isinstance(found, RunFacts)
        return found.datasets

    config = RunConfig.model_validate({"source": {"files": [str(source)], "task": "Lift."}})
    run = create_run(str(root), config)
    assert look() == ()
    convert_run(run)
    (shown,) = look()
    assert (shown.episodes, shown.problems) == (5, ())
    (root / "dataset/latest/meta/stats.json").write_text("{}")
    assert any("stats.json: action must have exactly" in problem for problem in look()[0].problems)
    create_run(str(root), config.model_copy(update={"time": TimeConfig(drop_rows=8)}), amend=True)
    assert look() == ()


def test_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.hdf5").write_text("x")
    with pytest.raises(InputError, match="not an HDF5"):
        inspect(tmp_path / "x.hdf5")
    for target in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="no such file or dataset"):
            inspect(target)
