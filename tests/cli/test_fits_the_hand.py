"""Help in groups, --json and --quiet everywhere, completion, Ctrl-C, and a check that refuses what a start would."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.cli.main import COMMANDS, GROUPS, cli
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.core.stages import STAGES
from leicos_jobs.inspect.tutorial import steps_for
from leicos_jobs.run.config import load_config, parse_config

ROOT = Path(__file__).parents[2]
READING = ("inspect", "status", "check", "gc", "explain", "doctor", "lint", "plan")
"""Commands that say what there is. `config` is not among them: what it prints is JSON always."""
CONFIG = """
source: {files: [demos.hdf5], task: Lift the cube.}
generate: {backend: echo, width: 64, height: 48, frames: 30}
replay: {settings: {task: none}}
curate: {require_success: false}
"""


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, prog_name="leicos")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    demos = [DemoSpec(rows=80, number=n, seed=n, size=(64, 48)) for n in range(3)]
    return write_recording(tmp_path / "demos.hdf5", demos)


def test_help_tells_whose_each_command_is() -> None:
    text = invoke("--help")
    parts = re.split(r"^(\S.*):$", text, flags=re.MULTILINE)
    groups = dict(zip(parts[1::2], parts[2::2], strict=True))
    for title, commands in GROUPS.items():
        assert re.findall(r"^  ([a-z][a-z-]*)(?:  |$)", groups[title], re.MULTILINE) == list(commands)
    assert set(GROUPS["Commands of the pipeline, which its pods call"]) == set(STAGES)
    assert [name for commands in GROUPS.values() for name in commands] == list(COMMANDS)


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_speaks_to_machines(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert "as_json" in {option.name for option in command.params}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_quiet(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert sum(option.name == "quiet" for option in command.params) == 1


def test_what_machines_read_is_json(recording: Path) -> None:
    assert json.loads(invoke("explain", "75", "--json"))["disk-full"]["fix"]
    assert len(json.loads(invoke("explain", "--json"))) > 30
    assert json.loads(invoke("doctor", "--json"))["extras"]["report"] is True
    assert json.loads(invoke("robot", "check", "so101", "--json"))["name"] == "so101"
    assert json.loads(invoke("lint", "--json")) == []
    assert json.loads(invoke("inspect", str(recording), "--json"))
    tutorial = json.loads(invoke("explain", str(ROOT / "examples" / "tutorial.yaml"), "--json"))
    assert [step["title"].split()[0] for step in tutorial][:4] == ["1.1", "1.2", "2.1", "2.2"]


def test_quiet_leaves_notes_out_before_and_after_the_name(recording: Path) -> None:
    arguments = ("init", str(recording), "--task", "Lift the cube.")
    loud = CliRunner().invoke(cli, arguments)
    for quiet in (("--quiet", *arguments), (*arguments, "-q")):
        result = CliRunner().invoke(cli, quiet)
        assert (result.stdout, result.stderr) == (loud.stdout, "")
    assert loud.stderr


def test_a_shell_can_complete_commands() -> None:
    environment = os.environ | {"_LEICOS_COMPLETE": "bash_complete", "COMP_WORDS": "leicos exp", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "leicos_jobs.cli.main"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "plain,explain"


def test_config_refuses_what_start_would(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "echo.yaml"
    path.write_text(CONFIG)
    assert json.loads(invoke("config", str(path)))["source"]["files"] == [str(recording)]
    for change, said in (
        (("demos.hdf5", "gone.hdf5"), "does not exist"),
        (("demos.hdf5", "folder"), "folder"),
        (("task: Lift the cube.", "task: Lift the cube., robot: gr1"), "gr1"),
        (("task: Lift the cube.", "task: Lift the cube., robot: gone.yaml"), "gone.yaml"),
    ):
        (tmp_path / "folder").mkdir(exist_ok=True)
        path.write_text(CONFIG.replace(*change))
        refused = [CliRunner().invoke(cli, ["config", str(path)])]
        refused += [CliRunner().invoke(cli, ["start", "--run", str(tmp_path / "run"), "--config", str(path)])]
        assert [isinstance(result.exception, InputError) for result in refused] == [True, True], change
        assert str(refused[0].exception) == str(refused[1].exception)
        assert said in str(refused[0].exception)


def test_an_error_names_its_code_and_explain_knows_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "leicos_jobs.cli.main"]
    done = subprocess.run([*command, "status", "nowhere"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.INPUT
    named = re.search(r"^  code: (\S+) \(`leicos explain \1`\)$", done.stderr, re.MULTILINE)
    assert named is not None
    assert "  fix:   " in invoke("explain", named[1])
    with pytest.raises(InputError, match="neither a code nor a file"):
        cli.main(["explain", "nobody"], standalone_mode=False)


def test_ctrl_c_says_stopped_and_nothing_of_failing(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "echo.yaml"
    path.write_text(CONFIG)
    command = [sys.executable, "-m", "leicos_jobs.cli.main", "run", str(path), "--out", "run"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    assert "logs run/logs/" in said
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=120)
    assert process.returncode == ExitCode.RETRY
    assert out.startswith("leicos leicos: stopped; the same command goes on")
    assert "stopped start" in rest
    for word in ("Failed", "failed", "Traceback", "error"):
        assert word not in out + rest


def test_explain_covers_every_step_of_the_tutorial() -> None:
    """Its numbered headings, of the copy with the older ending, and of the newer ending."""
    steps = steps_for(load_config(ROOT / "examples" / "tutorial.yaml"))
    titles = [step.title.split()[0] for step in steps]
    expected = ["1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "3.1", "3.2.1", "3.2.2", "3.3", "4", "4.1", "4.2", "4.3"]
    assert sorted(set(titles), key=titles.index) == expected
    for step in steps:
        assert step.theirs
        assert step.ours
        assert step.why
    ours = {word for step in steps for line in step.ours for word in re.findall(r"leicos ([a-z][a-z-]+)", line)}
    assert ours <= set(COMMANDS)
    assert {"convert", "cosmos-dataset", "train-idm", "label", "replay", "to-leisaac", "merge"} <= ours


def test_the_tutorials_steps_follow_the_configuration() -> None:
    text = "\n".join(
        line
        for step in steps_for(parse_config(CONFIG + "idm: {backend: gr00t-dreams, settings: {steps: 7}}", "here"))
        for line in step.lines()
    )
    assert "steps: 7" in text
    assert "Lift the cube." in text


def test_every_option_has_a_help_text_in_every_group() -> None:
    for name in COMMANDS:
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        options = [option for option in command.params if isinstance(option, click.Option)]  # type: ignore[union-attr]
        assert all(option.help for option in options)
