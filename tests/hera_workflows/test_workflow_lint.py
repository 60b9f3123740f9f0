"""Every rule of the lint, each turned red by one change to a manifest that is right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hera_workflows import render
from hera_workflows.lint import check
from leicos_jobs.core.errors import InputError

Manifests = list[dict[str, Any]]


def template(manifests: Manifests, name: str) -> Any:
    return next(found for each in manifests for found in each["spec"]["templates"] if found["name"] == name)


def task(manifests: Manifests, dag: str, name: str) -> Any:
    return next(found for found in template(manifests, dag)["dag"]["tasks"] if found["name"] == name)


def pipeline(manifests: Manifests) -> Any:
    return next(each for each in manifests if each["metadata"]["name"] == "leicos-pipeline")


def pipeline_task(manifests: Manifests, name: str) -> Any:
    return next(found for found in pipeline(manifests)["spec"]["templates"][0]["dag"]["tasks"] if found["name"] == name)


BROKEN: list[tuple[str, Callable[[Manifests], object], str]] = [
    ("template", lambda m: task(m, "round", "next").update(template="rond"), "rond of leicos-generate, which is not"),
    (
        "templateRef",
        lambda m: pipeline_task(m, "plan")["templateRef"].update(name="leicos-plan"),
        "plan of leicos-plan, which is not",
    ),
    ("onExit", lambda m: pipeline(m)["spec"].update(onExit="bye"), "template bye of leicos-pipeline"),
    (
        "unknown argument",
        lambda m: task(m, "worker", "gate")["arguments"]["parameters"].append({"name": "extra", "value": "1"}),
        "arguments.extra: gate has no such input",
    ),
    (
        "missing argument",
        lambda m: task(m, "worker", "gate")["arguments"]["parameters"].pop(),
        "arguments.worker: is required by gate",
    ),
    (
        "input",
        lambda m: template(m, "label")["container"]["args"].append("{{inputs.parameters.sahrd}}"),
        "{{inputs.parameters.sahrd}} is not defined here",
    ),
    (
        "workflow parameter",
        lambda m: template(m, "generate")["container"]["args"].append("{{workflow.parameters.max-rounds}}x{{item}}"),
        "{{item}} is not defined here",
    ),
    (
        "workflow parameter that only one caller has",
        lambda m: template(m, "curate")["container"]["args"].append("{{workflow.parameters.config}}"),
        "{{workflow.parameters.config}} is not defined here",
    ),
    (
        "retries without retry",
        lambda m: template(m, "plan").pop("retryStrategy"),
        "{{retries}} is not defined here",
    ),
    (
        "output of a task that is not waited for",
        lambda m: pipeline_task(m, "replay").update(depends="plan"),
        "{{tasks.fan-in.outputs.parameters.replay-workers}} is not defined here",
    ),
    (
        "expression",
        lambda m: task(m, "round", "next").update(when="{{=asInt(inputs.parameters.rounds)}} > 1"),
        "{{inputs.parameters.rounds}} is not defined here",
    ),
    (
        "depends on nothing",
        lambda m: pipeline_task(m, "report").update(depends="asemble"),
        "asemble is not a task of this DAG",
    ),
    (
        "status",
        lambda m: pipeline_task(m, "report").update(depends="assemble.Done"),
        "assemble.Done (fix: use one of Succeeded",
    ),
    (
        "items",
        lambda m: pipeline_task(m, "report").update(depends="assemble.AnySucceeded"),
        "assemble has no items",
    ),
    ("circle", lambda m: pipeline_task(m, "start").update(depends="report"), "waits for itself"),
    (
        "empty list",
        lambda m: task(m, "round", "account").update(depends="plan-round && (worker.Succeeded || worker.Failed)"),
        "is Skipped when its list is empty",
    ),
    ("command", lambda m: template(m, "plan")["container"].pop("command"), "no command"),
    ("image", lambda m: template(m, "plan")["container"].pop("image"), "no image"),
    (
        "requests",
        lambda m: template(m, "plan")["container"]["resources"]["requests"].pop("cpu"),
        "no resources.requests.cpu",
    ),
    ("limits", lambda m: template(m, "plan")["container"]["resources"].pop("limits"), "no resources.limits.memory"),
    (
        "output path",
        lambda m: template(m, "account")["outputs"]["parameters"][0]["valueFrom"].update(path="/tmp/missing"),
        "is read from '/tmp/missing'",
    ),
    (
        "output default",
        lambda m: template(m, "account")["outputs"]["parameters"][0]["valueFrom"].pop("default"),
        "output missing has no default",
    ),
    (
        "pool label",
        lambda m: template(m, "plan")["metadata"]["labels"].update({"leicos.dev/pool": "gpu"}),
        "label leicos.dev/pool is 'gpu'",
    ),
    (
        "unpooled GPU",
        lambda m: template(m, "plan")["container"]["resources"]["limits"].update({"nvidia.com/gpu": 1}),
        "asks for a GPU outside a GPU pool",
    ),
    ("deadline", lambda m: template(m, "plan").pop("activeDeadlineSeconds"), "no activeDeadlineSeconds"),
    (
        "retry limit",
        lambda m: template(m, "plan")["retryStrategy"].update(limit="six"),
        "retryStrategy.limit is 'six', not a number",
    ),
    (
        "retry policy",
        lambda m: template(m, "plan")["retryStrategy"].update(retryPolicy="OnError"),
        "retryStrategy lacks",
    ),
    ("restricted", lambda m: template(m, "plan").pop("securityContext"), "would be refused"),
    (
        "scratch",
        lambda m: template(m, "plan")["container"].update(volumeMounts=[]),
        "no read-only root file system",
    ),
    ("failFast", lambda m: template(m, "round").update(failFast=True), "failFast is true"),
    ("kind", lambda m: template(m, "plan").update(dag={"tasks": []}), "is not exactly one of"),
    (
        "fan-out of a DAG of what has outputs",
        lambda m: template(m, "gate").update(outputs=template(m, "account")["outputs"]),
        "fans out gate, which has outputs",
    ),
    (
        "fan-out of what has outputs",
        lambda m: template(m, "replay").update(outputs=template(m, "account")["outputs"]),
        "fans out replay, which has outputs",
    ),
    (
        "item",
        lambda m: pipeline_task(m, "replay").update(withItems=["x" * 40]),
        "has an item of 40 characters",
    ),
    ("long name", lambda m: pipeline(m)["metadata"].update(name="leicos-" + "x" * 60), "more than 57"),
    ("form of a name", lambda m: template(m, "plan").update(name="Plan"), "'Plan' is not a DNS label"),
    ("same name", lambda m: m.append(copy.deepcopy(m[0])), "occurs 2 times"),
]


@pytest.mark.parametrize(("change", "said"), [pytest.param(*rest, id=name) for name, *rest in BROKEN])
def test_a_mistake_is_found(change: Callable[[Manifests], object], said: str) -> None:
    manifests = copy.deepcopy(render.manifests())
    change(manifests)

    problems = check(manifests)

    assert [problem for problem in problems if said in str(problem)], [str(problem) for problem in problems]
    assert all(problem.where and problem.fix for problem in problems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: template(found, "plan")["container"].update(comand=["x"]), "container.comand: unknown field"),
        (lambda found: template(found, "plan").update(actveDeadline=3), "actveDeadline: unknown field"),
        (lambda found: template(found, "plan")["retryStrategy"].update(limitt=3), "retryStrategy.limitt: unknown"),
        (lambda found: found[0]["spec"].update(entrypont="main"), "spec.entrypont: unknown field"),
        (lambda found: template(found, "main")["dag"]["tasks"][0].update(whenn="x"), "dag.tasks.0.whenn: unknown"),
        (lambda found: template(found, "plan").update(container="leicos"), "container: Input should be"),
    ],
)
def test_a_misspelt_field_is_found_without_argo(
    change: Callable[[Manifests], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEICOS_ARGO_BIN", str(tmp_path))
    manifests = copy.deepcopy(render.manifests())
    change(manifests)
    assert [problem for problem in check(manifests) if said in str(problem)], check(manifests)


def test_a_whole_number_of_gpus_is_a_quantity() -> None:
    manifests = copy.deepcopy(render.manifests())
    template(manifests, "generate")["container"]["resources"]["limits"]["nvidia.com/gpu"] = 1
    assert check(manifests) == []


@pytest.mark.parametrize("manifest", [{}, {"kind": "Pod", "metadata": {"name": "x"}}, {"kind": "Workflow"}])
def test_what_is_no_workflow_is_refused(manifest: dict[str, object]) -> None:
    with pytest.raises(InputError, match="a manifest is of kind"):
        check([manifest])
