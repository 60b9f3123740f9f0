"""What a user sees when something is wrong: one message that names the thing and the fix, and the right exit code."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from helpers.command_line import leicos

from leicos_jobs.cli.main import COMMANDS
from leicos_jobs.core.errors import ExitCode


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    from click.testing import CliRunner

    from leicos_jobs.cli.main import cli

    result = CliRunner().invoke(cli, [name, "--help"], prog_name="leicos")
    assert result.exit_code == 0
    assert f"leicos {name}" in result.output.split("Example", 1)[1]
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert all(item.help for item in command.params if isinstance(item, click.Option)), name  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "no-such.yaml"), "no-such.yaml"),
        (("run",), "nothing to run"),
        (("convert", "--run", "nowhere"), "not a run"),
        (("convert",), "--run"),
        (("no-such-command",), "no-such-command"),
        (("inspect", "no-such.hdf5"), "no-such.hdf5"),
        (("status", "nowhere"), "not a run"),
        (("start", "--run", "r", "--config", "{source: {files: [a], task: t}, idm: {backend: none}}"), "compact"),
    ],
)
def test_wrong_input_is_exit_78_with_a_message(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = leicos(*arguments, cwd=tmp_path)
    assert done.returncode == ExitCode.INPUT, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "nowhere").exists()
