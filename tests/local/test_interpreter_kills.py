"""What happens to the processes when the runner or a command is told to stop, or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_workflows import container, dag, task, workflow

from leicos_jobs.local import run_workflow

RUNNER = """
import json, sys
from pathlib import Path
from leicos_jobs.core import signals
from leicos_jobs.local import run_workflow
signals.install()
manifest, logs, grace = json.loads(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
result = run_workflow([manifest], "small", {}, workers=4, logs=logs, grace=grace)
print(json.dumps([result.phase, result.interrupted, sorted(node.phase for node in result.nodes.values())]))
"""


def start(
    manifest: dict[str, object], logs: Path, grace: float = 10, scratch: Path | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, json.dumps(manifest), str(logs), str(grace)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ({"TMPDIR": str(scratch)} if scratch else {}),
    )


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


def test_when_the_runner_is_killed_its_commands_and_their_children_die(tmp_path: Path) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = f"touch {folder}/$$; sh -c 'touch {folder}/$$; sleep 60' & wait"
    manifest = workflow(dag("main", task("a", "sh"), task("b", "sh")), container("sh", script))
    runner = start(manifest, tmp_path / "logs", scratch=scratch)
    until(lambda: len(pids(folder)) == 4)

    runner.kill()
    runner.wait()

    until(lambda: not any(alive(pid) for pid in pids(folder)))
    until(lambda: not list(scratch.iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of it exists on Linux only")
def test_when_the_runner_is_killed_together_with_the_keeper_its_commands_die(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    runner = start(workflow(container("main", f"echo $$ > {pid}; sleep 60")), tmp_path / "logs")
    until(lambda: pid.exists() and pid.read_text())
    (keeper,) = set(children(runner.pid)) - {int(pid.read_text())}

    os.kill(keeper, signal.SIGKILL)
    runner.kill()
    runner.wait()

    until(lambda: not alive(int(pid.read_text())))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_runner_lets_commands_end_in_order(number: signal.Signals, tmp_path: Path) -> None:
    ready, done = tmp_path / "ready", tmp_path / "done"
    script = f"trap 'echo tidy > {done}; exit 75' TERM; touch {ready}; while :; do sleep 0.05; done"
    runner = start(workflow(container("main", script)), tmp_path / "logs")
    until(ready.exists)

    runner.send_signal(number)

    said, _ = runner.communicate(timeout=10)
    assert json.loads(said) == ["Failed", True, ["Failed"]]
    assert done.read_text() == "tidy\n"


def test_a_command_that_does_not_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; echo $$ > {ready}; while :; do sleep 0.05; done"
    runner = start(workflow(container("main", script)), tmp_path / "logs", grace=0.5)
    until(lambda: ready.exists() and ready.read_text())

    runner.terminate()

    said, _ = runner.communicate(timeout=10)
    assert json.loads(said)[1] is True
    assert not alive(int(ready.read_text()))


def test_a_deadline_is_kept_with_grace(tmp_path: Path) -> None:
    polite = container("polite", "trap 'exit 75' TERM; while :; do sleep 0.05; done", activeDeadlineSeconds=1)
    stubborn = container("stubborn", "trap '' TERM; while :; do sleep 0.05; done", activeDeadlineSeconds=1)
    main = dag("main", task("polite", "polite"), task("stubborn", "stubborn"))

    began = time.monotonic()
    result = run_workflow([workflow(main, polite, stubborn)], "small", {}, workers=2, logs=tmp_path, grace=0.5)

    codes = {node.display_name: node.exit_code for node in result.nodes.values() if node.type == "Pod"}
    assert codes == {"polite": 75, "stubborn": 137}
    assert 1.4 < time.monotonic() - began < 8
    assert {node.message for node in result.failures()} == {
        "Pod was active on the node longer than the specified deadline"
    }


def test_a_killed_command_is_like_a_killed_pod(tmp_path: Path) -> None:
    retry = {"limit": 1, "expression": "asInt(lastRetry.exitCode) in [137]"}
    manifest = workflow(container("main", "[ {{retries}} = 1 ] || kill -9 $$", retryStrategy=retry))

    result = run_workflow([manifest], "small", {}, workers=1, logs=tmp_path)

    assert result.succeeded
    codes = [node.exit_code for node in result.nodes.values() if node.type == "Pod"]
    assert codes == [137, 0]
