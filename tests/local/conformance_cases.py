"""Small workflows with what becomes of them, run here by our interpreter and on a cluster by Argo.

The YAML says what matters for the semantics and leaves out what a cluster needs besides (an image, rights, scratch
space): `for_cluster` adds that. Beside each stands what must come out, in the same form for both.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "conformance"
PLACEHOLDER = "conformance"
SECURITY = {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
PACE = 10
"""Deadlines are so much longer on a cluster: a pod may need seconds to start, a process here does not."""
DEADLINES = ("Step exceeded its deadline", "Pod was active on the node longer than the specified deadline")
"""The workflow's and the pod's. Neither Argo nor the kubelet waits for the pod's end then: they know the exit code
sometimes."""
RETRY_DEADLINE = "retry exceeded workflow deadline"
"""On a slow machine this stands at the Retry node instead, and anything at its pod."""
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def cases() -> list[str]:
    """The names of all cases."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def manifests(case: str) -> list[dict[str, Any]]:
    """The manifests of a case, the Workflow first."""
    return list(yaml.safe_load_all((FOLDER / f"{case}.yaml").read_text()))


def expected(case: str) -> dict[str, Any]:
    """What must become of a case."""
    found: dict[str, Any] = json.loads((FOLDER / f"{case}.expected.json").read_text())
    return found


def for_cluster(documents: list[dict[str, Any]], image: str, service_account: str) -> list[dict[str, Any]]:
    """The same manifests with what every pod on a restricted cluster needs."""
    found = copy.deepcopy(documents)
    for manifest in found:
        spec = manifest["spec"]
        for holder in (spec, *spec["templates"]):
            if "activeDeadlineSeconds" in holder:
                holder["activeDeadlineSeconds"] *= PACE
        spec["serviceAccountName"] = service_account
        spec["securityContext"] = SECURITY
        for template in spec["templates"]:
            container = template.get("container")
            if container is not None:
                container |= {"image": image, "imagePullPolicy": "IfNotPresent", "securityContext": CONTAINER_SECURITY}
                container["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]
                template["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    return found


def of_argo(workflow: dict[str, Any]) -> dict[str, Any]:
    """What became of a workflow, from the status that Argo left."""
    status = workflow["status"]
    name = workflow["metadata"]["name"]
    nodes = status.get("nodes", {})
    retries = [node for node in nodes.values() if node.get("message", "").startswith(RETRY_DEADLINE)]
    late = {child for node in retries for child in node.get("children", [])}
    found = {}
    for node in nodes.values():
        attempts = [child for child in node.get("children", []) if nodes[child].get("nodeFlag", {}).get("retried")]
        parameters = node.get("outputs", {}).get("parameters", [])
        outputs = {parameter["name"]: parameter["value"] for parameter in parameters if "value" in parameter}
        compared = node["type"] == "Pod" and node.get("message") not in DEADLINES and node["id"] not in late
        code = node.get("outputs", {}).get("exitCode") if compared else None
        found[relative(name, node["name"])] = described(
            node["type"], node["phase"], len(attempts) if node["type"] == "Retry" else None, outputs, code
        )
    return {"phase": status["phase"], "nodes": dict(sorted(found.items()))}


def of_local(result: Any) -> dict[str, Any]:
    """What became of a workflow that our interpreter ran."""
    found = {
        relative(result.name, node.name): described(
            node.type,
            node.phase,
            node.attempts if node.type == "Retry" else None,
            node.outputs,
            str(node.exit_code)
            if node.type == "Pod" and node.exit_code is not None and node.message not in DEADLINES
            else None,
        )
        for node in result.nodes.values()
    }
    return {"phase": result.phase, "nodes": dict(sorted(found.items()))}


def relative(workflow: str, node: str) -> str:
    """A node's name without the workflow's; the root is "."."""
    return node.removeprefix(workflow).removeprefix(".") or "."


def described(kind: str, phase: str, attempts: int | None, outputs: dict[str, str], code: str | None) -> dict[str, Any]:
    """What is compared of a node. Messages and times are not."""
    found: dict[str, Any] = {"type": kind, "phase": phase}
    if attempts is not None:
        found["attempts"] = attempts
    if outputs:
        found["outputs"] = outputs
    if code is not None:
        found["exit"] = code
    return found
