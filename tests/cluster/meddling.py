"""Deletes pods while they work, and says what Argo made of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from .harness import Cluster
from .installation import nodes, template_of

WITH_NOTICE = ("--grace-period=30",)
WITHOUT_NOTICE = ("--grace-period=0", "--force")
FINISHED = ("Succeeded", "Failed", "Error")
PATIENCE = 900.0


@dataclass(frozen=True)
class Deleted:
    """A pod that was deleted: its node in the workflow, its name, and which of that name it was."""

    node: str
    name: str
    uid: str


def delete_at_work(
    cluster: Cluster, workflow: str, template: str, *ways: tuple[str, ...], age: float = 0
) -> list[Deleted]:
    """Delete as many pods of a template, each in another way, once Argo has known for `age` seconds that they run."""
    struck: list[Deleted] = []
    since: dict[str, float] = {}
    deadline = time.monotonic() + PATIENCE
    while len(struck) < len(ways):
        assert time.monotonic() < deadline, f"no {template} pods appeared\n{cluster.diagnose()}"
        found = cluster.workflow(workflow)
        phase = found.get("status", {}).get("phase")
        assert phase not in FINISHED, f"{workflow} {phase} before its {template} pods could be deleted"
        for node in nodes(found, "Pod", template):
            began = since.setdefault(node["id"], time.monotonic()) if node["phase"] == "Running" else None
            known = {pod.node for pod in struck}
            if began is not None and time.monotonic() >= began + age and node["id"] not in known:
                name = pod_of(node, workflow)
                uid = uid_of(cluster, name)
                cluster.kubectl("delete", "pod", name, "--wait=false", *ways[len(struck)])
                struck.append(Deleted(node["id"], name, uid))
                break
        time.sleep(0.2)
    return struck


def replaced(cluster: Cluster, workflow: dict[str, Any], pod: Deleted) -> bool:
    """Whether another pod did the deleted one's work.

    As a rule the attempt failed and another followed. A pod that goes within seconds Argo makes again under its name.
    """
    return workflow["status"]["nodes"][pod.node]["phase"] in ("Failed", "Error") or uid_of(cluster, pod.name) != pod.uid


def pod_of(node: dict[str, Any], workflow: str) -> str:
    """The name of a node's pod: workflow, template, and the number that the node's id ends in."""
    return f"{workflow}-{template_of(node)}-{node['id'].rpartition('-')[2]}"


def uid_of(cluster: Cluster, name: str) -> str:
    """Which pod has this name now; empty when none has."""
    shown = cluster.kubectl("get", "pods", f"--field-selector=metadata.name={name}", "-o", "json")
    return next((item["metadata"]["uid"] for item in json.loads(shown)["items"]), "")
