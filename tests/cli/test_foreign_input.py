"""The options by which recordings of others are taken, and their refusals, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.cli.main import cli
from leicos_jobs.core.errors import InputError
from leicos_jobs.run.config import parse_config


def leicos(*arguments: str | Path) -> str:
    """Standard output of a command; its error is raised."""
    result = CliRunner().invoke(cli, [*map(str, arguments)], prog_name="leicos", standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


@pytest.fixture
def unmarked(tmp_path: Path) -> Path:
    specs = [DemoSpec(success=None, cameras=("FrontRGB",)) for _ in range(2)]
    return write_recording(tmp_path / "a.hdf5", specs)


def test_a_recording_without_marks_is_inspected_configured_and_converted(unmarked: Path, tmp_path: Path) -> None:
    chosen = ("--camera", "FrontRGB", "--accept-unmarked")
    assert "convert takes 2" in leicos("inspect", unmarked, "--strict", *chosen)
    config = parse_config(leicos("init", unmarked, "--task", "Lift.", *chosen), "init")
    assert (config.source.camera, config.source.accept_unmarked) == ("FrontRGB", True)
    out = tmp_path / "out"
    assert "2 episodes" in leicos("to-lerobot", unmarked, "--task", "Lift.", "--out", out, "--workers", "1", *chosen)


@pytest.mark.parametrize("command", ["inspect", "init", "to-lerobot"])
def test_without_the_option_each_says_how_to_take_it(command: str, unmarked: Path, tmp_path: Path) -> None:
    more = {
        "inspect": ("--strict",),
        "init": ("--task", "Lift."),
        "to-lerobot": ("--task", "Lift.", "--out", tmp_path / "out"),
    }
    result = CliRunner().invoke(cli, [command, str(unmarked), "--camera", "FrontRGB", *map(str, more[command])])
    assert isinstance(result.exception, InputError)
    assert "--accept-unmarked" in result.output + str(result.exception)


@pytest.mark.parametrize("command", ["init", "to-lerobot"])
@pytest.mark.parametrize("task", ["  ", "Lift.\x0bPut.", "Lift.\x1b[0m"])
def test_a_task_that_cannot_be_one_is_refused_at_the_option(
    command: str, task: str, unmarked: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "out") if command == "to-lerobot" else ()
    with pytest.raises(InputError, match=r"^--task "):
        leicos(command, unmarked, "--task", task, "--camera", "FrontRGB", "--accept-unmarked", *out)
