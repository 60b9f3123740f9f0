"""A program that is not ours: what reaches it, what it says, and that it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leicos_jobs.core.programs import Program, clean_environment

MARKER = "SAY "


def start(code: str, folder: Path) -> Program:
    return Program([sys.executable, "-c", code], cwd=folder, env=clean_environment(), marker=MARKER)


def test_messages_are_told_apart_from_output_and_come_in_the_callers_thread(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = start("for n in range(3): print('word', n); print(); print('SAY', n)", tmp_path)
    threads = set()
    said = []
    for message in program.messages():
        threads.add(threading.current_thread())
        said.append(message)
    assert said == ["0", "1", "2"]
    assert threads == {threading.current_thread()}
    assert program.tail().splitlines() == ["word 0", "word 1", "word 2"]
    assert capfd.readouterr().err.splitlines() == ["    | word 0", "    | word 1", "    | word 2"]
    assert program.kill() == 0


def test_messages_end_with_the_program_though_what_it_started_holds_its_output(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('SAY bye', flush=True); sys.exit(3)"
    program = start(code, tmp_path)
    assert list(program.messages()) == ["bye"]
    assert program.kill() == 3


def test_what_makes_a_program_think_it_belongs_to_a_group_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "PYTHONPATH"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", "/models")
    environment = clean_environment({"PYTHONPATH": "theirs"})
    assert environment["PYTHONPATH"] == "theirs"
    assert environment["HF_HOME"] == "/models"
    assert not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID"} & environment.keys()


@pytest.mark.parametrize(("parent", "status"), [("os.getppid()", 0), ("os.getppid() + 1", 1)])
def test_a_process_whose_parent_has_died_already_ends_at_once(parent: str, status: int) -> None:
    """Whatever the parent's number is: in a container it may well be 1."""
    code = f"import os; from leicos_jobs.core.programs import die_with; die_with({parent})"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == status
