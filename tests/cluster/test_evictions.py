"""Pods that Kubernetes itself takes away, and what the shipped retry rule makes of each: drained, or full of files."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from leicos_jobs.local import shipped_manifests

from .harness import Cluster
from .harness.places import SERVICE_ACCOUNT
from .installation import nodes
from .meddling import pod_of

pytestmark = pytest.mark.cluster

PATIENCE = 400.0
DRAINED = "[ {{retries}} = 1 ] || sleep 600"
OUTGROWN = "[ {{retries}} = 1 ] || { head -c 40000000 /dev/zero >/scratch/much; sleep 600; }"
LIMIT = "10Mi"
AGE = 10.0
"""Seconds at work before it is struck: one that goes sooner Argo makes again under its name, as the first attempt."""


def rule() -> dict[str, Any]:
    """The retry rule of leicos' generate pods, with a shorter pause."""
    templates = [template for manifest in shipped_manifests() for template in manifest["spec"]["templates"]]
    found: dict[str, Any] = next(each["retryStrategy"] for each in templates if each["name"] == "generate")
    return found | {"backoff": {"duration": "1s"}}


def submit(cluster: Cluster, image: str, script: str) -> str:
    container = {
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    template = {
        "name": "main",
        "retryStrategy": rule(),
        "container": container,
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": LIMIT}}],
    }
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "eviction-", "namespace": cluster.namespace},
        "spec": {
            "entrypoint": "main",
            "serviceAccountName": SERVICE_ACCOUNT,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "templates": [template],
        },
    }
    return str(cluster.create(workflow)["metadata"]["name"])


def first_pod_at_work(cluster: Cluster, name: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        pods = nodes(cluster.workflow(name), "Pod", "main")
        if running := [pod_of(node, name) for node in pods if node["phase"] == "Running"]:
            return running[0]
        assert time.monotonic() < deadline, cluster.diagnose()
        time.sleep(0.5)


def test_a_pod_evicted_by_a_drain_is_tried_again(cluster: Cluster, stub_image: str) -> None:
    """`kubectl drain`, and autoscalers, ask for evictions one pod at a time."""
    name = submit(cluster, stub_image, DRAINED)
    pod = first_pod_at_work(cluster, name)
    time.sleep(AGE)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": cluster.namespace},
        "deleteOptions": {"gracePeriodSeconds": 1},
    }
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/eviction"
    cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    assert_tried_again(cluster, name)


@pytest.mark.long
def test_a_pod_that_outgrew_its_scratch_space_is_tried_again(cluster: Cluster, stub_image: str) -> None:
    """The kubelet measures every two minutes. Committed samples stay and the next pod's scratch space is empty."""
    name = submit(cluster, stub_image, OUTGROWN)
    pod = first_pod_at_work(cluster, name)
    assert_tried_again(cluster, name)
    shown = json.loads(cluster.kubectl("get", "pod", pod, "-o", "json"))
    assert shown["status"]["reason"] == "Evicted"
    assert f'Usage of EmptyDir volume "scratch" exceeds the limit "{LIMIT}"' in shown["status"]["message"]


def assert_tried_again(cluster: Cluster, name: str) -> None:
    """As an error or by the exit code of a killed program: which of the two Argo sees is a race."""
    found = cluster.wait_for_workflow(name, PATIENCE)
    assert found["status"]["phase"] == "Succeeded", found["status"]
    first, second = attempts(found)
    assert first["phase"] in ("Failed", "Error")
    assert second["phase"] == "Succeeded"


def attempts(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """In order."""
    return sorted(nodes(workflow, "Pod", "main"), key=lambda node: str(node["displayName"]))
