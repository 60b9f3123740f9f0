"""`leicos robot`: what it writes of a dataset or a recording can be checked and used as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.cli.robots import robot
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import embodiment


def run(*arguments: str) -> str:
    result = CliRunner().invoke(robot, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_recordings_robot_converts_that_recording(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "odd.hdf5", [DemoSpec(width=7), DemoSpec(width=7)])
    mine = tmp_path / "mine.yaml"
    run("from", str(path), "--out", str(mine))
    assert "Guessed" in mine.read_text()
    found = embodiment(str(mine))
    assert (found.action.width, found.state.width, found.cameras) == (7, 6, ("front",))
    options = ConvertOptions(found, "Lift.", control_hz=60, workers=1)
    assert convert([path], tmp_path / "dataset", options).episodes == 2
    again = tmp_path / "again.yaml"
    run("from", str(tmp_path / "dataset"), "--out", str(again))
    read = embodiment(str(again))
    assert read.action.feature_names == found.action.feature_names
    assert read.state.feature_names == found.state.feature_names


def test_a_shipped_robot_is_shown_as_a_table() -> None:
    text = run("check", "lekiwi")
    assert "action 9, state 6 numbers" in text
    assert len(text.splitlines()) == 3 + 9 + 1


def test_what_is_no_source_of_a_robot_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or dataset"):
        run("from", str(tmp_path / "nothing"))
    empty = tmp_path / "a.yaml"
    empty.write_text("name: mine")
    with pytest.raises(InputError, match="joints: Field required"):
        run("check", str(empty))


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path, out = write_recording(tmp_path / "a.hdf5", [DemoSpec()]), tmp_path / "mine.yaml"
    out.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        run("from", str(path), "--out", str(out))
    assert out.read_text() == "mine"
