"""Pools as Argo and Kubernetes see them: spot with on-demand as the way out, grace, queue labels, semaphores."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest

from . import installation
from .harness import Cluster, HarnessError
from .installation import nodes, submit, succeeded
from .meddling import FINISHED, pod_of

pytestmark = pytest.mark.cluster

NAMESPACE = "leicos-pools"
HOLD = "/tmp/go"
GRACE = 15
SPOT, ON_DEMAND = "spot.example", "on-demand.example"
LIMITS = "leicos-semaphores"
PATIENCE = 300.0


def tolerations(key: str) -> list[dict[str, str]]:
    return [{"key": key, "operator": "Exists"}]


@pytest.fixture(scope="module")
def place(cluster: Cluster, stub_image: str) -> Cluster:
    """The chart with spot pools, whose one generate pod at a time works until it is told to end."""
    spot = {
        "enabled": True,
        "onDemandAfter": 1,
        "tolerations": tolerations(SPOT),
        "onDemand": {"tolerations": tolerations(ON_DEMAND)},
    }
    return installation.install(
        cluster,
        NAMESPACE,
        stub_image,
        {
            "spot": spot,
            "terminationGracePeriodSeconds": GRACE,
            "queue": "team-a",
            "concurrency": 1,
            "env": [{"name": "STUB_HOLD", "value": HOLD}],
        },
    )


@pytest.fixture(scope="module")
def most_at_once(place: Cluster) -> tuple[dict[str, Any], list[int]]:
    """leicos-generate after its end, and how many generate pods ran at once: with a limit of one, then of three."""
    name = submit(place, "leicos-generate", run="s3://bucket/run")
    first = watch(place, name, until=lambda running, waiting: running == 1 and waiting)
    place.kubectl("patch", "configmap", LIMITS, "--patch", json.dumps({"data": {"generate": "3"}}))
    second = watch(place, name, until=lambda running, waiting: running > 1)
    let_go(place, name)
    return succeeded(place, name), [first, second]


def watch(place: Cluster, name: str, until: Any) -> int:
    """The most generate pods seen at once until something is the case."""
    most, deadline = 0, time.monotonic() + PATIENCE
    while True:
        found = place.workflow(name)
        running = sum(node["phase"] == "Running" for node in nodes(found, "Pod", "generate"))
        everyone = found.get("status", {}).get("nodes", {}).values()
        waiting = any(node.get("synchronizationStatus", {}).get("waiting") for node in everyone)
        most = max(most, running)
        if until(running, waiting):
            return most
        assert found.get("status", {}).get("phase") != "Succeeded", "it has ended without that"
        assert time.monotonic() < deadline, place.diagnose()
        time.sleep(0.5)


def let_go(place: Cluster, name: str) -> None:
    """Tell every generate pod to end, those that are still to come too."""
    deadline = time.monotonic() + PATIENCE
    while (found := place.workflow(name))["status"].get("phase") not in FINISHED:
        assert time.monotonic() < deadline, place.diagnose()
        for node in nodes(found, "Pod", "generate"):
            if node["phase"] == "Running":
                with suppress(HarnessError):  # it has ended, or its container is not there yet
                    place.kubectl("exec", pod_of(node, name), "--container=main", "--", "touch", HOLD)
        time.sleep(0.5)


def pods(place: Cluster, workflow: dict[str, Any], template: str) -> dict[str, dict[str, Any]]:
    """Name of a node -> its pod, as the cluster still has it."""
    name = workflow["metadata"]["name"]
    return {
        node["displayName"]: json.loads(place.kubectl("get", "pod", pod_of(node, name), "-o", "json"))
        for node in nodes(workflow, "Pod", template)
    }


def test_a_semaphore_is_resized_while_pods_wait_for_it(most_at_once: tuple[dict[str, Any], list[int]]) -> None:
    assert most_at_once[1][0] == 1
    assert most_at_once[1][1] > 1


def test_an_attempt_after_a_loss_on_spot_goes_to_on_demand(
    place: Cluster, most_at_once: tuple[dict[str, Any], list[int]]
) -> None:
    found = pods(place, most_at_once[0], "generate")
    places = {
        name: {each["key"] for each in pod["spec"]["tolerations"]} & {SPOT, ON_DEMAND} for name, pod in found.items()
    }
    assert {tuple(where) for name, where in places.items() if name.endswith("(0)")} == {(SPOT,)}
    assert [where for name, where in places.items() if name.endswith("(1)")] == [{ON_DEMAND}]


def test_every_pod_has_its_pools_grace_and_queue(
    place: Cluster, most_at_once: tuple[dict[str, Any], list[int]]
) -> None:
    for template in ("plan", "generate", "gate", "label", "fan-in", "finish"):
        for pod in pods(place, most_at_once[0], template).values():
            assert pod["spec"]["terminationGracePeriodSeconds"] == GRACE
            assert pod["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
