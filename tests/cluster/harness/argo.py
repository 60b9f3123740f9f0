"""Argo Workflows beside the cluster: definitions, configuration, and its controller as a process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

from .object_store import ObjectStore
from .parts import kubectl
from .places import ARGO, ARGO_NAMESPACE, KUBECONFIG, REGION, S3_SECRET, SERVICE_ACCOUNT
from .processes import run, start, wait_until

_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_CONFIGMAP = "workflow-controller-configmap"


def up(store: ObjectStore, executor_image: str) -> None:
    """Install the definitions and start the controller for all namespaces."""
    command = (kubectl(), "--kubeconfig", KUBECONFIG)
    definitions = sorted((ARGO / "crds" / "full").glob("argoproj.io_*.yaml"))
    # Server-side: they are larger than the annotation in which a client would keep its copy.
    run(*command, "apply", "--server-side", *(f"--filename={definition}" for definition in definitions))
    configuration = {
        "artifactRepository": artifact_repository(store),
        "executor": {"securityContext": {**_RESTRICTED, "readOnlyRootFilesystem": True}},
        "mainContainer": {"securityContext": _RESTRICTED},
        "metricsConfig": {"enabled": False},
    }
    objects: list[dict[str, object]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _CONFIGMAP, "namespace": ARGO_NAMESPACE},
            "data": {"config": json.dumps(configuration)},
        },
    ]
    run(*command, "apply", "-f", "-", stdin=as_list(objects))
    run(*command, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
    options = ("--kubeconfig", KUBECONFIG, "--namespace", ARGO_NAMESPACE, "--configmap", _CONFIGMAP)
    executor = ("--executor-image", executor_image, "--executor-image-pull-policy", "Never")
    controller: list[str | Path] = [ARGO / "workflow-controller", *options, *executor]
    environment = {
        "LEADER_ELECTION_DISABLE": "true",
        # Argo looks at a workflow again after 10 s at the earliest: ten pods in a row would take 100 s.
        "DEFAULT_REQUEUE_TIME": "1s",
        # A pod's own progress is passed on once a minute: most pods of a test never get that old.
        "ARGO_PROGRESS_FILE_TICK_DURATION": "1s",
        "ARGO_PROGRESS_PATCH_TICK_DURATION": "1s",
    }
    start("workflow-controller", controller, environment)
    wait_until("Argo", _controller_listens, 60, needs="workflow-controller")


def namespace_objects(namespace: str, store: ObjectStore) -> list[dict[str, object]]:
    """A namespace in which workflows run with the fewest rights: Pod Security "restricted", results only."""
    metadata = {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    rule = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    subject = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": SERVICE_ACCOUNT}
    rbac = "rbac.authorization.k8s.io/v1"
    here = {"namespace": namespace}
    credentials = {"accesskey": store.access_key, "secretkey": store.secret_key}
    default = {"workflows.argoproj.io/default-artifact-repository": "default"}
    repositories = {"name": "artifact-repositories", "annotations": default, **here}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SERVICE_ACCOUNT, **here}},
        {"apiVersion": rbac, "kind": "Role", "metadata": {"name": SERVICE_ACCOUNT, **here}, "rules": [rule]},
        {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": {"name": SERVICE_ACCOUNT, **here},
            "subjects": [subject],
            "roleRef": role,
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": S3_SECRET, **here}, "stringData": credentials},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": repositories,
            "data": {"default": json.dumps(artifact_repository(store))},
        },
    ]


def artifact_repository(store: ObjectStore) -> dict[str, object]:
    """The store as Argo describes it; the credentials are a Secret in the workflow's own namespace."""
    scheme, _, address = store.endpoint.partition("://")
    return {
        "s3": {
            "endpoint": address,
            "insecure": scheme == "http",
            "bucket": store.bucket,
            "region": REGION,
            "keyFormat": "argo/{{workflow.name}}/{{pod.name}}",
            "accessKeySecret": {"name": S3_SECRET, "key": "accesskey"},
            "secretKeySecret": {"name": S3_SECRET, "key": "secretkey"},
        }
    }


def as_list(objects: list[dict[str, object]]) -> str:
    """Several objects as one document."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def _controller_listens() -> bool:
    """Its health port has no option; that it answers at all means that its caches are being filled."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:6060/healthz", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
