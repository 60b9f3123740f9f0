"""The workflows that tests/local runs with our interpreter, run by Argo: same nodes, phases, attempts and outputs."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from leicos_jobs.local import run_workflow, shipped_manifests

from .harness import Cluster
from .harness.places import REGION, SERVICE_ACCOUNT

LOCAL = Path(__file__).parents[1] / "local"
sys.path.insert(0, str(LOCAL))
conformance_cases = importlib.import_module("conformance_cases")

pytestmark = pytest.mark.cluster

PATIENCE = 900.0
CONFIG_MAP = "conformance-config"
STUB = LOCAL / "stub_leicos.sh"


@pytest.fixture(scope="module")
def ended(cluster: Cluster, stub_image: str, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """Every case that is to be tested, after its end. All are submitted at once, which keeps the machine busy."""
    names = {}
    wanted = {item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")}
    for case in sorted(wanted & set(conformance_cases.cases())):
        workflow, *templates = conformance_cases.for_cluster(
            conformance_cases.manifests(case), stub_image, SERVICE_ACCOUNT
        )
        if templates:
            cluster.apply(*templates)
        workflow["metadata"]["generateName"] = f"{workflow['metadata'].pop('name')}-"
        names[case] = cluster.create(workflow)["metadata"]["name"]
    return {case: cluster.wait_for_workflow(name, PATIENCE) for case, name in names.items()}


@pytest.mark.parametrize("case", conformance_cases.cases())
def test_argo_and_the_interpreter_agree(case: str, ended: dict[str, dict[str, Any]]) -> None:
    assert conformance_cases.of_argo(ended[case]) == conformance_cases.expected(case)


def small(manifest: dict[str, Any], image: str) -> dict[str, Any]:
    """A shipped WorkflowTemplate as a chart would overlay it for a small cluster: other image, sizes and account."""
    manifest["spec"]["serviceAccountName"] = SERVICE_ACCOUNT
    for template in manifest["spec"]["templates"]:
        if "container" in template:
            template["container"] |= {"image": image, "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}
            template["retryStrategy"]["backoff"]["duration"] = "1s"
    return manifest


def run_of(name: str) -> str:
    """A run for each workflow: those on one run would wait for each other."""
    return f"s3://bucket/runs/{name}"


@pytest.fixture(scope="module")
def shipped(cluster: Cluster, stub_image: str) -> dict[str, dict[str, Any]]:
    """Every shipped WorkflowTemplate, submitted as a user does, after its end."""
    manifests = [small(manifest, stub_image) for manifest in shipped_manifests()]
    cluster.apply(*manifests)
    metadata = {"name": CONFIG_MAP}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"post-train": "true"}})
    names = {}
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        options = ["-p", f"run={run_of(name)}"]
        if "config" in {parameter["name"] for parameter in manifest["spec"]["arguments"]["parameters"]}:
            options += ["-p", f"config={CONFIG_MAP}"]
        names[name] = cluster.argo("submit", "--from", f"workflowtemplate/{name}", "--output", "name", *options).strip()
    return {name: cluster.wait_for_workflow(submitted, PATIENCE) for name, submitted in names.items()}


@pytest.mark.parametrize("entry", sorted(manifest["metadata"]["name"] for manifest in shipped_manifests()))
def test_shipped_workflows_do_the_same_here_and_there(
    entry: str, shipped: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    environment = {"PATH": "/usr/bin:/bin", "STUB_POST_TRAIN": "true"}
    parameters = {"run": run_of(entry)}
    result = run_workflow(
        shipped_manifests(), entry, parameters, workers=2, logs=tmp_path, command=[str(STUB)], env=environment
    )

    assert conformance_cases.of_argo(shipped[entry]) == conformance_cases.of_local(result)
    assert result.succeeded


def test_the_report_is_an_artifact_of_plain_files(cluster: Cluster, shipped: dict[str, dict[str, Any]]) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=cluster.s3_endpoint,
        aws_access_key_id=cluster.s3_access_key,
        aws_secret_access_key=cluster.s3_secret_key,
        region_name=REGION,
    )
    assert shipped["leicos-report"]["status"]["phase"] == "Succeeded"

    page = client.get_object(Bucket=cluster.bucket, Key="runs/leicos-report/argo/report/index.html")

    assert page["Body"].read() == b"<p>a report</p>\n"


def test_a_wrong_submission_is_refused_at_once(cluster: Cluster, shipped: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(Exception, match="run"):
        cluster.argo("submit", "--from", "workflowtemplate/leicos-pipeline")


def test_argo_finds_no_fault_with_what_is_installed(cluster: Cluster, shipped: dict[str, dict[str, Any]]) -> None:
    found = json.loads(cluster.kubectl("get", "workflowtemplates", "-o", "json"))["items"]
    names = {each["metadata"]["name"] for each in found}

    assert {manifest["metadata"]["name"] for manifest in shipped_manifests()} <= names
    for manifest in shipped_manifests():
        cluster.argo("template", "lint", "-", stdin=json.dumps(manifest))
