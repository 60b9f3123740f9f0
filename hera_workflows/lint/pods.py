"""Pods: the command is given, the resources are stated, a GPU belongs to a pool, Pod Security "restricted" is met."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hera_workflows.lint.names import templates
from hera_workflows.pools import LABEL, SIZES
from leicos_jobs.core.stages import Pool
from leicos_jobs.local.checks import Problem

GPU_RESOURCES = ("nvidia.com/", "amd.com/gpu")
OUTPUTS = "/tmp/outputs/"
NUMBER = re.compile(r"\d+")


def check(manifests: list[dict[str, Any]]) -> list[Problem]:
    """Problems with everything that becomes a pod."""
    found = []
    for where, template in templates(manifests):
        if template.get("failFast"):
            fix = "leave it out; dag.failFast is another field (Hera sets both when a DAG is given fail_fast=True)"
            found.append(Problem(where, "failFast is true: one failed attempt ends it, whatever is retried", fix))
        if ("container" in template) == ("dag" in template):
            found.append(
                Problem(
                    where, "is not exactly one of container and dag", "leicos runs plain containers under DAGs only"
                )
            )
        elif "container" in template:
            for message, fix in [*container(template), *pool(template), *policies(template), *security(template)]:
                found.append(Problem(where, message, fix))
    return found


def container(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Command, image, resources, outputs."""
    spec = template["container"]
    if not spec.get("command"):
        yield "no command", "set it: without it the controller looks the image up in its registry"
    if not spec.get("image"):
        yield "no image", "set container.image"
    resources = spec.get("resources", {})
    wanted = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
    for kind, name in wanted:
        if name not in resources.get(kind, {}):
            yield f"no resources.{kind}.{name}", "state it: quotas and the scheduler need it"
    for parameter in (template.get("outputs") or {}).get("parameters", []):
        path = str(parameter.get("valueFrom", {}).get("path", ""))
        if not path.startswith(OUTPUTS):
            yield f"output {parameter.get('name')} is read from {path!r}", f"write it below {OUTPUTS}"
        if "default" not in parameter.get("valueFrom", {}):
            yield (
                f"output {parameter.get('name')} has no default",
                "set valueFrom.default: what refers to a skipped task would wait for ever",
            )


def pool(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The pool label, and no GPU outside a GPU pool."""
    label = template.get("metadata", {}).get("labels", {}).get(LABEL)
    known = [pool.value for pool in Pool]
    if label not in known:
        yield f"label {LABEL} is {label!r}", f"set it to one of {', '.join(known)}"
    resources = template["container"].get("resources", {})
    asked = {name for kind in ("requests", "limits") for name in resources.get(kind, {})}
    if any(name.startswith(GPU_RESOURCES) for name in asked) and (label not in known or not SIZES[Pool(label)].gpus):
        yield "asks for a GPU outside a GPU pool", f"set the label {LABEL} to a pool that has GPUs"


def policies(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Deadline and retries."""
    if not template.get("activeDeadlineSeconds"):
        yield "no activeDeadlineSeconds", "set it: a pod that hangs holds its GPU for ever"
    retry = template.get("retryStrategy", {})
    if retry.get("limit") is not None and not NUMBER.fullmatch(str(retry["limit"])):
        yield f"retryStrategy.limit is {retry['limit']!r}, not a number", "write how often it is tried again, as 6"
    if retry.get("retryPolicy") != "Always" or not retry.get("expression") or not retry.get("limit"):
        yield "retryStrategy lacks retryPolicy Always, an expression or a limit", "use hera_workflows.policies.retry"


def security(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Pod Security "restricted" and a read-only root file system with scratch space."""
    pod, own = template.get("securityContext", {}), template["container"].get("securityContext", {})
    restricted = (
        pod.get("runAsNonRoot") is True
        and pod.get("seccompProfile", {}).get("type") == "RuntimeDefault"
        and own.get("allowPrivilegeEscalation") is False
        and own.get("capabilities", {}).get("drop") == ["ALL"]
    )
    if not restricted:
        yield 'would be refused under Pod Security "restricted"', "use policies.pod_security and container_security"
    mounted = {mount.get("mountPath") for mount in template["container"].get("volumeMounts", [])}
    if own.get("readOnlyRootFilesystem") is not True or "/tmp" not in mounted:
        yield "no read-only root file system with an emptyDir at /tmp", "set readOnlyRootFilesystem and mount a volume"
