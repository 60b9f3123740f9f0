"""Two workflows on one run, what a stopped one leaves behind, Argo's retry, and what a pod can read of its account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import kubernetes.client
import kubernetes.config
import pytest

from leicos_jobs.cluster.workflows import Workflows

from . import installation
from .harness import Cluster, HarnessError
from .installation import nodes, submit, succeeded
from .meddling import FINISHED, pod_of

pytestmark = pytest.mark.cluster

NAMESPACE = "leicos-one-run"
HOLD = "/tmp/go"
RUN = "s3://bucket/one"
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
PATIENCE = 300.0


@pytest.fixture(scope="module")
def place(cluster: Cluster, stub_image: str) -> Cluster:
    """The chart with room for two generate pods, which work until they are told to end."""
    pool = {"concurrency": 2, "env": [{"name": "STUB_HOLD", "value": HOLD}]}
    return installation.install(cluster, NAMESPACE, stub_image, pool)


@pytest.fixture(scope="module")
def workflows(place: Cluster) -> Workflows:
    client = kubernetes.config.new_client_from_config(str(place.kubeconfig))
    return Workflows(kubernetes.client.CustomObjectsApi(client), NAMESPACE)


@pytest.fixture(scope="module")
def working(place: Cluster) -> str:
    """A workflow with two generate pods at work."""
    name = submit(place, "leicos-generate", run=RUN)
    until(place, lambda: len(at_work(place, name)) == 2)
    return name


@pytest.fixture(scope="module")
def waiting(place: Cluster, working: str) -> str:
    """A second one on the same run, written with a slash at the end, once Argo has looked at it."""
    name = submit(place, "leicos-generate", run=f"{RUN}/")
    until(place, lambda: "Mutex" in place.workflow(name).get("status", {}).get("message", ""))
    return name


@pytest.fixture(scope="module")
def other(place: Cluster, waiting: str) -> dict[str, Any]:
    """A workflow on another run, submitted last."""
    return succeeded(place, submit(place, "leicos-report", run="s3://bucket/other"))


def until(place: Cluster, seen: Callable[[], Any]) -> None:
    """Wait for something to be seen."""
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline, place.diagnose()
        time.sleep(1)


def at_work(place: Cluster, name: str) -> list[dict[str, Any]]:
    """The generate pods of a workflow that run."""
    return [node for node in nodes(place.workflow(name), "Pod", "generate") if node["phase"] == "Running"]


def ended(place: Cluster, name: str) -> bool:
    return place.workflow(name).get("status", {}).get("phase") in FINISHED


def test_the_second_workflow_on_a_run_waits_and_one_on_another_run_does_not(
    place: Cluster, waiting: str, other: dict[str, Any], workflows: Workflows, working: str
) -> None:
    status = place.workflow(waiting)["status"]
    assert (status["phase"], status.get("nodes", {})) == ("Pending", {})
    assert workflows.active(RUN) == sorted([waiting, working])
    assert other["status"]["phase"] == "Succeeded"


def test_the_main_container_has_no_token_and_argos_executor_has_one(place: Cluster, working: str) -> None:
    name = pod_of(at_work(place, working)[0], working)
    listed = place.kubectl("exec", name, "--container=main", "--", "ls", "-A", TOKENS)
    containers = json.loads(place.kubectl("get", "pod", name, "-o", "json"))["spec"]["containers"]
    mounts = {each["name"]: {item["mountPath"]: item["name"] for item in each["volumeMounts"]} for each in containers}
    assert listed == ""
    assert mounts["main"][TOKENS] == "no-token"
    assert mounts["wait"][TOKENS].startswith("kube-api-access")


def test_what_a_stopped_workflow_still_holds_is_named_and_free_once_it_is_deleted(
    place: Cluster, working: str, waiting: str, workflows: Workflows
) -> None:
    place.argo("stop", working)
    until(place, lambda: ended(place, working))
    # Argo forgets one of the two slots, or none: it is a matter of milliseconds which of its pods' ends it has seen
    until(place, lambda: len(at_work(place, waiting)) == (1 if workflows.ended_holders() else 2))
    assert workflows.ended_holders() in ({}, {working: ["generate"]})
    place.argo("delete", working)
    until(place, lambda: len(at_work(place, waiting)) == 2)
    assert workflows.ended_holders() == {}
    while not ended(place, waiting):
        for node in at_work(place, waiting):
            with suppress(HarnessError):  # it has ended, or its container is not there yet
                place.kubectl("exec", pod_of(node, waiting), "--container=main", "--", "touch", HOLD)
        time.sleep(0.5)
    succeeded(place, waiting)


def test_argos_retry_ends_at_once_says_what_to_do_instead_and_holds_nothing(
    place: Cluster, waiting: str, workflows: Workflows
) -> None:
    name = submit(place, "leicos-replay", run="s3://bucket/retried")
    until(place, lambda: nodes(place.workflow(name), "Pod", "replay"))
    place.argo("stop", name)
    until(place, lambda: ended(place, name))
    with suppress(HarnessError):
        place.argo("retry", name)
    until(place, lambda: ended(place, name))
    found = place.workflow(name)
    assert found["status"]["phase"] in ("Failed", "Error")
    shown = found["metadata"]["annotations"]["workflows.argoproj.io/description"]
    assert "leicos resubmit s3://bucket/retried" in shown
    succeeded(place, submit(place, "leicos-replay", run="s3://bucket/retried"))
    assert workflows.ended_holders() == {}
