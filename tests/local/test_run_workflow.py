"""Real processes: arguments, outputs, logs, places, progress and order."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from small_workflows import container, dag, task, workflow

from leicos_jobs.local import NodeEvent, WorkflowResult, run_workflow
from leicos_jobs.local.model import Backoff

OUTPUT = [{"name": "value", "valueFrom": {"path": "/tmp/outputs/value"}}]


def run(manifest: dict[str, Any], logs: Path, **options: Any) -> WorkflowResult:
    return run_workflow([manifest], manifest["metadata"]["name"], {}, **({"workers": 4, "logs": logs} | options))


def test_each_process_has_its_own_outputs_log_and_progress(tmp_path: Path) -> None:
    script = "echo hello {{inputs.parameters.i}}; echo 3/8 > $ARGO_PROGRESS_FILE; echo $WHERE > /tmp/outputs/value"
    each = container("each", script, inputs={"parameters": [{"name": "i"}]}, outputs={"parameters": OUTPUT})
    each["container"]["env"] = [{"name": "WHERE", "value": "/tmp/outputs"}, {"name": "HOME", "value": "/nowhere"}]
    main = dag("main", *(task(f"t{i}", "each", arguments={"i": str(i)}) for i in range(3)))

    result = run(workflow(main, each), tmp_path)

    pods = [node for node in result.nodes.values() if node.type == "Pod"]
    assert result.succeeded
    assert len({node.outputs["value"] for node in pods}) == 3
    assert all(node.outputs["value"] != "/tmp/outputs" for node in pods)
    assert {node.progress for node in pods} == {"3/8"}
    for node in pods:
        assert node.log is not None
        assert node.log.read_text() == f"hello {node.inputs['i']}\n"
        assert not Path(node.outputs["value"]).exists(), "the scratch space is gone"


def test_leicos_is_this_pythons_unless_told_otherwise(tmp_path: Path) -> None:
    leicos = {"name": "main", "container": {"image": "any", "command": ["leicos"], "args": ["--version", "x y"]}}
    show = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]

    told = run(workflow(leicos), tmp_path / "told", command=show)
    own = run(workflow(leicos), tmp_path / "own", env={"PYTHONPATH": "/nowhere", "PATH": ""})

    (node,) = told.nodes.values()
    assert node.log is not None
    assert node.log.read_text() == "['--version', 'x y']\n"
    (node,) = own.nodes.values()
    assert node.log is not None
    assert "leicos_jobs.cli.main" in node.log.read_text() or node.exit_code == 0


def test_the_environment_is_given_and_home_stays(tmp_path: Path) -> None:
    script = container("main", "echo $GIVEN $SET $HOME", outputs=None)
    script["container"]["env"] = [{"name": "SET", "value": "{{workflow.name}}"}, {"name": "HOME", "value": "/tmp"}]

    result = run(workflow(script), tmp_path, env={"GIVEN": "g", "HOME": "/here", "PATH": "/bin:/usr/bin"}, name="w")

    assert result.nodes["w"].log is not None
    assert result.nodes["w"].log.read_text() == "g w /here\n"


def test_a_command_that_does_not_exist_has_failed(tmp_path: Path) -> None:
    missing = {"name": "main", "container": {"image": "any", "command": ["/no/such/command"]}}

    result = run(workflow(missing), tmp_path)

    (node,) = result.nodes.values()
    assert (result.phase, node.exit_code) == ("Failed", 64)
    assert node.log is not None
    assert "cannot start" in node.log.read_text()


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_run_at_a_time_than_there_are_workers(workers: int, tmp_path: Path) -> None:
    running: set[str] = set()
    most = 0

    def note(event: NodeEvent) -> None:
        nonlocal most
        if event.node.type == "Pod":
            (running.add if event.node.phase == "Running" else running.discard)(event.node.name)
            most = max(most, len(running))

    main = dag("main", task("each", "sh", withItems=list(range(6))))
    result = run(workflow(main, container("sh", "sleep 0.1")), tmp_path, workers=workers, on_event=note)

    assert result.succeeded
    assert most == workers


def test_parallelism_of_workflow_and_dag_is_kept(tmp_path: Path) -> None:
    most: dict[str, int] = {}
    running: dict[str, set[str]] = {"inner": set(), "all": set()}

    def note(event: NodeEvent) -> None:
        for group, names in running.items():
            if event.node.type == "Pod" and (group == "all" or ".inner" in event.node.name):
                (names.discard if event.node.finished else names.add)(event.node.name)
                most[group] = max(most.get(group, 0), len(names))

    inner = dag("inner", task("x", "sh", withItems=[0, 1, 2]), parallelism=1)
    main = dag("main", task("each", "sh", withItems=[0, 1, 2, 3]), task("inner", "inner"))
    manifest = workflow(main, inner, container("sh", "sleep 0.05"), parallelism=3)

    assert run(manifest, tmp_path, workers=8, on_event=note).succeeded
    assert most == {"inner": 1, "all": 3}


def test_a_retry_waits_for_its_backoff(tmp_path: Path) -> None:
    retry = {"limit": 2, "backoff": {"duration": "1", "factor": 2, "cap": "1s"}}
    manifest = workflow(container("main", "exit 1", retryStrategy=retry))

    began = time.monotonic()
    result = run(manifest, tmp_path / "slow")
    slow = time.monotonic() - began
    began = time.monotonic()
    run(manifest, tmp_path / "fast", max_backoff=0)

    assert result.nodes[result.name].attempts == 3
    assert slow >= 2 > time.monotonic() - began


def test_backoff_grows_to_its_cap() -> None:
    backoff = Backoff(duration=10, factor=2, cap=60)

    assert [backoff.wait(failures) for failures in range(1, 6)] == [10, 20, 40, 60, 60]
    assert Backoff(duration=5).wait(4) == 5


def test_events_tell_the_whole_story(tmp_path: Path) -> None:
    events: list[NodeEvent] = []
    result = run(
        workflow(dag("main", task("a", "sh"), task("b", "sh", depends="a")), container("sh", "true")),
        tmp_path,
        on_event=events.append,
    )

    last = {event.node.name: event.node.phase for event in events}
    assert last == {node.name: node.phase for node in result.nodes.values()}
    story = [(event.previous, event.node.phase) for event in events if event.node.display_name == "b"]
    assert story == [(None, "Pending"), ("Pending", "Running"), ("Running", "Succeeded")]


def test_failures_are_what_failed_for_good(tmp_path: Path) -> None:
    retried = container("again", "[ {{retries}} = 1 ] || exit 1", retryStrategy={"limit": 1})
    used_up = container("never", "exit 1", retryStrategy={"limit": 1})
    main = dag("main", task("again", "again"), task("never", "never"), task("once", "sh"))

    result = run(workflow(main, retried, used_up, container("sh", "exit 3")), tmp_path)

    assert [node.display_name for node in result.failures()] == ["never", "once"]


def test_children_of_a_command_end_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    result = run(workflow(container("main", f"(sleep 1; echo late > {mark}) & exit 0")), tmp_path / "logs")

    assert result.succeeded
    time.sleep(1.3)
    assert not mark.exists()


def test_an_error_in_a_listener_leaves_nothing_behind(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def fail(event: NodeEvent) -> None:
        if event.node.phase == "Running" and event.node.type == "Pod":
            raise RuntimeError("listener")

    with pytest.raises(RuntimeError, match="listener"):
        run(workflow(container("main", f"sleep 1; echo late > {mark}")), tmp_path / "logs", on_event=fail)
    time.sleep(1.2)
    assert not mark.exists()


def test_stop_is_asked_for(tmp_path: Path) -> None:
    stop = threading.Event()
    main = dag("main", task("a", "sh"), task("b", "sh"), task("c", "sh", depends="a"))
    threading.Timer(0.3, stop.set).start()

    result = run(workflow(main, container("sh", "sleep 30"), onExit="sh"), tmp_path, workers=1, stop=stop.is_set)

    assert (result.interrupted, result.phase) == (True, "Failed")
    assert {node.message for node in result.nodes.values() if node.type == "Pod"} == {"interrupted"}
    assert not any(node.name.endswith("onExit") for node in result.nodes.values())
