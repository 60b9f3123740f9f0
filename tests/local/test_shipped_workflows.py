"""The six workflows that leicos ships, run here with a stand-in for the command (tests/cluster runs them by Argo)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leicos_jobs.local import WorkflowResult, run_workflow, shipped_manifests

STUB = Path(__file__).with_name("stub_leicos.sh")
BASE = {"PATH": "/usr/bin:/bin", "STUB_POST_TRAIN": "true"}


def run(entry: str, logs: Path, parameters: dict[str, str] | None = None, **env: str) -> WorkflowResult:
    given = {"run": "/tmp/no-such-run", **(parameters or {})}
    return run_workflow(
        shipped_manifests(), entry, given, workers=4, logs=logs, command=[str(STUB)], env=BASE | env, max_backoff=0.1
    )


def phases(result: WorkflowResult) -> dict[str, str]:
    """Phases by the names of the nodes, without the workflow's."""
    return {name.removeprefix(result.name).removeprefix("."): node.phase for name, node in result.nodes.items()}


def test_the_pipeline_goes_to_its_report_although_a_worker_fails(tmp_path: Path) -> None:
    result = run("leicos-pipeline", tmp_path)

    found = phases(result)
    assert result.succeeded
    assert found["rounds.worker(1:1).generate"] == "Failed"
    assert found["rounds.worker(1:1).gate"] == found["rounds.worker(1:1).label"] == "Succeeded"
    assert result.nodes[f"{result.name}.rounds.worker(2:2).generate"].attempts == 2
    assert found["rounds.next.worker(0:7)"] == "Succeeded"
    assert found["rounds.next.next"] == "Skipped"
    assert (found["post-train"], found["train-idm"]) == ("Succeeded", "Skipped")
    assert found["report"] == found["onExit"] == "Succeeded"


def test_what_the_configuration_brings_along_is_not_trained(tmp_path: Path) -> None:
    found = phases(run("leicos-pipeline", tmp_path, STUB_POST_TRAIN="false"))

    assert found["cosmos-dataset"] == found["plan"] == found["report"] == "Succeeded"
    assert found["post-train"] == found["train-idm"] == "Skipped"


def test_no_more_rounds_than_are_asked_for(tmp_path: Path) -> None:
    found = phases(run("leicos-generate", tmp_path, {"max-rounds": "1"}))

    assert found["rounds.next"] == "Skipped"
    assert found["fan-in"] == "Succeeded"


def test_videos_are_made_while_the_idm_is_trained_and_labels_follow_both(tmp_path: Path) -> None:
    """Rounds that wait for nothing but the plan; training ends after them, and others label what they could not."""
    order = tmp_path / "order"
    stub = tmp_path / "leicos"
    stub.write_text(f"""#!/bin/sh
while [ "$1" = train-idm ] && [ ! -e {tmp_path}/videos ]; do sleep 0.1; done
case "$*" in
account*"--round 1"*) touch {tmp_path}/videos ;;
esac
echo "$*" >> {order}
{STUB} "$@" || exit
for last; do :; done
case "$*" in
start*) echo true >"$last/train-idm" ;;
plan-round*"--round "[012]*) echo false >"$last/labels" ;;
plan-round*) echo '[0, 1]' >"$last/workers"; echo false >"$last/videos" ;;
esac
""")
    stub.chmod(0o755)
    result = run_workflow(
        shipped_manifests(), "leicos-pipeline", {"run": "r"}, workers=4, logs=tmp_path / "logs", command=[str(stub)],
        env=BASE, max_backoff=0.1,
    )  # fmt: skip
    found = phases(result)
    assert result.succeeded, found
    assert found["rounds.worker(0:0).generate"] == found["train-idm"] == "Succeeded"
    assert found["rounds.worker(0:0).label"] == "Skipped", "no pod for labels without an IDM"
    assert found["labels.worker(0:0).generate"] == found["labels.worker(0:0).gate"] == "Skipped"
    assert found["labels.worker(0:0).label"] == found["labels.worker(1:1).label"] == "Succeeded"
    called = [line.split()[0] for line in order.read_text().splitlines()]
    assert called.index("generate") < called.index("train-idm") < called.index("label") < called.index("fan-in")
    numbers = [line.split("--round ")[1].split()[0] for line in order.read_text().splitlines() if "plan-round" in line]
    assert numbers == ["0", "1", "3"], "lists of the second rounds lie beside those of the first"


@pytest.mark.parametrize(
    ("entry", "first", "last"),
    [
        ("leicos-prepare", "start", "cosmos-dataset"),
        ("leicos-train", "start", "post-train"),
        ("leicos-generate", "plan", "fan-in"),
        ("leicos-replay", "fan-in", "controls"),
        ("leicos-report", "curate", "report"),
    ],
)
def test_each_workflow_is_useful_alone(entry: str, first: str, last: str, tmp_path: Path) -> None:
    result = run(entry, tmp_path)

    found = phases(result)
    assert result.succeeded
    assert found[first] == found[last] == found["onExit"] == "Succeeded"


@pytest.mark.parametrize(
    ("broken", "dead", "alive"),
    [
        ("convert", ["plan", "rounds", "fan-in", "report"], ["onExit"]),
        ("plan-round", ["rounds.worker", "rounds.account"], ["fan-in", "report", "onExit"]),
        ("account", ["rounds.next"], ["fan-in", "report", "onExit"]),
        ("fan-in", ["replay", "controls", "report"], ["replay-demos", "onExit"]),
        ("label", [], ["rounds.account", "report", "onExit"]),
        ("controls", ["curate", "report"], ["replay", "replay-demos", "onExit"]),
        ("replay-demos", ["curate", "report"], ["replay", "controls", "onExit"]),
    ],
)
def test_when_a_command_fails(broken: str, dead: list[str], alive: list[str], tmp_path: Path) -> None:
    stub = tmp_path / "leicos"
    stub.write_text(f'#!/bin/sh\n[ "$1" = {broken} ] && exit 70\nexec {STUB} "$@"\n')
    stub.chmod(0o755)

    result = run_workflow(
        shipped_manifests(),
        "leicos-pipeline",
        {"run": "r"},
        workers=4,
        logs=tmp_path / "logs",
        command=[str(stub)],
        env=BASE,
        max_backoff=0.1,
    )

    found = phases(result)
    assert result.succeeded is ("report" in alive)
    assert all(found[name] == "Omitted" for name in dead), found
    assert all(found[name] == "Succeeded" for name in alive), found


def arguments_of(manifests: list[dict[str, Any]], name: str) -> list[str]:
    templates = [found for manifest in manifests for found in manifest["spec"]["templates"]]
    found: list[str] = next(each for each in templates if each["name"] == name)["container"]["args"]
    return found


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("start", {"--run", "--config", "--outputs"}),
        ("convert", {"--run"}),
        ("cosmos-dataset", {"--run"}),
        ("post-train", {"--run"}),
        ("train-idm", {"--run"}),
        ("plan", {"--run"}),
        ("plan-round", {"--run", "--workflow", "--round", "--max-workers", "--outputs"}),
        ("generate", {"--run", "--workflow", "--round", "--worker"}),
        ("gate", {"--run", "--workflow", "--round", "--worker"}),
        ("label", {"--run", "--workflow", "--round", "--worker"}),
        ("account", {"--run", "--workflow", "--round", "--outputs"}),
        ("fan-in", {"--run", "--workflow", "--max-workers", "--outputs"}),
        ("replay", {"--run", "--worker", "--workflow"}),
        ("replay-demos", {"--run"}),
        ("controls", {"--run", "--worker", "--workflow"}),
        ("curate", {"--run"}),
        ("assemble", {"--run"}),
        ("report", {"--run"}),
        ("finish", {"--run", "--status", "--workflow", "--failures"}),
    ],
)
def test_the_command_lines_are_agreed_upon(command: str, options: set[str]) -> None:
    name, *rest = arguments_of(shipped_manifests(), command)

    assert name == command
    assert set(rest[::2]) == options
