"""What the interpreter does not implement is an error that names the field; the closed list is all it ignores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from small_workflows import changed, container, dag, task, workflow

from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.local import ignored, run_workflow, shipped_manifests
from leicos_jobs.local.checks import reachable
from leicos_jobs.local.manifest import parse

SMALL = workflow(dag("main", task("a", "sh")), container("sh", "true"))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("spec.hooks", {"exit": {"template": "sh"}}, "small.spec.hooks"),
        ("spec.templateDefaults", {"timeout": "3s"}, "small.spec.templateDefaults"),
        ("spec.volumes", [], "small.spec.volumes"),
        ("spec.arguments", {"artifacts": []}, "small.spec.arguments.artifacts"),
        ("spec.templates.0.dag.target", "a", "small.spec.templates.main.dag.target"),
        ("spec.templates.0.dag.tasks.0.withSequence", {"count": 3}, "main.dag.tasks.a.withSequence"),
        ("spec.templates.0.dag.tasks.0.continueOn", {"failed": True}, "main.dag.tasks.a.continueOn"),
        ("spec.templates.0.dag.tasks.0.hooks", {}, "main.dag.tasks.a.hooks"),
        ("spec.templates.0.retryStrategy", {"limit": 1}, "small.spec.templates.main.retryStrategy"),
        ("spec.templates.1.timeout", "3s", "small.spec.templates.sh.timeout"),
        ("spec.templates.1.failFast", True, "small.spec.templates.sh.failFast"),
        ("spec.templates.1.sidecars", [], "small.spec.templates.sh.sidecars"),
        ("spec.templates.1.container.workingDir", "/app", "sh.container.workingDir"),
        ("spec.templates.1.container.env", [{"name": "A", "valueFrom": {}}], "sh.container.env.A.valueFrom"),
        ("spec.templates.1.inputs", {"artifacts": []}, "sh.inputs.artifacts"),
        ("spec.templates.1.retryStrategy.affinity", {}, "sh.retryStrategy.affinity"),
        ("spec.templates.1.outputs.parameters", [{"name": "x", "valueFrom": {"path": "/etc/x"}}], "/etc/x"),
        ("status", {}, "manifest 0.status"),
    ],
)
def test_a_field_that_is_not_implemented_is_refused(path: str, value: Any, named: str) -> None:
    with pytest.raises(InputError, match=re.escape(named)) as caught:
        parse([changed(SMALL, path, value)])

    assert caught.value.exit_code is ExitCode.INPUT
    assert caught.value.fix


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("spec", ignored.SPEC),
        ("spec.templates.1", ignored.TEMPLATE),
        ("spec.templates.1.container", ignored.CONTAINER),
        ("metadata", ignored.METADATA),
    ],
)
def test_the_closed_list_is_ignored(where: str, names: frozenset[str]) -> None:
    manifest = SMALL
    for name in names:
        manifest = changed(manifest, f"{where}.{name}", {"anything": 1})

    assert parse([manifest]) == parse([SMALL])


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec.entrypoint", "nowhere", "template nowhere of small, which is not defined"),
        ("spec.onExit", "nowhere", "template nowhere of small, which is not defined"),
        ("spec.templates.0.dag.tasks.0.template", "gone", "template gone of small, which is not defined"),
        (
            "spec.templates.0.dag.tasks.0.templateRef",
            {"name": "other", "template": "x"},
            "template x of other, which is not defined",
        ),
        ("spec.templates.0.dag.tasks.0.depends", "b", "b is not a task of this DAG"),
        ("spec.templates.0.dag.tasks.0.depends", "a", "waits for itself"),
        ("spec.templates.0.dag.tasks.0.when", "{{tasks.b.outputs.parameters.x}} > 1", "is not defined here"),
        ("spec.templates.0.dag.tasks.0.when", "{{workflow.parameters.x}} > 1", "is not defined here"),
        ("spec.templates.0.dag.tasks.0.when", "{{=inputs.parameters.x}} > 1", "is not defined here"),
        ("spec.templates.1.container.args", ["{{retries}}"], "{{retries}} is not defined here"),
        ("spec.templates.1.container.args", ["{{workflow.status}}"], "{{workflow.status}} is not defined here"),
        ("spec.templates.1.container.args", ["{{item}}"], "{{item}} is not defined here"),
        ("spec.templates.1.inputs", {"parameters": [{"name": "needed"}]}, "arguments.needed: is required"),
        (
            "spec.templates.0.dag.tasks.0.arguments",
            {"parameters": [{"name": "unknown", "value": "1"}]},
            "sh has no such input",
        ),
        ("spec.templates.1.retryStrategy", {"limit": 1, "expression": "lastRetry.x == 1"}, "not defined here"),
        ("spec.templates.1.retryStrategy", {"limit": 1, "expression": "sprig.trim(1)"}, "not implemented"),
    ],
)
def test_a_wrong_reference_is_refused_before_anything_starts(path: str, value: Any, said: str, tmp_path: Path) -> None:
    manifest = changed(SMALL, path, value)
    if path.endswith("templateRef"):
        del manifest["spec"]["templates"][0]["dag"]["tasks"][0]["template"]

    with pytest.raises(InputError, match=re.escape(said)):
        run_workflow([manifest], "small", {}, workers=1, logs=tmp_path)

    assert not list(tmp_path.iterdir())


def test_parameters_are_checked(tmp_path: Path) -> None:
    manifest = changed(SMALL, "spec.arguments", {"parameters": [{"name": "run"}]})

    with pytest.raises(InputError, match="parameter run of small has no value"):
        run_workflow([manifest], "small", {}, workers=1, logs=tmp_path)
    with pytest.raises(InputError, match="small has no parameter rum"):
        run_workflow([manifest], "small", {"rum": "x"}, workers=1, logs=tmp_path)
    with pytest.raises(InputError, match="there is no workflow large"):
        run_workflow([manifest], "large", {}, workers=1, logs=tmp_path)
    with pytest.raises(InputError, match="workers"):
        run_workflow([manifest], "small", {"run": "x"}, workers=0, logs=tmp_path)


def test_every_shipped_workflow_can_be_run_here() -> None:
    workflows = parse(shipped_manifests())

    assert set(workflows) == {
        f"leicos-{name}" for name in ("pipeline", "prepare", "train", "generate", "replay", "report")
    }
    for workflow_ in workflows.values():
        assert reachable(workflows, workflow_)
