"""The harness itself: a workflow with all the mechanics that leicos builds on runs to its end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest

from .harness import Cluster, HarnessError

pytestmark = pytest.mark.cluster

_DOCKERFILE = """
ARG BASE
FROM ${BASE}
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir iniconfig
ENV PATH=/opt/venv/bin:${PATH}
"""


@pytest.fixture(scope="module")
def image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose build has to reach the package index from within."""
    context = tmp_path_factory.mktemp("image")
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(_DOCKERFILE)
    return cluster.build_image(context, dockerfile, "localhost/leicos-smoke:1", {"BASE": cluster.base_image()})


@pytest.fixture(scope="module")
def finished(cluster: Cluster, image: str) -> dict[str, Any]:
    """The rounds workflow after its end."""
    name = cluster.submit(Path(__file__).with_name("rounds.yaml"), "-p", f"image={image}")
    return cluster.wait_for_workflow(name)


def test_rounds_go_on_until_nothing_is_missing(finished: dict[str, Any]) -> None:
    phases = Counter((node["templateName"], node["phase"]) for node in _nodes(finished, "Pod"))

    assert finished["status"]["phase"] == "Succeeded"
    assert phases["plan", "Succeeded"] == 3
    assert phases["account", "Succeeded"] == 3
    assert phases["label", "Succeeded"] == 4, "a label pod follows each shard, the failed one's too"
    assert phases["bye", "Succeeded"] == 1
    skipped = [node["displayName"] for node in _nodes(finished, "Skipped")]
    assert sorted(skipped) == ["next", "shard"], "the third round's list is empty, and no fourth follows"


def test_a_shard_is_tried_again_after_75_and_not_after_70(finished: dict[str, Any]) -> None:
    tries = {
        tuple(child.get("outputs", {}).get("exitCode") for child in _children(finished, node))
        for node in _nodes(finished, "Retry")
        if node["templateName"] == "generate"
    }

    assert tries == {("0",), ("70",), ("75", "0")}


def test_an_artifact_goes_through_the_bucket(cluster: Cluster, finished: dict[str, Any]) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=cluster.s3_endpoint,
        aws_access_key_id=cluster.s3_access_key,
        aws_secret_access_key=cluster.s3_secret_key,
        region_name="us-east-1",
    )
    key = f"smoke/{finished['metadata']['name']}"

    assert s3.get_object(Bucket=cluster.bucket, Key=key)["Body"].read() == b"42\n"
    read = [node["phase"] for node in _nodes(finished, "Pod") if node["templateName"] == "read"]
    assert read == ["Succeeded"], "the pod that got it as its input compared it too"


def test_a_pod_that_is_not_restricted_is_refused(cluster: Cluster, image: str) -> None:
    with pytest.raises(HarnessError, match="violates PodSecurity"):
        cluster.kubectl("run", "careless", f"--image={image}", "--image-pull-policy=Never")


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("create", "workflowtaskresults.argoproj.io", True),
        ("patch", "workflowtaskresults.argoproj.io", True),
        ("get", "workflowtaskresults.argoproj.io", False),
        ("get", "secrets", False),
        ("create", "pods", False),
        ("patch", "workflows.argoproj.io", False),
    ],
)
def test_a_workflow_pod_may_report_its_result_and_nothing_else(
    cluster: Cluster, verb: str, resource: str, allowed: bool
) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{cluster.namespace}:wf",
            "resourceAttributes": {
                "namespace": cluster.namespace,
                "verb": verb,
                "resource": resource.partition(".")[0],
                "group": resource.partition(".")[2],
            },
        },
    }

    assert cluster.create(review)["status"]["allowed"] is allowed


def _nodes(workflow: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node for node in workflow["status"]["nodes"].values() if node["type"] == kind]


def _children(workflow: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    """A retry node's tries, in order."""
    return [workflow["status"]["nodes"][child] for child in node["children"]]
