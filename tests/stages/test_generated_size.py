"""The generator's videos must have the size that the IDM was trained on: refused before a GPU-hour is spent on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core.errors import InputError
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.stages.convert import convert as convert_run
from leicos_jobs.stages.train_idm import train_idm

SIZE = (64, 48)


def converted(tmp_path: Path, size: tuple[int, int], **idm: Any) -> Run:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=60, size=SIZE)] * 4)
    config = {
        "source": {"files": [str(source)], "task": "Lift."},
        "generate": {"backend": "echo", "frames": 9, "width": size[0], "height": size[1]},
        "idm": idm,
    }
    run = create_run(str(tmp_path / "run"), RunConfig.model_validate(config))
    convert_run(run)
    return run


def test_another_size_than_the_datasets_is_refused_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"videos of 640x480.*the dataset's 64x48") as caught:
        train_idm(converted(tmp_path, (640, 480)))
    assert "set them to 64 and 48" in str(caught.value)


def test_another_size_than_an_imported_artifacts_is_refused(tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "artifact.json").write_text(json.dumps({"geometry": [640, 480]}))
    with pytest.raises(InputError, match=r"videos of 64x48.*was trained on 640x480"):
        train_idm(converted(tmp_path, SIZE, checkpoint=str(artifact)))


def test_an_artifact_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "artifact.json").write_text("[")
    with pytest.raises(InputError, match=r"artifact\.json cannot be read"):
        train_idm(converted(tmp_path, SIZE, checkpoint=str(artifact)))
